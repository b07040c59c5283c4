"""Vaults to be broken: made once, then copied for each trial, on SQLite or PostgreSQL."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event, update

from tests.postgres import create_database, drop_database, run_sql, show_for_sqlalchemy
from tests.ways_out import LOOPBACK
from vaultcore.tables import metadata
from worker.bootstrap import Services
from worker.config import Settings, load_settings
from worker.installation import initialise
from worker.rows import tables as worker_tables
from worker.rows.sweep_lease import SWEEP_JOB

LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")


@dataclass(frozen=True, kw_only=True)
class VaultCopy:
    """Where one vault is: its data folder, and its database unless that is a file in there."""

    home: Path
    database_url: str

    def settings(self, **changes: Any) -> Settings:
        return load_settings(self.home, database_url=self.database_url, outbound_private=LOOPBACK, **changes)


class Vault:
    """One vault in a folder, on a PostgreSQL server if one is given. It can be put back to how it was saved."""

    def __init__(self, folder: Path, server: str | None, name: str, clock: Callable[[], datetime]) -> None:
        self._saved = folder / f"{name}.saved"
        self._server = server
        self._address = ""
        if server is not None:
            self._address = create_database(server, name)
        self.place = VaultCopy(home=folder / name, database_url=show_for_sqlalchemy(self._address))
        initialise(self.place.settings(), clock)

    def save(self) -> None:
        """While nobody has it open."""
        shutil.copytree(self.place.home, self._saved)
        if self._address:
            copies = [f"CREATE TABLE saved.{name} AS TABLE {name}" for name in _tables()]
            run_sql(self._address, "CREATE SCHEMA saved", *copies)

    def put_back(self) -> None:
        """While nobody has it open. Five times as fast as another database made of a template."""
        shutil.rmtree(self.place.home)
        shutil.copytree(self._saved, self.place.home)
        if self._address:
            emptied = [f"DELETE FROM {name}" for name in reversed(_tables())]
            filled = [f"INSERT INTO {name} SELECT * FROM saved.{name}" for name in _tables()]
            run_sql(self._address, "BEGIN", *emptied, *filled, "COMMIT")

    def remove(self) -> None:
        shutil.rmtree(self.place.home)
        shutil.rmtree(self._saved, ignore_errors=True)
        if self._server is not None:
            drop_database(self._server, self.place.home.name)


def _tables() -> list[str]:
    """All of them, each behind those that it points to."""
    assert worker_tables.rotations.name in metadata.tables  # they are there once their module is
    return [table.name for table in metadata.sorted_tables]


def open_services(place: VaultCopy, clock: Callable[[], datetime], **changes: Any) -> Services:
    """The services on that vault. SQLite does not wait for the disk: no machine is switched off here."""
    services = Services(place.settings(**changes), clock)
    if services.database.is_sqlite:
        event.listen(services.database.engine, "connect", _stop_syncing)
        services.database.dispose()
    return services


def let_leases_lapse(services: Services, row_id: str | None = None) -> None:
    """Whoever holds this row (None: anything) has held it too long, by any clock: it is free."""
    with services.database.write() as connection:
        for table in [metadata.tables[name] for name in _tables()]:
            if "lease_until" not in table.c or (row_id is not None and "id" not in table.c):
                continue
            lapse = update(table).where(table.c.lease_until.is_not(None)).values(lease_until=LONG_AGO)
            connection.execute(lapse if row_id is None else lapse.where(table.c.id == row_id))


def let_sweep_lapse(services: Services) -> None:
    """Whoever died in a sweep has held its lease too long, also by the server's clock, which no game turns."""
    with services.database.write() as connection:
        sweeps = worker_tables.sweeps
        connection.execute(update(sweeps).where(sweeps.c.job == SWEEP_JOB).values(lease_until=LONG_AGO))


def _stop_syncing(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")
