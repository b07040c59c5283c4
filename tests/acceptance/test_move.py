"""`nightkey migrate-to` as a person gives it: what it says, what it refuses, and what comes next."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.postgres import create_database, drop_database, run_sql
from tests.terminals import see

PASSWORD = "the-password-of-the-server"
ITEM = "prod-spare-secret"
_numbers = count(1)


@pytest.fixture
def empty(postgres: str) -> Iterator[str]:
    """The address of an empty database, as libpq has it."""
    name = f"walked_{next(_numbers)}"
    yield create_database(postgres, name)
    drop_database(postgres, name)


@pytest.fixture
def stocked(nightkey: Nightkey) -> Nightkey:
    nightkey("owner", "create", "crm", "--route", "json://127.0.0.1:9/hook")
    due = ("--mode", "auto", "--rotator", "random", "--consumers", "none", "--lifetime", "60d", "--lead", "14d")
    nightkey("item", "create", ITEM, "--owner", "crm", "--expires-at", "5d", *due, "--value-file", "-",
             value="the-first-value")  # fmt: skip
    return nightkey


def dump(nightkey: Nightkey) -> list[str]:
    """All that its database file holds; SQLite may have written its log back meanwhile."""
    with closing(sqlite3.connect(nightkey.home / "nightkey.db")) as connection:
        return list(connection.iterdump())


def complaint(nightkey: Nightkey, *words: str, status: int, value: str | None = None) -> str:
    """The one line that it says, which does not show the password."""
    done = nightkey("migrate-to", *words, status=status, value=value)
    assert not done.stdout
    assert PASSWORD not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("nightkey: "))
    return line


def test_a_wrong_url_is_one_line_without_its_password(nightkey: Nightkey, tmp_path: Path) -> None:
    file = tmp_path / "url.txt"
    given = f"postgresql://nightkey:{PASSWORD}@127.0.0.1:1/vault"
    said = complaint(nightkey, given, status=2)
    assert "a password on the command line" in said
    assert "--url-file" in said
    assert "a password on the command line" in complaint(
        nightkey, f"postgresql://nightkey@/vault?password={PASSWORD}", status=2
    )
    file.write_text(f"{given}\n")
    file.chmod(0o600)
    told = [
        complaint(nightkey, "--url-file", str(file), status=1),
        complaint(nightkey, "--url-file", "-", value=given, status=1),
    ]
    nightkey.settings["NIGHTKEY_MIGRATE_TO"] = given
    told.append(complaint(nightkey, status=1))
    assert all("the database vault at 127.0.0.1:1 cannot be reached" in line for line in told)
    assert all("that the URL is right" in line for line in told)
    nightkey.settings["NIGHTKEY_MIGRATE_TO"] = f"mysql://nightkey:{PASSWORD}@127.0.0.1/vault"
    assert "the URL is not one of ours" in complaint(nightkey, status=2)
    nightkey.settings["NIGHTKEY_MIGRATE_TO"] = f"postgresql://nightkey:{PASSWORD}@127.0.0.1:port/vault"
    assert "the URL is none" in complaint(nightkey, status=2)
    del nightkey.settings["NIGHTKEY_MIGRATE_TO"]
    assert "name the database" in complaint(nightkey, status=2)
    assert "is given twice" in complaint(nightkey, "sqlite:///x.db", "--url-file", str(file), status=2)
    assert PASSWORD not in "".join(nightkey.printed)


def test_a_vault_moves_to_postgresql_and_goes_on_there(stocked: Nightkey, empty: str, tmp_path: Path) -> None:
    file = tmp_path / "url.txt"
    file.write_text(empty.replace(":@", f":{PASSWORD}@") + f"&sslpassword={PASSWORD}")
    settings = (stocked.home / "nightkey.toml").read_text()

    planned = stocked.json("migrate-to", "--url-file", str(file), "--dry-run")
    assert planned["tables"]["items"] == 1
    assert (planned["stance"], planned["obstacles"]) == ("empty", [])
    rehearsed = stocked("migrate-to", "--url-file", str(file), "--rehearse")
    assert "The vault is where it was" in rehearsed.stdout
    assert "a second" in rehearsed.stdout
    stocked("backup", str(tmp_path / "still.backup"))
    content = dump(stocked)
    file.chmod(0o604)
    moved = stocked("migrate-to", "--url-file", str(file))
    assert f"{file} holds a password, and everybody may read it" in moved.stderr
    assert "anew" in moved.stderr  # the backup was written into the log
    assert f"{stocked.home / 'nightkey.toml'}" in moved.stdout
    assert "database_url = " in moved.stdout
    assert "nightkey audit verify --rows" in moved.stdout
    assert (stocked.home / "nightkey.toml").read_text() == settings
    assert dump(stocked) == content
    again = stocked("migrate-to", "--url-file", str(file))
    assert "moved already" in again.stdout

    for words in (("night",), ("backup", str(tmp_path / "old.backup"))):
        assert "Was the vault moved" in stocked(*words, status=3).stderr
    assert "Was the vault moved" in stocked("status", status=1).stdout
    assert PASSWORD not in "".join(stocked.printed)
    line = next(line for line in moved.stdout.splitlines() if "database_url" in line)
    assert line.count("***") == 2
    (stocked.home / "nightkey.toml").write_text(f"{settings}\n{line.strip().replace('***', PASSWORD)}\n")
    stocked("night", status=1)  # nobody listens to what it tells
    assert stocked.json("item", "show", ITEM)["version"] == 2
    stocked("audit", "verify", "--rows")
    assert [row["action"] for row in stocked.json("audit", "list", "--action", "vault.move")] == ["vault.move"]
    run_sql(empty, "UPDATE alembic_version SET version_num = 'moving'")
    assert "is half a vault" in stocked("status", status=2).stderr


def test_what_differs_and_what_stands_in_the_way_is_a_line_each(stocked: Nightkey, empty: str) -> None:
    run_sql(empty, "CREATE TABLE theirs (id int)")
    stocked.settings["NIGHTKEY_MIGRATE_TO"] = empty
    assert "has other tables (theirs)" in complaint(stocked, "--dry-run", status=3)
    run_sql(empty, "DROP TABLE theirs")
    with closing(sqlite3.connect(stocked.home / "nightkey.db")) as connection, connection:
        connection.execute("UPDATE items SET policy = '{}'")
        connection.execute("UPDATE owners SET zone = 'a' || char(0)")
    done = stocked("migrate-to", "--dry-run", status=1)
    told = [line for line in done.stderr.splitlines() if line.startswith("nightkey: ")]
    assert any("nightkey audit accept-row items" in line for line in told)
    assert any("holds what PostgreSQL does not take (zone)" in line for line in told)
    assert "other obstacle" in complaint(stocked, status=3)


@pytest.mark.parametrize("columns", [80, 140])
def test_it_fits_a_terminal(stocked: Nightkey, empty: str, columns: int) -> None:
    given = stocked.environment | {"NIGHTKEY_PAGER": "", "NO_COLOR": "1", "NIGHTKEY_MIGRATE_TO": empty}
    for words, status in ((("--dry-run",), 0), ((), 0)):
        shown, ended = see(("migrate-to", *words), given, columns=columns, at=datetime.now(UTC))
        assert ended == status
        lines = [re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", line).split("\r")[-1] for line in shown.splitlines()]
        whole = [line for line in lines if not line.startswith("  database_url = ")]
        assert max(map(len, whole)) <= columns
        assert ("would copy" if words else "the same in both") in shown
        assert ["  database_url = " in line for line in lines].count(True) == (0 if words else 1)
