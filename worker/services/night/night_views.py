"""Nights as they were, for who looks."""

from datetime import datetime

from vaultcore.database import Database
from vaultcore.errors import UnreadableError
from worker.rows import nights as night_rows
from worker.rows.nights import Night


class NightViews:
    def __init__(self, *, database: Database) -> None:
        self._database = database

    def list_all(self, *, before: datetime | None, limit: int) -> list[Night | UnreadableError]:
        """Those begun last first, of those under an earlier slot; in the place of one that cannot be read, the
        error that says so.
        """
        with self._database.read() as connection:
            return list(night_rows.walk_nights(connection, before=before, limit=limit))

    def get(self, slot: datetime) -> Night:
        """`NotFoundError` if no night is stored under it."""
        with self._database.read() as connection:
            return night_rows.find_night(connection, slot)
