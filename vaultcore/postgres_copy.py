"""Copies of a vault in PostgreSQL, by `pg_dump` and `pg_restore` of the installed client."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from vaultcore.database import Database
from vaultcore.engines import is_pooled
from vaultcore.errors import ConfigurationError, NightkeyError
from vaultcore.tables import metadata

_SAID_MAX = 300


def dump_database(database: Database, connection: Connection, target: Path) -> None:
    """Exactly what `connection` sees: its snapshot is lent to `pg_dump`, so that both look at one state.

    `ConfigurationError` where `pg_dump` is missing or older than the server, or a pooler stands before that.
    """
    refuse_pooler(database, connection)
    for program in ("pg_dump", "pg_restore"):
        check_client(connection, program)
    # The transaction is kept open for as long as the dump takes.
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
    schema = connection.execute(text("SELECT current_schema()")).scalar_one()
    tables = [f"--table={_quote(schema)}.{_quote(name)}" for name in (*metadata.tables, "alembic_version")]
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    _run(
        database,
        ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", *tables,
         f"--file={target}"],
    )  # fmt: skip


def restore_database(database: Database, source: Path) -> None:
    """Everything of the dump, or nothing of it."""
    _run(
        database,
        ["pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", str(source)],
        connects=True,
    )


def find_damage(database: Database, source: Path) -> str | None:
    """What `pg_restore` finds wrong when it reads the whole dump; None: nothing."""
    try:
        _run(database, ["pg_restore", "--list", str(source)])
        _run(database, ["pg_restore", f"--file={os.devnull}", str(source)])
    except NightkeyError as error:
        return str(error)
    return None


def refuse_pooler(database: Database, connection: Connection) -> None:
    """`ConfigurationError` where a session is not ours alone: what these programs set in it, such as an empty
    search path, would stay in a connection that others get next; and who else is at work cannot be told.
    """
    if is_pooled(connection):
        raise ConfigurationError(
            f"a pooler stands before {database.where}, and this needs the server itself: give the command the "
            "server's own address in NIGHTKEY_DATABASE_URL"
        )


def check_client(connection: Connection, program: str) -> None:
    """The client's program is there, and not older than the server: it could not read that one's tables."""
    if shutil.which(program) is None:
        raise ConfigurationError(
            f"{program} is not installed: install PostgreSQL's client programs "
            "(Debian: apt-get install postgresql-client), or put them on the PATH"
        )
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603  # its name alone
    found = re.search(r"\) (\d+)", said)
    server = connection.execute(text("SHOW server_version_num")).scalar_one()
    wanted = int(server) // 10_000
    if found is None or int(found[1]) < wanted:
        raise ConfigurationError(
            f"{program} is of PostgreSQL {found[1] if found else 'an unknown version'}, older than the "
            f"server's {wanted}: install the client programs of that version (postgresql-client-{wanted}) and "
            "put them first on the PATH"
        )


def count_other_sessions(connection: Connection) -> int:
    """How many others are connected to the database, from this machine or another."""
    others: int = connection.execute(
        text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    ).scalar_one()
    return others


def list_tables(connection: Connection) -> list[str]:
    """The vault's tables that are there, of this release and of those before it."""
    known = {*metadata.tables, "alembic_version"}
    return sorted(known.intersection(inspect(connection).get_table_names()))


def move_tables(connection: Connection, tables: Sequence[str], *, to: str) -> None:
    """The vault's tables, with all that hangs on them, into another schema, which is made."""
    connection.execute(text(f"CREATE SCHEMA {_quote(to)}"))
    for name in tables:
        connection.execute(text(f"ALTER TABLE {_quote(name)} SET SCHEMA {_quote(to)}"))


def move_back(connection: Connection, tables: Sequence[str], *, kept: str) -> None:
    schema = connection.execute(text("SELECT current_schema()")).scalar_one()
    for name in tables:
        connection.execute(text(f"ALTER TABLE {_quote(kept)}.{_quote(name)} SET SCHEMA {_quote(schema)}"))
    connection.execute(text(f"DROP SCHEMA {_quote(kept)}"))


def drop_tables(connection: Connection) -> None:
    """What a restore that went wrong half-way has left."""
    for name in list_tables(connection):
        connection.execute(text(f"DROP TABLE {_quote(name)} CASCADE"))


def _run(database: Database, command: list[str], *, connects: bool = False) -> None:
    """The program, with the address of the database. `ConfigurationError` if it is missing, `NightkeyError`
    with what it complains of if it fails. A password goes by a file that only we read.
    """
    program, *arguments = command
    path = shutil.which(program)
    if path is None:
        raise ConfigurationError(f"{program} is not installed: install PostgreSQL's client programs")
    with _address(database) as (address, environment):
        if connects or program == "pg_dump":
            arguments = [f"--dbname={address}", "--no-password", *arguments]
        done = subprocess.run(  # noqa: S603  # a program found by its name, our own arguments
            [path, *arguments], capture_output=True, text=True, check=False, env=environment,
            stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[:_SAID_MAX] or f"exit status {done.returncode}"
        raise NightkeyError(f"{program} failed: {said.removeprefix(f'{program}: ').removeprefix('error: ')}")


@contextmanager
def _address(database: Database) -> Iterator[tuple[str, dict[str, str]]]:
    """The database's address as libpq reads it, without its password, and the environment that has that."""
    engine = database.engine
    _, options = engine.dialect.create_connect_args(engine.url)
    password = options.pop("password", None)
    environment = dict(os.environ)
    named = {name: value for name, value in options.items() if isinstance(value, str | int)}
    address = " ".join(f"{name}='{_escape(str(value))}'" for name, value in named.items())
    if password is None:
        yield address, environment
        return
    with tempfile.NamedTemporaryFile("w", prefix="nightkey-pgpass-") as file:  # of mode 0600
        escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        environment["PGPASSFILE"] = file.name
        environment.pop("PGPASSWORD", None)
        yield address, environment


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
