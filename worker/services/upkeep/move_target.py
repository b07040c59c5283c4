"""What a vault is moved to: looked at, prepared, emptied again, and at last handed over."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, Connection

from vaultcore import sqlite_copy
from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, RefusedError
from vaultcore.own_row import read_own_row
from vaultcore.schema import MOVING, SCHEMA_REVISION, find_revision, migrate
from worker.domain.moves import FoundTarget, MoveHead, Stance, judge_target, refuse_others
from worker.rows import moves as move_rows

GIVEN_AS = "the URL"
"""What an error calls the target's address."""
MOVED = "vault.move"
"""What the log says of a vault that was handed over."""


class MoveTarget:
    """`deployment_id`: the vault that is moved. Nothing is written before `prepare`."""

    def __init__(self, address: URL | str, *, deployment_id: str, clock: Callable[[], datetime]) -> None:
        self.database = Database(address, setting=GIVEN_AS)
        self._deployment_id = deployment_id
        self._clock = clock
        url = self.database.engine.url
        self._file = Path(str(url.database)) if self.database.is_sqlite else None

    def refuse_source(self, source: Database) -> None:
        """`InvalidInputError` where the vault is there already, since that is where it is moved from."""
        if _find_place(source.engine.url) == _find_place(self.database.engine.url):
            raise InvalidInputError(f"{self.database.where} is the one that the vault is in: name another")

    def look(self) -> Stance:
        """`RefusedError` where something else is there; it names what."""
        if self._file is not None and not self._file.exists():
            if not self._file.parent.is_dir():
                raise InvalidInputError(
                    f"there is no folder {self._file.parent}: make it, or name another file"
                )
            return Stance.EMPTY
        where, ours = self.database.where, move_rows.list_ours()
        if self._file is not None:  # to open it as a vault's would change it
            refuse_others(sqlite_copy.list_tables(self._file), where=where, ours=ours)
        with self.database.read() as connection:
            found = self._find(connection)
            _refuse_encoding(connection, self.database)
            may_make_tables = self.database.is_sqlite or move_rows.may_make_tables(connection)
        refuse_others(found.tables, where=where, ours=ours)
        stance = judge_target(found, deployment_id=self._deployment_id, where=where)
        if stance is Stance.EMPTY and not may_make_tables:
            raise RefusedError(
                f"the role of the URL may make no tables in {where}: make it the owner of that database, or "
                "grant it CREATE on its schema"
            )
        return stance

    def prepare(self) -> None:
        """The tables are there, and no release takes them for a vault. Goes on wherever it was cut off."""
        if self._file is not None:
            sqlite_copy.make_private(self._file)
        with self.database.write() as connection:
            head = move_rows.read_head(connection)
            if head is None:
                head = self._make_head()
                move_rows.begin(connection, head)
        if head.revision != SCHEMA_REVISION:
            raise RefusedError(
                f"a move to {self.database.where} was begun by another release (schema {head.revision}, and "
                f"here it is {SCHEMA_REVISION}): make that database anew, then repeat this"
            )
        if find_revision(self.database) is None:
            migrate(self.database)
        with self.database.write() as connection:
            move_rows.hold_back(connection)

    def empty(self) -> None:
        """Of what was copied before nothing is left; the tables are there again."""
        with self.database.write() as connection:
            move_rows.forget(connection)
        self.prepare()

    def hand_over(self, audit: AuditLog, *, source: str, actor: str) -> None:
        """The vault is there from now on, and its log says so."""
        with self.database.write() as connection:
            audit.append(
                connection,
                at=self._clock(),
                actor=actor,
                action=MOVED,
                subject=self._deployment_id,
                source=source,
            )
            move_rows.end(connection, self._make_head())

    def _find(self, connection: Connection) -> FoundTarget:
        tables = move_rows.list_tables(connection)
        revision = find_revision(self.database)
        has_vault = revision not in (None, MOVING) and "deployment" in tables
        own = read_own_row(connection) if has_vault else None
        return FoundTarget(
            tables=tables,
            head=move_rows.read_head(connection),
            vault_id=None if own is None else own.id,
        )

    def _make_head(self) -> MoveHead:
        return MoveHead(deployment_id=self._deployment_id, revision=SCHEMA_REVISION, begun_at=self._clock())


def _find_place(url: URL) -> tuple[object, ...]:
    """The file, or the server and the name there."""
    if url.get_backend_name() == "sqlite":
        return (Path(str(url.database)).resolve(),)
    return (url.host or url.query.get("host"), url.port or url.query.get("port"), url.database)


def _refuse_encoding(connection: Connection, database: Database) -> None:
    """Any text of a vault fits into UTF-8 alone."""
    if database.is_sqlite:
        return
    encoding = move_rows.read_encoding(connection)
    if encoding != "UTF8":
        raise RefusedError(
            f"{database.where} is encoded in {encoding}, which has no room for every text: make it in UTF8 "
            "(createdb --template=template0 --encoding=UTF8)"
        )
