"""The life of a value on a real database: its moves, its seal, and who may open it."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.services.conftest import TOKEN, Moves, race
from vaultcore.crypto import apikeys
from vaultcore.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError, SealError
from vaultcore.model import Stage
from vaultcore.secret import Secret
from vaultcore.tables import versions
from vaultcore.versions import Purpose

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
SEALED = ("key_id", "wrapped_key", "record")


# Moves


def test_a_pending_version_is_begun_empty_filled_once_and_activated(moves: Moves, clock: Any) -> None:
    item = moves.add(days=30).item
    assert moves.begin(item.id) == 2
    with pytest.raises(ConflictError, match="pending version already"):
        moves.begin(item.id)
    with pytest.raises(RefusedError, match="holds no value"):
        moves.reveal(item.id, 2, Purpose.ROTATION)
    with pytest.raises(ConflictError, match="version 2"):
        moves.activate(item.id, new=2, old=1)
    with pytest.raises(InvalidInputError, match="2000 at most"):
        moves.fill(item.id, 2, "x" * 2001)

    moves.fill(item.id, 2, "the-second-value", days=90)

    for number in (1, 2):
        with pytest.raises(ConflictError, match="not an empty pending one"):
            moves.fill(item.id, number, "another-value")
    assert moves.get(TOKEN).version == 1
    assert moves.reveal(item.id, 2, Purpose.TEST) == "the-second-value"
    clock.advance(DAY)
    moves.activate(item.id, new=2, old=1)
    changed = moves.get(TOKEN)
    assert (changed.version, changed.expires_at) == (2, clock() + 89 * DAY)
    assert changed.due_at == clock() + 59 * DAY
    with moves.services.database.read() as connection:
        old, new = moves.services.versions.of_item(connection, item.id)
    assert (old.stage, old.superseded_at) == (Stage.PREVIOUS, clock())
    assert (new.stage, new.activated_at, new.external) == (Stage.CURRENT, clock(), {"id": "outside-2"})
    assert moves.reveal(item.id, 1) == "the-first-value"


def test_a_step_back_makes_the_previous_version_current_again(moves: Moves, clock: Any) -> None:
    item = moves.add(days=30).item
    moves.stage(item.id, "the-second-value", days=90)
    moves.activate(item.id, new=2, old=1)
    clock.advance(DAY)

    moves.reactivate(item.id, good=1, bad=2)

    assert moves.stages(item.id) == ["current", "previous"]
    assert (moves.get(TOKEN).version, moves.get(TOKEN).expires_at) == (1, item.expires_at)
    with moves.services.database.read() as connection:
        good = moves.services.versions.get(connection, item.id, 1)
    assert (good.activated_at, good.superseded_at) == (clock(), None)
    with pytest.raises(ConflictError, match="version 2"):
        moves.reactivate(item.id, good=1, bad=2)
    assert moves.stages(item.id) == ["current", "previous"]


def test_destroying_takes_the_value_and_leaves_the_record_once(moves: Moves, clock: Any) -> None:
    item = moves.add().item
    moves.stage(item.id, "the-second-value")
    moves.activate(item.id, new=2, old=1)
    moves.stage(item.id, "the-third-value")
    with pytest.raises(RefusedError, match="current: it is never destroyed"):
        moves.destroy(item.id, 2)

    clock.advance(DAY)
    for number in (1, 3):
        moves.destroy(item.id, number)

    assert moves.stages(item.id) == ["destroyed", "current", "destroyed"]
    first, _, third = moves.sql(select(versions).order_by(versions.c.number))
    for row in (first, third):
        assert (row.key_id, row.wrapped_key, row.record, row.digest) == (None, None, None, None)
        assert row.destroyed_at == clock()
        with pytest.raises(RefusedError, match="it was destroyed"):
            moves.reveal(item.id, row.number, Purpose.ROTATION)
    before = len(moves.log())
    moves.destroy(item.id, 1)
    assert len(moves.log()) == before
    with pytest.raises(ConflictError):
        moves.reactivate(item.id, good=1, bad=2)
    with pytest.raises(ConflictError):
        moves.activate(item.id, new=3, old=2)
    assert moves.stages(item.id) == ["destroyed", "current", "destroyed"]
    assert moves.begin(item.id) == 4  # a number is never used again


def test_a_version_that_is_not_there_is_said_to_be_missing(moves: Moves) -> None:
    item = moves.add().item
    for call in (moves.reveal, moves.destroy):
        with pytest.raises(NotFoundError, match="no version 9"):
            call(item.id, 9)


def test_who_moves_second_is_told_and_changes_nothing(moves: Moves) -> None:
    item = moves.add(days=30).item
    moves.stage(item.id, "the-second-value", days=90)
    moves.activate(item.id, new=2, old=1)
    before = (moves.get(TOKEN), len(moves.log()))
    for new, old in ((2, 1), (1, 2), (2, 2)):
        with pytest.raises(ConflictError, match="look again") as caught:
            moves.activate(item.id, new=new, old=old)
        assert caught.value.can_retry
    assert (moves.get(TOKEN), len(moves.log())) == before


def test_of_many_who_activate_at_once_one_does(moves: Moves) -> None:
    item = moves.add().item
    moves.stage(item.id, "the-second-value")
    outcomes = race(4, lambda _: moves.activate(item.id, new=2, old=1))
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 3
    assert moves.stages(item.id) == ["previous", "current"]
    assert [row.action for row in moves.log()].count("version.activate") == 1
    assert moves.verify().whole


# Constraints


def test_the_database_itself_refuses_what_must_never_be(moves: Moves, clock: Any) -> None:
    item = moves.add("api-key:partner-portal", None).item
    moves.begin(item.id)
    (digest,) = moves.sql(select(versions.c.digest).where(versions.c.number == 1))[0]
    row = {"item_id": item.id, "number": 3, "stage": "previous", "created_at": clock(), "external": {}}
    wrong: tuple[dict[str, Any], ...] = (
        {"stage": "pending"},
        {"stage": "current"},
        {"stage": "lost"},
        {"stage": "destroyed", "record": b"r", "wrapped_key": b"w"},
        {"record": b"r"},
        {"wrapped_key": b"w"},
        {"number": 1},
        {"digest": digest},
        {"item_id": "vlt_of_nobody"},
    )
    for change in wrong:
        with pytest.raises(ConflictError):
            moves.sql(versions.insert().values(row | change))
    for stage in ("pending", "current"):
        with pytest.raises(ConflictError):
            moves.sql(
                "INSERT INTO versions (item_id, number, stage, created_at, external) "
                f"SELECT item_id, 3, '{stage}', created_at, external FROM versions WHERE number = 1"
            )
    moves.sql(versions.insert().values(row))  # so that it was not for another reason
    assert moves.stages(item.id) == ["current", "pending", "previous"]


# Opening


def test_a_lapsed_version_opens_for_a_rotation_alone(moves: Moves, clock: Any) -> None:
    item = moves.add(days=1).item
    clock.advance(DAY - TICK)
    assert moves.reveal(item.id, 1, Purpose.RUN) == "the-first-value"
    clock.advance(TICK)
    before = len(moves.log())
    for purpose in (Purpose.RUN, Purpose.TEST):
        with pytest.raises(RefusedError, match=f"{TOKEN} lapsed at 2026-03-02 02:00 UTC"):
            moves.reveal(item.id, 1, purpose)
    assert len(moves.log()) == before
    assert moves.reveal(item.id, 1, Purpose.ROTATION) == "the-first-value"


def test_every_opening_is_in_the_audit_log_with_its_purpose(moves: Moves) -> None:
    item = moves.add().item
    for purpose in Purpose:
        moves.reveal(item.id, 1, purpose)
    rows = [row for row in moves.log() if row.action == "version.reveal"]
    assert [(row.subject, row.actor, row.details) for row in rows] == [
        (item.id, "test", {"version": 1, "purpose": purpose.value}) for purpose in Purpose
    ]
    assert moves.verify().whole


def test_sealed_rows_that_change_places_do_not_open(moves: Moves) -> None:
    item = moves.add().item
    other = moves.add("prod-crm-password", "the-other-value").item
    moves.stage(item.id, "the-second-value")
    moves.activate(item.id, new=2, old=1)
    places = ((item.id, 1), (item.id, 2), (other.id, 1))
    originals = {place: _sealed(moves, *place) for place in places}
    for one, another in itertools.permutations(places, 2):
        for columns in (SEALED, ("wrapped_key",), ("record",)):
            _store(moves, *one, {name: originals[another][name] for name in columns})
            with pytest.raises(SealError, match="does not open"):
                moves.reveal(*one)
            _store(moves, *one, originals[one])
    assert [moves.reveal(*place) for place in places] == [
        "the-first-value",
        "the-second-value",
        "the-other-value",
    ]


def test_a_row_that_was_given_another_number_does_not_open(moves: Moves) -> None:
    item = moves.add().item
    moves.sql(update(versions).values(number=7))
    with pytest.raises(SealError):
        moves.reveal(item.id, 7)
    moves.sql(update(versions).values(number=1))
    assert moves.reveal(item.id, 1) == "the-first-value"


def test_a_sealed_row_with_any_byte_changed_does_not_open(moves: Moves) -> None:
    item = moves.add().item
    original = _sealed(moves, item.id, 1)
    logged = len(moves.log())
    for column, step in (("record", 9), ("wrapped_key", 7)):
        sealed = original[column]
        positions = sorted({*range(0, len(sealed), step), 4, 5, 36, 37, 68, 69, 80, 81, len(sealed) - 1})
        flipped = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in positions]
        for changed in (*flipped, sealed[:-1], sealed[1:], sealed + b"\0", b""):
            _store(moves, item.id, 1, {column: changed})
            with pytest.raises(SealError) as caught:
                moves.reveal(item.id, 1)
            assert str(caught.value) == f"version 1 of {TOKEN}: {SealError.MESSAGE}"
        _store(moves, item.id, 1, original)
    for key_id in ("0" * 32, original["key_id"][::-1]):
        _store(moves, item.id, 1, {"key_id": key_id})
        with pytest.raises(SealError):
            moves.reveal(item.id, 1)
    _store(moves, item.id, 1, original)
    assert len(moves.log()) == logged
    assert moves.reveal(item.id, 1) == "the-first-value"


def test_two_versions_of_one_value_have_nothing_sealed_in_common(moves: Moves) -> None:
    item = moves.add(value="the-same-value").item
    moves.stage(item.id, "the-same-value")
    one, two = _sealed(moves, item.id, 1), _sealed(moves, item.id, 2)
    assert len(one["record"]) == len(two["record"])
    assert one["record"][5:] != two["record"][5:]
    assert not {one["wrapped_key"][at:][:16] for at in range(20, 97)} & {
        two["wrapped_key"][at:][:16] for at in range(20, 97)
    }


# Keys of our callers


def test_a_key_opens_while_it_is_current_or_previous_and_has_not_lapsed(moves: Moves, clock: Any) -> None:
    created = moves.add("api-key:partner-portal", None, days=30)
    item, first = created.item, created.key
    assert first is not None
    second = apikeys.generate().expose()
    number = moves.stage(item.id, second, days=90)
    assert moves.check_key(second) is None  # pending
    with moves.services.database.read() as connection:
        found = moves.services.presented_keys.check_key(connection, Secret(second), stages=(Stage.PENDING,))
    assert found == (item.id, number)

    moves.activate(item.id, new=number, old=1)
    assert moves.check_key(first.expose()) == (item.id, 1)
    assert moves.check_key(second) == (item.id, number)
    clock.advance(30 * DAY)
    assert moves.check_key(first.expose()) is None  # lapsed at this very moment
    assert moves.check_key(second) == (item.id, number)
    moves.reactivate(item.id, good=1, bad=number)
    moves.destroy(item.id, number)
    assert moves.check_key(second) is None
    assert moves.sql(select(versions.c.digest).where(versions.c.number == number)) == [(None,)]


def test_an_unknown_or_mistyped_key_opens_nothing(moves: Moves) -> None:
    created = moves.add("api-key:partner-portal", None)
    assert created.key is not None
    key = created.key.expose()
    moves.add(value="the-first-value")
    for wrong in (
        apikeys.generate().expose(),
        key[:-1] + ("0" if key[-1] != "0" else "1"),
        key + " ",
        key.lower(),
        key[:-1],
        "",
        "the-first-value",
        "wfk_\ud83d",
    ):
        assert moves.check_key(wrong) is None
    assert moves.check_key(key) == (created.item.id, 1)


def test_a_key_of_nobody_is_held_against_the_version_of_somebody(moves: Moves) -> None:
    """So that its answer takes the same steps; whichever that is, it opens nothing."""
    ids = {moves.add(f"api-key:portal-{number}", None).item.id for number in range(3)}
    moves.add(value="the-first-value")
    with moves.services.database.read() as connection:
        judged = [moves.services.presented_keys.judge_key(connection, apikeys.generate()) for _ in range(1000)]
    held = {one.item_id for one in judged}
    assert held <= ids
    assert len(held) > 1, "not always the same one"
    assert not any(one.opens for one in judged)


@pytest.mark.parametrize("edit", ["expires_at = 'x'", "external = 'x'", "created_at = 17", "used_at = '{'"])
def test_a_damaged_version_opens_nothing(moves: Moves, edit: str) -> None:
    """Its own key as little as that of nobody, which is held against it."""
    if moves.services.database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL holds a column to its type")
    key = moves.add("api-key:partner-portal", None).key
    assert key is not None
    moves.sql(f"UPDATE versions SET {edit}")
    assert moves.check_key(apikeys.generate().expose()) is None
    if edit.split(maxsplit=1)[0] not in ("used_at", "created_at"):  # these say only when
        assert moves.check_key(key.expose()) is None


def test_a_key_whose_value_was_forgotten_still_opens(moves: Moves) -> None:
    item = moves.add("api-key:partner-portal", None).item
    key = apikeys.generate().expose()
    number = moves.stage(item.id, key)
    moves.activate(item.id, new=number, old=1)
    assert moves.reveal(item.id, number, Purpose.TEST) == key
    with moves.services.database.write() as connection:
        moves.services.versions.forget_value(connection, item.id, number, actor="test", reason="a test")
    with pytest.raises(RefusedError, match="digest alone"):
        moves.reveal(item.id, number, Purpose.TEST)
    assert moves.check_key(key) == (item.id, number)


def test_only_a_key_of_our_callers_can_be_forgotten(moves: Moves) -> None:
    item = moves.add().item
    with moves.services.database.write() as connection:
        moves.services.versions.forget_value(connection, item.id, 1, actor="test", reason="a test")
    assert moves.reveal(item.id, 1) == "the-first-value"


# Shredding


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_destroyed_value_is_nowhere_in_the_files_of_the_database(moves: Moves, tmp_path: Path) -> None:
    item = moves.add(value="v" * 1500).item
    moves.update(TOKEN, value="the-second-value")
    sealed = _sealed(moves, item.id, 1)
    pieces = [
        part[at : at + 16]
        for part in (sealed["record"][5:], sealed["wrapped_key"][20:])
        for at in range(0, 80, 16)
    ]
    assert all(piece in _files(tmp_path) for piece in pieces)

    moves.destroy(item.id, 1)
    moves.services.database.scrub()

    found = _files(tmp_path)
    assert not [piece for piece in pieces if piece in found]
    kept = _sealed(moves, item.id, 2)
    assert kept["record"][-16:] in found
    assert moves.reveal(item.id, 2) == "the-second-value"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_deleted_item_leaves_no_sealed_value_in_the_files(moves: Moves, tmp_path: Path) -> None:
    item = moves.add(value="v" * 1500).item
    sealed = _sealed(moves, item.id, 1)
    assert sealed["record"][-32:] in _files(tmp_path)
    moves.delete(TOKEN)
    moves.services.database.scrub()
    assert not [
        part for part in (sealed["record"][-32:], sealed["wrapped_key"][-32:]) if part in _files(tmp_path)
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_held_up_a_scrub_is_made_up_for_by_the_next_look(moves: Moves, tmp_path: Path) -> None:
    item, database = moves.add(value="v" * 1500).item, moves.services.database
    end = _sealed(moves, item.id, 1)["record"][-32:]
    moves.delete(TOKEN)
    with database.engine.connect() as reader:
        reader.exec_driver_sql("SELECT * FROM items").all()
        database.scrub()
        assert end in _files(tmp_path)
    database.scrub_again()
    assert end not in _files(tmp_path)


def _files(folder: Path) -> bytes:
    """All that the database has on the disk: its file, its write-ahead log and its shared memory."""
    files = sorted(folder.glob("test.db*"))
    assert folder / "test.db" in files
    return b"\0".join(file.read_bytes() for file in files)


def _sealed(moves: Moves, item_id: str, number: int) -> dict[str, Any]:
    columns = [versions.c[name] for name in SEALED]
    statement = select(*columns).where(versions.c.item_id == item_id, versions.c.number == number)
    (row,) = moves.sql(statement)
    return dict(zip(SEALED, row, strict=True))


def _store(moves: Moves, item_id: str, number: int, sealed: dict[str, Any]) -> None:
    moves.sql(update(versions).where(versions.c.item_id == item_id, versions.c.number == number).values(sealed))
