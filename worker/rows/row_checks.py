"""How far the nights have come with checking all rows that decide, and what those rows are called."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from vaultcore.row_macs import is_ours
from vaultcore.tables import items
from worker.domain.findings import FindingKind
from worker.rows.tables import findings, row_checks

_ONE = 1


@dataclass(frozen=True, kw_only=True)
class CheckedUpTo:
    """After which row of which table the next check goes on; `key` None: at the table's beginning."""

    table: str
    key: tuple[Any, ...] | None


def read_place(connection: Connection) -> CheckedUpTo | None:
    """None: at the beginning of all, also where none of us wrote what is stored."""
    row = connection.execute(select(row_checks).where(row_checks.c.id == _ONE)).one_or_none()
    if row is None or row.table_name is None or not is_ours(connection, row_checks, row):
        return None
    return CheckedUpTo(table=row.table_name, key=tuple(row.key) if isinstance(row.key, list) else None)


def write_place(connection: Connection, place: CheckedUpTo | None, *, now: datetime) -> None:
    """Where to go on; None: a round has come to its end."""
    before = connection.execute(select(row_checks).where(row_checks.c.id == _ONE)).one_or_none()
    begun_at = now if before is None or before.table_name is None else before.begun_at
    whole_at = None if before is None else before.whole_at
    connection.execute(delete(row_checks).where(row_checks.c.id == _ONE))
    connection.execute(
        insert(row_checks).values(
            id=_ONE,
            table_name=None if place is None else place.table,
            key=None if place is None or place.key is None else [_keep(part) for part in place.key],
            begun_at=begun_at if isinstance(begun_at, datetime) else now,
            whole_at=now if place is None else whole_at if isinstance(whole_at, datetime) else None,
        )
    )


def _keep(part: object) -> object:
    return part.isoformat() if isinstance(part, datetime) else part


def name_of_item(connection: Connection, item_id: object) -> str | None:
    name = connection.execute(select(items.c.name).where(items.c.id == item_id)).scalar_one_or_none()
    return None if name is None else str(name)


def list_tampered(connection: Connection) -> list[str]:
    """The subjects of the open findings of rows that were changed."""
    return list(
        connection.execute(
            select(findings.c.subject).where(
                findings.c.kind == FindingKind.TAMPERED.value, findings.c.resolved_at.is_(None)
            )
        ).scalars()
    )
