"""How far a move has come, beside what it has copied: two tables that are at the target until it ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    delete,
    insert,
    inspect,
    select,
    text,
    true,
    update,
)

from vaultcore.damage import Damage, select_damage
from vaultcore.raw_rows import Key, count_rows
from vaultcore.schema import MOVING
from vaultcore.tables import UtcDateTime
from vaultcore.tables import metadata as vault_metadata
from worker.domain.moves import MoveHead
from worker.rows import tables as worker_tables

_metadata = MetaData()
_heads = Table(
    "nightkey_moves",
    _metadata,
    Column("deployment_id", String(40), primary_key=True),
    Column("revision", String(32), nullable=False),
    Column("begun_at", UtcDateTime, nullable=False),
)
_places = Table(
    "nightkey_move_places",
    _metadata,
    Column("name", String(63), primary_key=True),
    Column("last", Text),
    Column("done", Boolean, nullable=False),
)
_VERSION: Final = "alembic_version"


@dataclass(frozen=True, kw_only=True)
class CopiedTo:
    """Up to which row a table was copied, by its key; `done`: to its end."""

    last: Key | None
    done: bool


@contextmanager
def only_read(connection: Connection) -> Iterator[None]:
    """Until the block ends, SQLite refuses whatever this connection would write."""
    connection.exec_driver_sql("PRAGMA query_only=ON")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA query_only=OFF")


def read_encoding(connection: Connection) -> str:
    """Of a database of PostgreSQL."""
    return str(connection.exec_driver_sql("SHOW server_encoding").scalar_one())


def may_make_tables(connection: Connection) -> bool:
    """In a database of PostgreSQL, where tables go that name no schema."""
    return bool(
        connection.exec_driver_sql("SELECT has_schema_privilege(current_schema(), 'CREATE')").scalar_one()
    )


def find_damage(connection: Connection, table: Table) -> Iterator[Damage]:
    """The rows of the table that cannot be read."""
    asked = select_damage(table, connection.dialect.name, where=true(), beside={}, rules={})
    return asked.find(connection, {})


def list_moved() -> list[Table]:
    """All tables of a vault, each behind those that it points at."""
    assert worker_tables.rotations.name in vault_metadata.tables  # noqa: S101  # they are there with their module
    return list(vault_metadata.sorted_tables)


def list_ours() -> set[str]:
    """The names of all tables that may be at the target."""
    return {*(table.name for table in list_moved()), *_metadata.tables, _VERSION}


def list_tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def begin(connection: Connection, head: MoveHead) -> None:
    _metadata.create_all(connection)
    connection.execute(
        insert(_heads).values(deployment_id=head.deployment_id, revision=head.revision, begun_at=head.begun_at)
    )


def read_head(connection: Connection) -> MoveHead | None:
    """None: no move was begun there, or it has ended."""
    if not inspect(connection).has_table(_heads.name):
        return None
    row = connection.execute(select(_heads)).first()
    if row is None:
        return None
    return MoveHead(deployment_id=row.deployment_id, revision=row.revision, begun_at=row.begun_at)


def read_places(connection: Connection) -> dict[str, CopiedTo]:
    """By the names of tables; one that is missing was not begun."""
    found = connection.execute(select(_places)).all()
    tables = vault_metadata.tables
    return {
        row.name: CopiedTo(last=_read_key(tables[row.name], row.last), done=row.done)
        for row in found
        if row.name in tables
    }


def write_place(connection: Connection, table: Table, place: CopiedTo) -> None:
    """In the transaction that copies the rows up to there."""
    last = None if place.last is None else json.dumps([_keep(part) for part in place.last])
    values = {"last": last, "done": place.done}
    changed = connection.execute(update(_places).where(_places.c.name == table.name).values(values))
    if changed.rowcount == 0:
        connection.execute(insert(_places).values(name=table.name, **values))


def forget(connection: Connection) -> None:
    """All that was copied, with the tables, and how far that was: the move is begun again."""
    vault_metadata.drop_all(connection)
    connection.execute(text(f"DROP TABLE IF EXISTS {_VERSION}"))
    connection.execute(delete(_places))


def hold_back(connection: Connection) -> None:
    """Until the move ends, no release takes what is there for a vault."""
    connection.execute(text(f"UPDATE {_VERSION} SET version_num = :to"), {"to": MOVING})  # noqa: S608  # a name of ours


def end(connection: Connection, head: MoveHead) -> None:
    """What is there is the vault from now on."""
    connection.execute(text(f"UPDATE {_VERSION} SET version_num = :to"), {"to": head.revision})  # noqa: S608  # as above
    _metadata.drop_all(connection)


def keep_open(connection: Connection) -> None:
    """PostgreSQL: the transaction lasts for as long as the other database takes."""
    connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def lock_tables(connection: Connection) -> None:
    """PostgreSQL: until the transaction ends, others read the vault's tables, and write none of them."""
    names = ", ".join(table.name for table in list_moved())
    connection.execute(text(f"LOCK TABLE {names} IN SHARE MODE"))


def count_each(connection: Connection) -> dict[str, int]:
    return {table.name: count_rows(connection, table) for table in list_moved()}


def _keep(part: object) -> object:
    return part.isoformat() if isinstance(part, datetime) else part


def _read_key(table: Table, stored: str | None) -> Key | None:
    if stored is None:
        return None
    kinds = [column.type.python_type for column in table.primary_key]
    given: list[Any] = json.loads(stored)
    return tuple(
        datetime.fromisoformat(part) if kind is datetime else part
        for part, kind in zip(given, kinds, strict=True)
    )
