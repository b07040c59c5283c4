"""Fixtures for all tests: a clock to turn, an empty database of each kind, and services on a new vault."""

import gc
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.postgres import create_database, drop_database, show_for_sqlalchemy, start_postgres
from tests.statements import share_statements
from tests.vaults import USUAL, copy_vault
from tests.ways_out import LOOPBACK
from worker.bootstrap import Services
from worker.config import load_settings

ROOM = 4 * 2**30
"""Bytes that must be free in memory for the folders of the tests to be there: ten times what they take."""
_numbers = itertools.count(1)

# A busy machine is no failure: what must not take long is bounded where it is asked for.
hypothesis_settings.register_profile("nightkey", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("nightkey")
share_statements()


def work_in_memory() -> None:
    """No test is about a machine that is switched off, so none need wait for a disk."""
    folder = Path("/dev/shm")
    if "TMPDIR" in os.environ or not folder.is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return
    if shutil.disk_usage(folder).free > ROOM:
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None  # to be found anew


work_in_memory()


def pytest_configure() -> None:
    """A shell starts what runs in its background deaf to Ctrl-C, and so would be every command of a test."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A rule decides alike whatever database its rows come from: PostgreSQL's turn is `make databases`."""
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if given.get("database_url") != "postgresql" or item.get_closest_marker("both"):
            continue
        if item.get_closest_marker("rules"):
            item.add_marker(pytest.mark.long)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded stays until the end: the collector need not look at it over and over, nor meanwhile."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000, 20, 100)


@pytest.fixture(autouse=True)
def log_of_its_own() -> Iterator[None]:
    """What a test, or a command in its process, sets for the log ends with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that other users of the machine can enter, as those of pytest are not."""
    with TemporaryDirectory(prefix="nightkey-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


class Clock:
    """The time, when a test says so."""

    def __init__(self) -> None:
        self.now = USUAL

    def __call__(self) -> datetime:
        return self.now

    def advance(self, duration: timedelta) -> None:
        self.now += duration


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a real PostgreSQL, for this session alone."""
    with start_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database: a file, or one of its own on the server, which goes with the test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    server, name = request.getfixturevalue("postgres"), f"test_{next(_numbers)}"
    yield show_for_sqlalchemy(create_database(server, name))
    drop_database(server, name)


@pytest.fixture
def services(tmp_path: Path, database_url: str, clock: Clock) -> Iterator[Services]:
    """Everything, on a vault that was just made."""
    settings = load_settings(
        tmp_path / "home", database_url=database_url, outbound_private=LOOPBACK, check_every_days=0
    )
    copy_vault(settings, clock)
    made = Services(settings, clock)
    yield made
    made.close()
