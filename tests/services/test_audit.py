"""The audit log: whatever is done to it behind our back shows, and no change is kept without its row."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, update

from tests.services.conftest import TOKEN, Moves, race
from vaultcore.audit import Anchor, AuditLog
from vaultcore.crypto.keyring import Keyring
from vaultcore.errors import AuditError, ConflictError, InvalidInputError, NotFoundError
from vaultcore.stored import do_apart
from vaultcore.tables import audit, audit_head, items
from vaultcore.versions import Purpose
from vaultcore.written_last import savepoint
from worker.bootstrap import Services

pytestmark = pytest.mark.rules


SECOND = timedelta(seconds=1)


@pytest.fixture
def log(moves: Moves) -> Moves:
    """A log of nine rows: the digests of all rows, the operators, and the life of one item."""
    item = moves.add(days=30).item
    moves.use("ticket-sync", TOKEN)
    moves.stage(item.id, "the-second-value")
    moves.activate(item.id, new=2, old=1)
    moves.reveal(item.id, 2)
    moves.reactivate(item.id, good=1, bad=2)
    moves.destroy(item.id, 2)
    assert [row.seq for row in moves.log()] == list(range(1, 10))
    assert moves.verify().problems == ()
    assert moves.verify().rows == 9
    return moves


EDITS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "at": lambda row: {"at": row.at + timedelta(microseconds=1)},
    "actor": lambda _: {"actor": "somebody"},
    "action": lambda row: {"action": row.action + "d"},
    "subject": lambda row: {"subject": row.subject.upper()},
    "details": lambda row: {"details": {**row.details, "version": 7}},
    "details-emptied": lambda _: {"details": {}},
    "hash": lambda row: {"hash": bytes([row.hash[0] ^ 1]) + row.hash[1:]},
    "hash-emptied": lambda _: {"hash": b""},
}


def test_a_row_that_was_edited_in_any_column_is_named(log: Moves) -> None:
    for seq in (1, 4, 9):
        row = log.log()[seq - 1]
        original = {
            name: getattr(row, name) for name in ("at", "actor", "action", "subject", "details", "hash")
        }
        for edit in EDITS.values():
            log.sql(update(audit).where(audit.c.seq == seq).values(edit(row)))
            assert log.verify().problems[0] == f"row {seq} was edited, or put in another's place"
            log.sql(update(audit).where(audit.c.seq == seq).values(original))
    assert log.verify().whole


def test_a_row_that_was_removed_is_named(log: Moves) -> None:
    log.sql(delete(audit).where(audit.c.seq == 4))
    verdict = log.verify()
    assert verdict.problems == ("row 4 is missing",)
    assert not verdict.whole
    log.sql(delete(audit).where(audit.c.seq.in_([1, 2, 7])))
    assert log.verify().problems == ("rows 1 to 2 are missing", "row 4 is missing", "row 7 is missing")


def test_a_gap_that_was_closed_is_seen_too(log: Moves) -> None:
    log.sql(delete(audit).where(audit.c.seq == 4))
    for seq in range(5, 10):
        log.sql(update(audit).where(audit.c.seq == seq).values(seq=seq - 1))
    log.sql(update(audit_head).values(seq=8))
    assert log.verify().problems[0] == "row 4 was edited, or put in another's place"


def test_rows_that_changed_places_are_both_named(log: Moves) -> None:
    for seq, to in ((4, 100), (5, 4), (100, 5)):
        log.sql(update(audit).where(audit.c.seq == seq).values(seq=to))
    problems = log.verify().problems
    for seq in (4, 5):
        assert f"row {seq} was edited, or put in another's place" in problems


def test_a_tail_that_was_cut_off_is_named_while_the_head_knows_it(log: Moves) -> None:
    log.sql(delete(audit).where(audit.c.seq > 8))
    assert log.verify().problems == ("row 9 is missing: the log was cut off",)
    log.sql(delete(audit).where(audit.c.seq > 5))
    assert log.verify().problems == ("rows 6 to 9 are missing: the log was cut off",)
    log.sql(delete(audit))
    assert log.verify().problems == ("rows 1 to 9 are missing: the log was cut off",)


def test_a_tail_that_was_cut_off_with_its_head_is_shown_by_an_anchor(log: Moves, clock: Any) -> None:
    anchor = _anchor(log, clock())
    row = log.log()[4]
    log.sql(delete(audit).where(audit.c.seq > 5))
    log.sql(update(audit_head).values(seq=5, hash=row.hash))
    assert log.verify().whole  # which is why there are anchors
    assert log.verify(anchor).problems == ("rows 6 to 9 are missing: the anchor knows a longer log",)

    for _ in range(6):  # a log that has grown again is not the one that was anchored
        log.update(TOKEN, expires_at=None)
    assert log.verify().whole
    assert log.verify(anchor).problems == ("row 9 is not the one that the anchor was made of",)


def test_an_anchor_lies_in_a_log_that_grew(log: Moves, clock: Any) -> None:
    anchors = [_anchor(log, clock())]
    for _ in range(3):
        log.update(TOKEN, expires_at=None)
        anchors.append(_anchor(log, clock()))
    assert [anchor.seq for anchor in anchors] == [9, 10, 11, 12]
    assert log.verify(*anchors).whole


def test_a_row_that_was_added_is_named(log: Moves, clock: Any) -> None:
    forged = {
        "seq": 10, "at": clock(), "actor": "owner", "action": "item.delete", "subject": "vlt_x",
        "details": {}, "hash": log.log()[-1].hash,
    }  # fmt: skip
    log.sql(insert(audit).values(forged))
    edited, added = log.verify().problems
    assert edited == "row 10 was edited, or put in another's place"
    assert "10" in added
    assert added.endswith("added behind the head's back")
    log.sql(update(audit_head).values(seq=10, hash=log.log()[-1].hash))
    assert log.verify().problems == ("row 10 was edited, or put in another's place",)


def test_a_row_that_another_keyring_chained_is_forged(log: Moves, clock: Any, tmp_path: Path) -> None:
    other = Keyring.create(tmp_path / "other" / "keyring.json")
    with log.services.database.write() as connection:
        AuditLog(other.audit_key, other.signing_key).append(
            connection, at=clock(), actor="owner", action="item.delete", subject="vlt_x"
        )
    assert log.verify().problems == ("row 10 was edited, or put in another's place",)


def test_a_head_that_was_changed_or_taken_away_is_said(log: Moves) -> None:
    log.sql(update(audit_head).values(hash=bytes(32)))
    assert log.verify().problems == ("the head does not belong to the last row",)
    log.sql(delete(audit_head))
    assert log.verify().problems == ("the head row is missing",)


def test_there_is_never_a_second_head(log: Moves) -> None:
    for number in (1, 2):
        with pytest.raises(ConflictError):
            log.sql(insert(audit_head).values(id=number, seq=0, hash=bytes(32)))


def test_many_problems_are_cut_to_twenty(log: Moves) -> None:
    for _ in range(20):
        log.update(TOKEN, expires_at=None)
    log.sql(update(audit).values(actor="somebody"))
    verdict = log.verify()
    assert (verdict.rows, len(verdict.problems)) == (29, 20)


def test_a_chain_of_more_than_a_page_is_whole_and_its_middle_is_watched(moves: Moves, clock: Any) -> None:
    with moves.services.database.write() as connection:
        for number in range(1500):
            clock.advance(SECOND)
            moves.services.audit.append(
                connection,
                at=clock(),
                actor="tester",
                action="test.row",
                subject=f"row \N{KEY} {number}",
                n=number,
            )
    assert moves.verify().whole
    assert moves.verify().rows == 1502
    moves.sql(update(audit).where(audit.c.seq == 1001).values(actor="somebody"))
    assert moves.verify().problems == ("row 1001 was edited, or put in another's place",)


# No audit row, no change


def test_a_change_whose_audit_row_cannot_be_written_is_not_kept(moves: Moves) -> None:
    item = moves.add(days=30).item
    number = moves.stage(item.id, "the-second-value")
    before = (moves.get(TOKEN), moves.stages(item.id))
    # Where the next row would go there is one already.
    moves.sql(update(audit).where(audit.c.seq == 1).values(seq=moves.log()[-1].seq + 1))
    changes: tuple[Callable[[], object], ...] = (
        lambda: moves.add("prod-crm-password"),
        lambda: moves.update(TOKEN, owner_ids=(), expires_at=None),
        lambda: moves.activate(item.id, new=number, old=1),
        lambda: moves.destroy(item.id, number),
        lambda: moves.reveal(item.id, 1, Purpose.TEST),
        lambda: _create_owner(moves, "support"),
    )
    for change in changes:
        with pytest.raises(AuditError):
            change()
    moves.sql(delete(audit_head))
    for change in changes:
        with pytest.raises(AuditError):
            change()

    assert (moves.get(TOKEN), moves.stages(item.id)) == before
    assert [row.name for row in moves.sql(select(items))] == [TOKEN]
    with moves.services.database.read() as connection, pytest.raises(NotFoundError):
        moves.services.owners.get(connection, "support")


def test_a_part_of_a_change_that_may_fail_alone_does_not_hide_that_nothing_can_be_recorded(
    moves: Moves,
) -> None:
    item = moves.add(days=30).item
    last = moves.log()[-1].seq
    moves.sql(delete(audit).where(audit.c.seq == last))
    database, vault = moves.services.database, moves.services.vault

    def change() -> None:
        with database.write() as connection:
            vault.update(connection, TOKEN, expires_at=None, actor="test")
            do_apart(connection, TOKEN, lambda name: vault.get(connection, name))

    with pytest.raises(AuditError):
        change()
    assert moves.get(TOKEN).expires_at == item.expires_at


def test_a_change_that_is_taken_back_takes_its_audit_row_along(moves: Moves) -> None:
    item = moves.add().item
    before = len(moves.log())

    def begin_twice() -> None:
        with moves.services.database.write() as connection:
            moves.services.versions.begin_pending(connection, item.id, actor="test")
            assert moves.services.audit.verify(connection).rows == before + 1
            moves.services.versions.begin_pending(connection, item.id, actor="test")

    with pytest.raises(ConflictError):
        begin_twice()
    assert moves.stages(item.id) == ["current"]
    assert len(moves.log()) == before
    moves.begin(item.id)
    assert moves.verify().whole


@pytest.mark.both
def test_writers_at_once_leave_one_gapless_chain(moves: Moves) -> None:
    writers, changes = 4, 25
    for writer in range(writers):
        moves.add(f"prod-service-{writer}")
    before = len(moves.log())

    def write(writer: int) -> None:
        for number in range(changes):
            shared = number % 5 == 0
            name = "prod-service-0" if shared else f"prod-service-{writer}"
            moves.update(name, value=None if shared else f"value-{writer}-{number}")

    assert race(writers, write) == [None] * writers
    rows = moves.log()
    assert [row.seq for row in rows] == list(range(1, before + writers * changes + 1))
    assert moves.verify().whole
    for writer in range(writers):
        assert moves.get(f"prod-service-{writer}").version == 21


# Anchors


def test_a_signed_anchor_is_read_back_and_nothing_else_is(log: Moves, clock: Any, tmp_path: Path) -> None:
    ours = log.services.audit
    anchor = _anchor(log, clock())
    line = ours.sign(anchor)
    assert ours.read_anchor(line, source="here") == anchor
    assert "\n" not in line

    other = Keyring.create(tmp_path / "other" / "keyring.json")
    foreign = AuditLog(other.audit_key, other.signing_key).sign(anchor)
    wrong = (
        foreign,
        line.replace('"seq": 9', '"seq": 8'),
        line.replace(anchor.hash.hex(), bytes(32).hex()),
        line.replace("2026-03-01", "2026-03-02"),
        line[:-1],
        "{}",
        "[]",
        "9",
        "null",
        "",
    )
    for text in wrong:
        assert text != line
        with pytest.raises(InvalidInputError, match=r"^here holds no anchor"):
            ours.read_anchor(text, source="here")


def test_the_file_of_anchors_shows_a_log_that_was_cut_back(log: Moves, tmp_path: Path) -> None:
    anchoring = log.services.upkeep.anchors
    (file,) = log.services.settings.home.glob("audit-anchors*")
    written = len(file.read_text().splitlines())
    assert written == 5  # one for each time that a value was made, moved or destroyed
    file.unlink()
    kept = tmp_path / "kept-elsewhere.jsonl"
    kept.write_text(anchoring.anchor() + "\n\n")
    log.update(TOKEN, expires_at=None)
    anchoring.anchor()
    assert anchoring.verify(kept).whole
    assert len(file.read_text().splitlines()) == 3  # the change itself wrote one
    assert file.stat().st_mode & 0o777 == 0o600

    row = log.log()[4]
    log.sql(delete(audit).where(audit.c.seq > 5))
    log.sql(update(audit_head).values(seq=5, hash=row.hash))
    assert anchoring.verify().problems == (
        "rows 6 to 9 are missing: the anchor knows a longer log",
        "rows 6 to 10 are missing: the anchor knows a longer log",
    )
    file.unlink()
    assert anchoring.verify().whole
    assert not anchoring.verify(kept).whole
    with pytest.raises(InvalidInputError, match="cannot be read as a file of anchors"):
        anchoring.verify(tmp_path / "nowhere.jsonl")


@pytest.mark.both
def test_what_was_undone_within_a_transaction_is_anchored_nowhere(services: Services, clock: Any) -> None:
    def note(connection: Connection, action: str) -> None:
        services.audit.append(connection, at=clock(), actor="test", action=action, subject="vlt_1")

    def fail(connection: Connection) -> None:
        with savepoint(connection):
            note(connection, "version.activate")
            services.audit.make_anchor(connection, clock())  # writes what was kept so far
            raise NotFoundError("there is none")

    with services.database.write() as connection:
        with pytest.raises(NotFoundError):
            fail(connection)
        note(connection, "else")
    assert services.anchors.explain_older() is None
    assert services.anchors.verify().whole
    with services.database.engine.connect() as connection:
        note(connection, "version.activate")
        connection.rollback()
    with services.database.write() as connection:
        note(connection, "else")
    assert services.anchors.explain_older() is None
    assert services.anchors.verify().whole


def _anchor(moves: Moves, at: datetime) -> Anchor:
    with moves.services.database.read() as connection:
        return moves.services.audit.make_anchor(connection, at)


def _create_owner(moves: Moves, name: str) -> None:
    with moves.services.database.write() as connection:
        moves.services.owners.create(connection, name, actor="test")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_cannot_be_read_is_told_as_edited_and_hides_no_other(moves: Moves) -> None:
    moves.add()
    moves.add("prod-crm-api-token")
    last = moves.log()[-1].seq
    moves.sql("UPDATE audit SET hash = 'a text' WHERE seq = 2")
    assert moves.verify().problems == ("row 2 was edited, or put in another's place",)
    moves.sql("UPDATE audit_head SET hash = 'a text'")
    assert moves.verify().problems[1:] == ("the head row cannot be read (hash)",)
    with pytest.raises(AuditError):
        moves.add("prod-mail-password")
    assert moves.log()[-1].seq == last
