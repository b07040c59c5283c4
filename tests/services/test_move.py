"""A vault moves to another database: every row of every table, cut off anywhere, and the old one as it was."""

import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, make_url, select, update
from sqlalchemy.exc import SQLAlchemyError

from tests.conftest import Clock
from tests.forking import PATIENCE, processes
from tests.furnished_tables import DUE, FIRST_VALUE, make_full_vault
from tests.postgres import create_database, drop_database, run_sql, show_for_sqlalchemy, wait_until_left
from tests.services.damaged import run_night
from vaultcore.database import Database
from vaultcore.errors import ConfigurationError, NightkeyError, RefusedError, TroubleError
from vaultcore.model import Policy, Stage
from vaultcore.schema import SCHEMA_REVISION
from vaultcore.secret import Secret
from vaultcore.tables import audit, items, metadata
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.config import Settings, load_settings
from worker.domain.moves import CopyFault, Hindrance, Moved, MoveProgress, Phase, RowDifference, Stance
from worker.domain.pulses import PulseKind
from worker.domain.signs import SignOfLife
from worker.installation import make_moves, make_restores
from worker.rows import signs as sign_rows
from worker.rows.tables import run_logs

LONG = [pytest.mark.long, pytest.mark.rules]
"""What `make databases` asks."""
PAGE = 5
"""So few rows at once that most tables have several pages."""
_numbers = count(1)


class Old:
    """A vault on SQLite, and an empty database to move to."""

    def __init__(self, home: Path, target: str, clock: Clock) -> None:
        self.home, self.target, self.clock = home, target, clock

    @property
    def file(self) -> Path:
        return self.home / "nightkey.db"

    def settings(self, database_url: str = "") -> Settings:
        return load_settings(self.home, database_url=database_url, page_size=PAGE)

    def move(
        self,
        *,
        rehearse: bool = False,
        tell: Callable[[MoveProgress], None] = lambda _: None,
        to: str | None = None,
    ) -> Moved:
        moves = make_moves(self.settings(), self.clock)
        target = to or self.target
        return moves.rehearse(target, tell) if rehearse else moves.move(target, tell, actor="test")

    @contextmanager
    def open(self, database_url: str = "") -> Iterator[Services]:
        services = Services(self.settings(database_url), self.clock)
        try:
            yield services
        finally:
            services.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Clock]:
    home, clock = tmp_path_factory.mktemp("made") / "home", Clock()
    make_full_vault(home, clock)
    return home, clock


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    name = f"moved_{next(_numbers)}"
    yield show_for_sqlalchemy(create_database(postgres, name))
    drop_database(postgres, name)


@pytest.fixture
def old(made: tuple[Path, Clock], empty: str, tmp_path: Path) -> Old:
    home, clock = tmp_path / "home", Clock()
    shutil.copytree(made[0], home)
    clock.now = made[1].now
    return Old(home, empty, clock)


def read_all(address: str) -> dict[str, list[tuple[Any, ...]]]:
    """Each table's rows as the services read them, in one order for all databases."""
    database = Database(address)
    try:
        with database.read() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for table in metadata.sorted_tables
            }
    finally:
        database.dispose()


def read_all_but_the_last_of_the_log(address: str) -> dict[str, list[tuple[Any, ...]]]:
    rows = read_all(address)
    last = max(row[0] for row in rows["audit"])
    rows["audit"] = [row for row in rows["audit"] if row[0] != last]
    return {name: found for name, found in rows.items() if name != "audit_head"}


def sql(address: str, *statements: str) -> None:
    run_sql(address.replace("+psycopg", ""), *statements)


def test_a_vault_moves_whole_and_the_old_one_stays_as_it_was(old: Old) -> None:
    content, before = old.file.read_bytes(), read_all(f"sqlite:///{old.file}")
    told: list[MoveProgress] = []

    moved = old.move(tell=told.append)

    assert old.file.read_bytes() == content
    assert not old.file.with_name("nightkey.db-wal").exists()
    assert moved.is_handed_over
    assert moved.is_whole
    assert moved.copied == sum(moved.counts.values()) == sum(map(len, before.values()))
    assert set(moved.counts) == set(metadata.tables)
    assert {one.phase for one in told} == set(Phase)
    assert max(one.done for one in told) == moved.copied
    head = before.pop("audit_head")[0]
    assert read_all_but_the_last_of_the_log(old.target) == before
    with old.open(old.target) as services:
        services.check()
        assert services.upkeep.anchors.verify().whole
        assert services.upkeep.row_verification.check_all().wrong == ()
        with services.database.write() as connection:
            last = connection.execute(select(audit).where(audit.c.seq == head[1] + 1)).one()
            assert (last.action, last.actor) == ("vault.move", "test")
            item = services.vault.get(connection, DUE)
            value = services.versions.reveal(connection, item.id, 1, purpose=Purpose.RUN, actor="test")
            assert value.expose() == FIRST_VALUE
            # A copied row would leave a sequence behind.
            assert connection.exec_driver_sql("SELECT * FROM pg_sequences").all() == []
    assert count_empty(old.target) == count_empty(f"sqlite:///{old.file}") > 0


def count_empty(address: str) -> int:
    """Fields of JSON that hold nothing, and not the JSON that is null."""
    database = Database(address)
    try:
        with database.read() as connection:
            return int(
                connection.exec_driver_sql(
                    "SELECT count(*) FROM credential_checks WHERE detail IS NULL"
                ).scalar_one()
            )
    finally:
        database.dispose()


def test_a_night_on_the_moved_vault_rotates_and_the_old_one_is_refused(old: Old) -> None:
    old.move()
    rows = read_all(old.target)
    (old.home / "audit-anchors.jsonl").unlink()  # as if it had been killed before that
    again = old.move()
    assert (again.stance, again.copied, again.is_handed_over) == (Stance.MOVED, 0, True)
    assert read_all(old.target) == rows
    with old.open() as services, pytest.raises(RefusedError, match=r"Was the vault moved .*database_url"):
        services.check()
    old.clock.advance(timedelta(days=1))
    with old.open(old.target) as services:
        services.check()
        run_night(services)
        with services.database.read() as connection:
            item = services.vault.get(connection, DUE)
            stages = [version.stage for version in services.versions.of_item(connection, item.id)]
        assert item.version == 2
        assert stages[0] in (Stage.PREVIOUS, Stage.DESTROYED)
        assert services.upkeep.anchors.verify().whole
        assert services.upkeep.row_verification.check_all().wrong == ()


def test_going_back_is_answered_for_by_a_person(old: Old) -> None:
    old.move()
    make_restores(old.settings(), old.clock).adopt(actor="test")
    with old.open() as services:
        services.check()
        with services.database.read() as connection:
            item_id = services.vault.get(connection, DUE).id
            assert services.rotation.comparison.is_open(connection, item_id)
    with old.open(old.target) as services, pytest.raises(RefusedError, match="is not the one that was here"):
        services.check()


def test_the_old_one_does_not_pass_for_the_vault_by_what_is_written_to_it(old: Old) -> None:
    """Whatever is changed there: with rows enough of its own, its log would be as long as the vault's."""
    old.move()
    for number in range(3):  # a process each, as commands are
        with old.open() as services, services.database.write() as connection:
            services.vault.create(
                connection, name=f"late-{number}", value=Secret("late"), policy=Policy(), actor="test"
            )
    with old.open() as services:
        with pytest.raises(RefusedError, match="is not the one that was here"):
            services.check()
        with pytest.raises(RefusedError, match="is not the one that was here"):
            services.anchors.anchor()
    with old.open(old.target) as services:
        services.check()
        assert services.anchors.verify().whole


@pytest.mark.long
@pytest.mark.rules
def test_a_copy_that_somebody_made_is_no_move_that_has_ended(old: Old) -> None:
    old.move(rehearse=True)
    sql(
        old.target,
        f"UPDATE alembic_version SET version_num = '{SCHEMA_REVISION}'",
        "DROP TABLE nightkey_moves, nightkey_move_places",
    )
    assert "has this vault already" in refusal(old)


@pytest.mark.long
@pytest.mark.rules
def test_two_that_went_apart_are_told(old: Old) -> None:
    old.move()
    with old.open() as services, services.database.write() as connection:
        services.owners.create(connection, "late", actor="test")
    with pytest.raises(RefusedError, match="has this vault already, and the one here was written to"):
        old.move()


POINTS = [
    ("CREATE TABLE items", False),
    ("INSERT INTO owners", False),
    ("INSERT INTO versions", False),
    ("INSERT INTO run_versions", True),
    ("DROP TABLE nightkey_moves", False),
    ("DROP TABLE nightkey_moves", True),
]
"""In the middle of a statement's transaction, or right after that."""


@pytest.mark.parametrize("points", [POINTS[2::3], pytest.param(POINTS, marks=LONG)], ids=["some", "all"])
def test_it_goes_on_wherever_it_was_killed(old: Old, points: list[tuple[str, bool]]) -> None:
    content = old.file.read_bytes()
    rows = 0
    for words, is_after in points:
        child = processes.Process(target=_move_and_die, args=(old.home, old.target, old.clock, words, is_after))
        child.start()
        child.join(PATIENCE)
        assert child.exitcode == -signal.SIGKILL, words
        wait_until_left(old.target)
        assert _count(old.target) >= rows, words
        rows = _count(old.target)
        if (words, is_after) == POINTS[-1]:
            break
        with old.open(old.target) as services, pytest.raises(ConfigurationError):
            services.check()
    assert rows > PAGE
    assert old.move().stance is Stance.MOVED
    assert old.file.read_bytes() == content
    before = read_all(f"sqlite:///{old.file}")
    del before["audit_head"]
    assert read_all_but_the_last_of_the_log(old.target) == before


def _move_and_die(home: Path, target: str, clock: Clock, words: str, is_after: bool) -> None:
    """In a process of its own: after the statement, or after the next one that follows its commit."""
    seen: list[str] = []

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "committed" in seen or (words in statement and not is_after):
            signal.raise_signal(signal.SIGKILL)
        if words in statement:
            seen.append("said")

    event.listen(Engine, "after_cursor_execute", look)
    event.listen(Engine, "commit", lambda _: seen.append("committed") if seen else None)
    Old(home, target, clock).move()


def _count(address: str) -> int:
    with suppress(SQLAlchemyError, TroubleError):
        return sum(map(len, read_all(address).values()))
    return 0


@pytest.mark.long
@pytest.mark.rules
def test_a_second_one_copies_only_what_the_first_did_not(old: Old) -> None:
    class CutError(Exception):
        pass

    def cut(progress: MoveProgress) -> None:
        if progress.phase is Phase.COPYING and progress.done > 60:
            raise CutError

    with pytest.raises(CutError):
        old.move(tell=cut)
    copied = _count(old.target)
    moved = old.move()
    assert copied > 60
    assert moved.stance is Stance.BEGUN
    assert moved.copied == sum(moved.counts.values()) - copied
    assert moved.written_since == ()
    assert moved.is_handed_over


@pytest.mark.long
@pytest.mark.rules
def test_a_rehearsal_leaves_the_vault_where_it_was(old: Old) -> None:
    moved = old.move(rehearse=True)
    assert moved.is_whole
    assert not moved.is_handed_over
    with old.open() as services:
        services.check()
        with services.database.read() as connection:
            item_id = services.vault.get(connection, DUE).id
        services.upkeep.anchors.anchor()
    with old.open(old.target) as services, pytest.raises(ConfigurationError, match="has not ended"):
        services.check()
    _write_to_old(old, item_id)
    again = old.move()
    assert again.copied == sum(again.counts.values())
    assert RowDifference(table="items", key=item_id, fault=CopyFault.DIFFERS, fields=("updated_at",)) in _bare(
        again
    )
    assert again.is_handed_over
    before = read_all(f"sqlite:///{old.file}")
    del before["audit_head"]
    assert read_all_but_the_last_of_the_log(old.target) == before


def _bare(moved: Moved) -> list[RowDifference]:
    """Of what differs in items, the time alone."""
    return [
        replace(one, fields=tuple(field for field in one.fields if field == "updated_at"))
        for one in moved.written_since
    ]


def _write_to_old(old: Old, item_id: str) -> None:
    """A row is changed, one comes in between others, and one goes."""
    old.clock.advance(timedelta(minutes=1))
    with old.open() as services, services.database.write() as connection:
        services.vault.update(connection, item_id, labels={"env": "prod"}, actor="test")
        connection.execute(run_logs.delete().where(run_logs.c.id == "odd-3"))
        log = dict(connection.execute(select(run_logs).limit(1)).one()._mapping)
        connection.execute(run_logs.insert().values(log | {"id": "a-first"}))


def test_a_rehearsal_sees_one_state_of_a_vault_at_work(old: Old) -> None:
    def write(progress: MoveProgress) -> None:
        if progress.phase is Phase.COPYING and not written:
            with services.database.write() as connection:
                connection.execute(run_logs.delete().where(run_logs.c.id == "odd-3"))
            written.append(True)

    written: list[bool] = []
    with old.open() as services:
        assert services.vault is not None
        planned = make_moves(old.settings(), old.clock).plan(old.target, lambda _: None)
        assert [one.kind for one in planned.obstacles] == [Hindrance.LOCKED]
        assert old.move(rehearse=True, tell=write).is_whole
    assert written
    again = old.move()
    assert again.written_since == (RowDifference(table="run_logs", key="odd-3", fault=CopyFault.ADDED),)
    assert again.is_whole


CHANGES = {
    "items": (
        f"UPDATE items SET due_at = due_at + interval '1 microsecond' WHERE name = '{DUE}'",
        CopyFault.DIFFERS,
    ),
    "run_logs": ("UPDATE run_logs SET output = '[null, 1]' WHERE id = 'odd-0'", CopyFault.DIFFERS),
    "credential_checks": (
        "UPDATE credential_checks SET detail = 'null' WHERE detail IS NULL",
        CopyFault.DIFFERS,
    ),
    "versions": (
        "UPDATE versions SET record = set_byte(record, 0, 255 - get_byte(record, 0)) WHERE stage = 'current'",
        CopyFault.DIFFERS,
    ),
    "item_labels": ("DELETE FROM item_labels", CopyFault.MISSING),
    "held_places": (
        "INSERT INTO held_places VALUES ('x', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00')",
        CopyFault.ADDED,
    ),
}


def test_what_differs_at_the_target_is_named_and_nothing_is_handed_over(old: Old) -> None:
    def change(progress: MoveProgress) -> None:
        if progress.phase is Phase.COPYING and progress.done == progress.total:
            sql(old.target, *(statement for statement, _ in CHANGES.values()))

    moved = old.move(tell=change)
    assert {one.table: one.fault for one in moved.differing} == {
        name: fault for name, (_, fault) in CHANGES.items()
    }
    assert not moved.is_whole
    assert not moved.is_handed_over
    assert {one.kind for one in moved.edited} == {Hindrance.EDITED}
    with old.open() as services:
        services.check()
    with old.open(old.target) as services, pytest.raises(ConfigurationError, match="has not ended"):
        services.check()
    again = old.move()
    assert again.is_handed_over
    assert again.written_since


@pytest.mark.long
@pytest.mark.rules
def test_a_cut_log_at_the_target_is_found(old: Old) -> None:
    def cut(progress: MoveProgress) -> None:
        if progress.phase is Phase.CHECKING:
            sql(old.target, "DELETE FROM audit WHERE seq = 20")

    moved = old.move(tell=cut)
    assert moved.differing == ()
    assert [one.kind for one in moved.edited] == [Hindrance.LOG]
    assert not moved.is_handed_over


# What is refused


def refusal(old: Old, *, to: str | None = None) -> str:
    content = old.file.read_bytes()
    with pytest.raises(NightkeyError) as caught:
        old.move(to=to)
    assert old.file.read_bytes() == content
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    return said


def test_a_target_with_other_tables_is_left_alone(old: Old) -> None:
    sql(old.target, "CREATE TABLE theirs (id int)", "INSERT INTO theirs VALUES (1)")
    assert "has other tables (theirs)" in refusal(old)
    sql(old.target, "DROP TABLE theirs", "CREATE TABLE items (id int)")
    assert "has the tables of a vault" in refusal(old)


def test_what_is_not_of_this_move_is_left_alone(old: Old) -> None:
    old.move(rehearse=True)
    sql(old.target, "UPDATE nightkey_moves SET revision = '0001'")
    assert "was begun by another release (schema 0001" in refusal(old)
    sql(old.target, "UPDATE nightkey_moves SET deployment_id = 'dep_x'")
    assert "another vault (dep_x) is being moved to" in refusal(old)
    sql(old.target, "DROP TABLE nightkey_moves, nightkey_move_places")
    assert "has the tables of a vault" in refusal(old)
    sql(
        old.target,
        f"UPDATE alembic_version SET version_num = '{SCHEMA_REVISION}'",
        "UPDATE deployment SET id = 'dep_y'",
    )
    assert "has the tables of another vault (dep_y)" in refusal(old)
    with pytest.raises(RefusedError, match="another vault"):
        make_moves(old.settings(), old.clock).plan(old.target, lambda _: None)


def test_a_target_that_cannot_hold_every_text_is_refused(old: Old, postgres: str) -> None:
    run_sql(postgres, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    url = make_url(old.target).set(database="latin").render_as_string(hide_password=False)
    try:
        assert "is encoded in LATIN1" in refusal(old, to=url)
    finally:
        drop_database(postgres, "latin")


def test_a_role_that_may_make_no_tables_is_told_before_anything_is_done(old: Old) -> None:
    role = f"lowly_{old.target.rpartition('/')[2].partition('?')[0]}"
    sql(old.target, f"CREATE ROLE {role} LOGIN")
    lowly = make_url(old.target).set(username=role).render_as_string(hide_password=False)
    try:
        with pytest.raises(RefusedError, match=r"may make no tables .* grant it CREATE"):
            make_moves(old.settings(), old.clock).plan(lowly, lambda _: None)
    finally:
        sql(old.target, f"DROP ROLE {role}")


def test_a_file_of_somebody_else_stays_as_it_is(old: Old, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs.db"
    with closing(sqlite3.connect(theirs)) as connection, connection:
        connection.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY AUTOINCREMENT)")
    content = theirs.read_bytes()
    assert "has other tables (theirs)" in refusal(old, to=f"sqlite:///{theirs}")
    assert theirs.read_bytes() == content
    theirs.write_text("no database at all, but a text that somebody wrote")
    assert "cannot be read as a SQLite database" in refusal(old, to=f"sqlite:///{theirs}")


def test_where_it_is_already_is_no_target(old: Old) -> None:
    assert "is the one that the vault is in" in refusal(old, to=f"sqlite:///{old.file}")
    assert "there is no folder" in refusal(old, to=f"sqlite:///{old.home}/nowhere/new.db")


def test_nobody_works_on_it_meanwhile(old: Old) -> None:
    with old.open() as services:
        assert services.vault is not None
        assert "something works on the vault" in refusal(old)

    def look(progress: MoveProgress) -> None:
        if progress.phase is Phase.COPYING and not tried:
            with old.open() as services, pytest.raises(RefusedError, match="a restore or a move is at work"):
                services.check()
            database = Database(f"sqlite:///{old.file}")
            with database.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA busy_timeout=1")
                with pytest.raises(SQLAlchemyError, match="locked"):
                    connection.execute(update(items).values(name="x"))
            database.dispose()
            tried.append(True)

    tried: list[bool] = []
    assert old.move(tell=look).is_handed_over
    assert tried


@pytest.mark.parametrize(("host", "pid", "refused"), [("far", 1, True), (None, 1, True), (None, 2**22, False)])
def test_a_sign_of_life_stands_in_the_way_while_its_process_may_live(
    old: Old, host: str | None, pid: int, refused: bool
) -> None:
    sign = SignOfLife(
        id="sgn_x", kind=PulseKind.WORKER, host=host or socket.gethostname(), pid=pid,
        started_at=old.clock(), seen_at=old.clock(), every=timedelta(minutes=1),
    )  # fmt: skip
    with old.open() as services, services.database.write() as connection:
        sign_rows.save(connection, sign)
    planned = make_moves(old.settings(), old.clock).plan(old.target, lambda _: None)
    assert [one.kind for one in planned.obstacles] == ([Hindrance.AT_WORK] if refused else [])


SPOILT = {
    Hindrance.LOG: "UPDATE audit SET actor = 'x' WHERE seq = 2",
    Hindrance.EDITED: f"UPDATE items SET policy = '{{}}' WHERE name = '{DUE}'",
    Hindrance.UNREADABLE: "UPDATE notices SET created_at = 'yesterday'",
    Hindrance.UNFIT: "UPDATE findings SET item = 'a' || char(0) || 'b'",
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_damaged_vault_is_not_moved_and_what_is_wrong_is_named(old: Old, kind: Hindrance) -> None:
    with old.open() as services, services.database.write() as connection:
        connection.exec_driver_sql(SPOILT[kind])
    planned = make_moves(old.settings(), old.clock).plan(old.target, lambda _: None)
    assert kind in {one.kind for one in planned.obstacles}
    assert all(planned.counts.values())
    refusal(old)
    with psycopg.connect(old.target.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (
            0,
        )


def test_a_number_that_postgresql_does_not_hold_is_named(old: Old) -> None:
    with old.open() as services, services.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE findings SET level = {2**31}")
    planned = make_moves(old.settings(), old.clock).plan(old.target, lambda _: None)
    assert {one.fields for one in planned.obstacles} == {("level",)}


def test_an_older_database_that_was_put_back_is_not_moved(old: Old) -> None:
    kept = old.file.read_bytes()
    with old.open() as services:
        with services.database.write() as connection:
            item = services.vault.get(connection, DUE)
            services.vault.update(connection, item.id, labels={"env": "prod"}, actor="test")
        services.upkeep.anchors.anchor()
    old.file.write_bytes(kept)
    assert "is not the one that was here" in refusal(old)


# Other ways


@pytest.mark.long
@pytest.mark.rules
def test_it_goes_back_and_on_to_another_server_alike(old: Old, postgres: str, tmp_path: Path) -> None:
    before = read_all(f"sqlite:///{old.file}")
    old.move()
    second = show_for_sqlalchemy(create_database(postgres, "second"))
    third = f"sqlite:///{tmp_path}/third.db"
    try:
        for source, target in ((old.target, second), (second, third)):
            wait_until_left(source)
            rows = read_all(source)
            wait_until_left(source)
            moves = make_moves(old.settings(source), old.clock)
            moved = moves.move(target, lambda _: None, actor="test")
            assert moved.is_handed_over
            assert read_all(source) == rows
    finally:
        drop_database(postgres, "second")
    assert (tmp_path / "third.db").stat().st_mode & 0o777 == 0o600
    after = read_all(third)
    assert [row[3] for row in sorted(after["audit"])[-3:]] == ["vault.move"] * 3
    for name in set(before) - {"audit", "audit_head"}:
        assert after[name] == before[name], name
    with old.open(third) as services:
        services.check()
        assert services.upkeep.row_verification.check_all().wrong == ()


@pytest.mark.long
@pytest.mark.rules
def test_who_is_connected_to_the_server_stands_in_the_way(old: Old, tmp_path: Path) -> None:
    old.move()
    wait_until_left(old.target)
    moves = make_moves(old.settings(old.target), old.clock)
    wait_until_left(old.target)
    theirs = psycopg.connect(old.target.replace("+psycopg", ""))
    with theirs, pytest.raises(RefusedError, match="somebody else is connected"):
        moves.move(f"sqlite:///{tmp_path}/new.db", lambda _: None, actor="test")
    assert not (tmp_path / "new.db").exists()
