"""The audit log, for who reads it."""

from vaultcore.audit import AuditLog, AuditRow
from vaultcore.database import Database
from vaultcore.errors import UnreadableError


class Record:
    def __init__(self, *, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    def page(self, *, before: int | None, size: int) -> list[AuditRow | UnreadableError]:
        """The last rows first, of those before a number; in the place of one that cannot be read, the error
        that says so. Whether they are whole is `Anchors.verify`'s to say.
        """
        with self._database.read() as connection:
            return self._audit.page(connection, before=before, size=size)
