"""Pickups: a generated key is collected by one who has the token, again if need be; then its digest is left."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.services.conftest import Moves, race
from vaultcore.crypto import apikeys
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import RefusedError, SealError
from vaultcore.model import Policy
from vaultcore.tables import versions
from vaultcore.versions import Purpose
from worker.rows import pickups as pickup_rows
from worker.rows.tables import pickups
from worker.services.notices.pickup_token import pickup_token
from worker.services.rotation.pickups import Collected

pytestmark = pytest.mark.rules


KEY = "api-key:partner-portal"
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
ROTATION = "rot_01jq8zk4m5n6p7q8r9s0t1v2w3"


@dataclass
class Waiting:
    """A key that was made while nobody looked, and the token of its pickup."""

    item_id: str
    number: int
    key: str
    pickup_id: str
    token: str


@pytest.fixture
def waiting(moves: Moves) -> Waiting:
    item = moves.add(KEY, None).item
    key = apikeys.generate().expose()
    number = moves.stage(item.id, key)
    moves.activate(item.id, new=number, old=1)
    pickup_id, token = _open(moves, item.id, number)
    return Waiting(item_id=item.id, number=number, key=key, pickup_id=pickup_id, token=token)


def test_a_key_is_shown_again_to_who_collected_it_until_its_first_use(
    moves: Moves, clock: Any, waiting: Waiting
) -> None:
    for _ in range(3):
        collected = moves.collect(f"  {waiting.token}\n")
        assert (collected.item, collected.version, collected.key.expose()) == (KEY, 2, waiting.key)
        clock.advance(MINUTE)
    assert moves.present(waiting.key) == (waiting.item_id, 2)
    (row,) = moves.sql(select(versions).where(versions.c.number == 2))
    assert (row.key_id, row.wrapped_key, row.record) == (None, None, None)
    assert row.used_at == clock()
    with pytest.raises(RefusedError, match="digest alone"):
        moves.reveal(waiting.item_id, 2, Purpose.PICKUP)
    with pytest.raises(RefusedError, match=f"{KEY} was collected already, at .* by you, and its use has shown"):
        moves.collect(waiting.token)
    assert moves.check_key(waiting.key) == (waiting.item_id, 2)
    revealed = [row for row in moves.log() if row.action == "version.reveal"]
    assert [(row.actor, row.details["purpose"]) for row in revealed] == [("partner", "pickup")] * 3
    assert waiting.key not in repr(moves.log())
    assert moves.verify().whole


def test_an_hour_after_it_arrived_the_digest_alone_is_left(moves: Moves, clock: Any, waiting: Waiting) -> None:
    moves.collect(waiting.token)
    clock.advance(HOUR - MINUTE)
    moves.services.night.resume_sweep.find_work()
    assert moves.collect(waiting.token).key.expose() == waiting.key, "repeating it does not make it longer"
    clock.advance(MINUTE)
    with pytest.raises(RefusedError, match=f"it was kept for an hour after it: .*`nightkey item rotate {KEY}`"):
        moves.collect(waiting.token)
    assert moves.services.rotation.pickups.end_arrived(actor="night") == 1
    assert moves.services.rotation.pickups.end_arrived(actor="night") == 0
    (row,) = moves.sql(select(versions.c.record, versions.c.digest).where(versions.c.number == 2))
    assert row.record is None
    assert moves.check_key(waiting.key) == (waiting.item_id, 2)
    with pytest.raises(RefusedError, match="it was kept for an hour"):
        moves.collect(waiting.token)
    (forgotten,) = [row for row in moves.log() if row.action == "version.forget-value"]
    assert (forgotten.actor, forgotten.details["reason"]) == ("night", "it arrived an hour ago")


@pytest.mark.parametrize("sweep", ["resume", "night"])
def test_both_sweeps_forget_what_arrived(moves: Moves, clock: Any, waiting: Waiting, sweep: str) -> None:
    moves.collect(waiting.token)
    clock.advance(HOUR)
    if sweep == "resume":
        moves.services.night.resume_sweep.find_work()
    else:
        moves.services.night.nights.begin(clock())
    (row,) = moves.sql(select(versions.c.record).where(versions.c.number == 2))
    assert row.record is None


@pytest.mark.both
def test_what_arrived_is_found_by_index(moves: Moves, database_url: str) -> None:
    if not database_url.startswith("sqlite"):
        pytest.skip("a table without rows is read whole on PostgreSQL")
    arrived = "arrived_at IS NOT NULL AND arrived_at <= '2026-01-01' AND ended_at IS NULL"
    query = f"SELECT id FROM pickups WHERE {arrived}"
    assert "ix_pickups_ending" in str(moves.sql(f"EXPLAIN QUERY PLAN {query}"))


def test_an_answer_that_was_not_written_does_not_count(moves: Moves, clock: Any, waiting: Waiting) -> None:
    def lose(_: Collected) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        moves.services.rotation.pickups.collect(waiting.token, actor="partner", show=lose)
    assert overdue(moves) == []
    clock.advance(100 * HOUR)
    moves.services.night.resume_sweep.find_work()
    assert overdue(moves) == [(KEY, "partner")]
    (pickup,) = moves.sql(select(pickups))
    assert (pickup.taken_by, pickup.arrived_at, pickup.ended_at) == ("partner", None, None)
    with pytest.raises(RefusedError, match="by partner: if that should not have been"):
        moves.collect(waiting.token, actor="stranger")
    assert moves.collect(waiting.token).key.expose() == waiting.key
    (pickup,) = moves.sql(select(pickups))
    assert pickup.arrived_at == clock()
    assert overdue(moves) == []


def test_a_key_that_is_used_has_arrived_whatever_was_noted(moves: Moves, clock: Any, waiting: Waiting) -> None:
    assert moves.present(waiting.key) == (waiting.item_id, 2)
    (pickup,) = moves.sql(select(pickups))
    assert (pickup.arrived_at, pickup.ended_at) == (clock(), clock())
    with pytest.raises(RefusedError):
        moves.collect(waiting.token)


def test_somebody_else_is_told_by_whom_and_when_it_was_collected(
    moves: Moves, clock: Any, waiting: Waiting
) -> None:
    when = f"{clock():%Y-%m-%d %H:%M} UTC"
    moves.collect(waiting.token, actor="user:eve")
    for wait in (MINUTE, HOUR):
        clock.advance(wait)
        with pytest.raises(RefusedError) as refused:
            moves.collect(waiting.token, actor="user:ann")
        assert str(refused.value) == (
            f"the key of {KEY} was collected already, at {when} by user:eve: if that should not have been, "
            f"`nightkey item rotate {KEY} --compromised` replaces it"
        )
    refusals = [row for row in moves.log() if row.action == "pickup.refuse"]
    assert [(row.actor, row.subject, row.details["why"]) for row in refusals] == [
        ("user:ann", waiting.pickup_id, "others")
    ] * 2
    assert moves.verify().whole


@pytest.mark.both
def test_of_two_who_collect_at_once_one_gets_the_key(moves: Moves, waiting: Waiting) -> None:
    outcomes = race(2, lambda number: moves.collect(waiting.token, actor=f"user:{number}"))
    (collected,) = [outcome for outcome in outcomes if isinstance(outcome, Collected)]
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert collected.key.expose() == waiting.key
    assert isinstance(refused, RefusedError)
    assert [row.action for row in moves.log()].count("version.reveal") == 1
    assert moves.verify().whole


def test_the_key_of_a_new_item_is_kept_for_its_creator(moves: Moves, waiting: Waiting) -> None:
    services, name = moves.services, "api-key:another"
    with services.database.write() as connection:
        created = services.vault.create(connection, name=name, value=None, policy=Policy(), actor="user:ann")
        first = services.rotation.pickups.keep_first(connection, created, actor="user:ann")
    assert first is not None
    key = first.key.expose()
    with services.database.read() as connection:
        services.rotation.pickups.check_first(connection, name, actor="user:bob")
        with pytest.raises(RefusedError, match=services.rotation.pickups.token(first.pickup_id)):
            services.rotation.pickups.check_first(connection, name, actor="user:ann")
    with pytest.raises(RefusedError, match="by user:ann: if that should not have been"):
        moves.collect(services.rotation.pickups.token(first.pickup_id), actor="user:bob")
    assert moves.collect(services.rotation.pickups.token(first.pickup_id), actor="user:ann").key.expose() == key
    assert moves.present(key) == (created.item.id, 1)
    with services.database.read() as connection:
        services.rotation.pickups.check_first(connection, name, actor="user:ann")


def test_of_a_deleted_item_nothing_is_left_to_collect(moves: Moves, clock: Any, waiting: Waiting) -> None:
    moves.collect(waiting.token)
    moves.delete(KEY)
    with pytest.raises(RefusedError, match="no key waits"):
        moves.collect(waiting.token)
    clock.advance(HOUR)
    moves.services.night.resume_sweep.find_work()


def test_a_wrong_token_gives_nothing_and_spends_nothing(moves: Moves, waiting: Waiting, tmp_path: Path) -> None:
    before = len(moves.log())
    proof = waiting.token.rpartition("_")[2]
    stranger = Keyring.create(tmp_path / "other" / "keyring.json")
    for wrong in (
        "",
        "_",
        waiting.pickup_id,
        f"{waiting.pickup_id}_",
        f"{waiting.pickup_id}_{'0' * 32}",
        f"{waiting.pickup_id}_{proof[:-1]}",
        f"{waiting.pickup_id}_{proof.upper()}",
        f"clm_01jq8zk4m5n6p7q8r9s0t1v2w3_{proof}",
        waiting.token + "0",
        pickup_token(stranger, waiting.pickup_id),
        f"{waiting.pickup_id}_\N{KEY}",
        "\udcff\udcfe",
    ):
        assert wrong != waiting.token
        with pytest.raises(RefusedError, match="no key waits for that token"):
            moves.collect(wrong, actor="stranger")
    assert len(moves.log()) == before
    assert moves.collect(waiting.token).key.expose() == waiting.key


def test_the_token_of_a_pickup_that_never_was_gives_nothing(moves: Moves, waiting: Waiting) -> None:
    token = pickup_token(moves.services.keyring, "clm_01jq8zk4m5n6p7q8r9s0t1v2w3")
    with pytest.raises(RefusedError, match="no key waits"):
        moves.collect(token)


@pytest.mark.both
def test_a_pickup_that_was_withdrawn_gives_nothing(moves: Moves, waiting: Waiting) -> None:
    with moves.services.database.write() as connection:
        moves.services.rotation.pickups.withdraw(connection, ROTATION)
    with pytest.raises(RefusedError, match="no key waits"):
        moves.collect(waiting.token)
    assert moves.reveal(waiting.item_id, 2, Purpose.TEST) == waiting.key


def test_who_has_seen_a_key_stays_on_record_when_it_is_taken_back(moves: Moves, waiting: Waiting) -> None:
    moves.collect(waiting.token)
    with moves.services.database.write() as connection:
        moves.services.rotation.pickups.withdraw(connection, ROTATION)
    assert [(row.id, row.taken_by) for row in moves.sql(select(pickups))] == [(waiting.pickup_id, "partner")]
    with pytest.raises(RefusedError, match="no key waits"):
        moves.collect(waiting.token)


def test_a_key_that_is_taken_back_while_it_is_shown_has_not_arrived(moves: Moves, waiting: Waiting) -> None:
    def show(_: Collected) -> None:
        with moves.services.database.write() as connection:
            moves.services.rotation.pickups.withdraw(connection, ROTATION)

    with pytest.raises(RefusedError, match="was taken back at the same moment: it opens nothing"):
        moves.services.rotation.pickups.collect(waiting.token, actor="partner", show=show)


def test_a_pickup_whose_key_does_not_open_is_not_spent(moves: Moves, waiting: Waiting) -> None:
    (kept,) = moves.sql(select(versions.c.record).where(versions.c.number == 2))
    moves.sql(update(versions).where(versions.c.number == 2).values(record=kept.record[::-1]))
    with pytest.raises(SealError):
        moves.collect(waiting.token)
    moves.sql(update(versions).where(versions.c.number == 2).values(record=kept.record))
    assert moves.collect(waiting.token).key.expose() == waiting.key


def test_neither_token_nor_proof_is_stored(moves: Moves, waiting: Waiting) -> None:
    stored = repr(moves.sql(select(pickups))) + repr(moves.log())
    assert waiting.pickup_id in stored
    assert waiting.token.rpartition("_")[2] not in stored


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_collected_key_is_nowhere_in_the_files_of_the_database(
    moves: Moves, waiting: Waiting, tmp_path: Path
) -> None:
    (row,) = moves.sql(select(versions.c.record, versions.c.wrapped_key).where(versions.c.number == 2))
    pieces = (row.record[-32:], row.record[5:37], row.wrapped_key[-32:])
    assert all(piece in _files(tmp_path) for piece in pieces)
    moves.collect(waiting.token)
    moves.present(waiting.key)
    assert not [piece for piece in pieces if piece in _files(tmp_path)]


def overdue(moves: Moves) -> list[tuple[str | None, str | None]]:
    with moves.services.database.read() as connection:
        found = pickup_rows.overdue(connection, moves.services.clock())
    return [(pickup.item, pickup.taken_by) for pickup in found]


def _open(moves: Moves, item_id: str, number: int) -> tuple[str, str]:
    with moves.services.database.write() as connection:
        pickup_id = moves.services.rotation.pickups.open(
            connection, item_id=item_id, number=number, rotation_id=ROTATION, expires_at=None
        )
    return pickup_id, pickup_token(moves.services.keyring, pickup_id)


def _files(folder: Path) -> bytes:
    return b"\0".join(file.read_bytes() for file in sorted(folder.glob("test.db*")))
