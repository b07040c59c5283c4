"""New vaults for tests: copies of one that was made once, so that no test waits for keys and migrations.

One for another time, or for other operators, is made from a copy of what every vault begins with: a keyring,
and a database that has its schema and no row.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import make_url

from tests.postgres import run_sql
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.schema import migrate
from worker.config import Settings, load_settings
from worker.installation import initialise

USUAL = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
"""The time at which the clock of most tests begins."""
_TEMPLATE = "nightkey_template"


def copy_vault(settings: Settings, clock: Callable[[], datetime]) -> None:
    """As `initialise` leaves it. A folder that is there already is filled; one with a vault in it is left to
    `initialise`.
    """
    is_usual = clock() == USUAL and settings.operators == "operators"
    url = make_url(settings.database)
    on_file = url.get_backend_name() == "sqlite"
    if any((settings.home / made.name).exists() for made in _make_sqlite().iterdir()):
        initialise(settings, clock)
        return
    if on_file:
        shutil.copytree(_make_sqlite() if is_usual else _make_empty(), settings.home, dirs_exist_ok=True)
        made = settings.home / "nightkey.db"
        if url.database and Path(url.database) != made:
            shutil.move(made, url.database)
    if not is_usual:
        initialise(settings, clock)
    if on_file or not is_usual:
        return
    server = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    shutil.copytree(_make_postgres(server), settings.home, dirs_exist_ok=True)
    run_sql(server, f"DROP DATABASE {url.database}")
    run_sql(server, f"CREATE DATABASE {url.database} TEMPLATE {_TEMPLATE}")


@cache
def _make_empty() -> Path:
    """What every vault begins with: migrations are most of what a new one takes."""
    home = _make_folder() / "home"
    home.mkdir(mode=0o700)
    settings = load_settings(home)
    Keyring.create(settings.keyring_path)
    database = Database(settings.database)
    migrate(database)
    database.dispose()
    return home


@cache
def _make_sqlite() -> Path:
    home = _make_folder() / "home"
    shutil.copytree(_make_empty(), home)
    initialise(load_settings(home), lambda: USUAL)
    return home


@cache
def _make_postgres(server: str) -> Path:
    home = _make_folder() / "home"
    run_sql(server, f"CREATE DATABASE {_TEMPLATE}")
    address = make_url(server).set(drivername="postgresql+psycopg", database=_TEMPLATE)
    initialise(load_settings(home, database_url=address.render_as_string(hide_password=False)), lambda: USUAL)
    return home


def _make_folder() -> Path:
    folder = tempfile.mkdtemp(prefix="nightkey-vaults-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
