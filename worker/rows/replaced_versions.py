"""Versions that are previous, and that no open rotation takes away, as rows."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, select

from vaultcore.model import Stage
from vaultcore.paging import without_index
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import items, versions
from worker.rows.tables import rotations


class ReplacedVersion(NamedTuple):
    """`name`: of its item; `overlap_seconds`: for how long it is kept; `current`: the version in its place."""

    item_id: str
    number: int
    name: str
    superseded_at: datetime
    overlap_seconds: int
    current: int


class UnreadVersion(NamedTuple):
    """Such a version of which something cannot be read. `problem` names the fields."""

    item_id: str
    number: int
    name: str
    problem: str


def list_replaced(
    connection: Connection, *, after: tuple[str, int] | None, limit: int
) -> list[ReplacedVersion | UnreadVersion]:
    """By item and number, after that one: a page."""
    current = versions.alias("current")
    busy = exists().where(rotations.c.item_id == versions.c.item_id, rotations.c.finished_at.is_(None))
    item_id, number = after or ("", 0)
    in_order: ColumnElement[int] = versions.c.number
    if connection.dialect.name == "sqlite":  # which would go through all versions in the order of their key
        in_order = without_index(in_order)
    rows = connection.execute(
        select(
            versions.c.item_id,
            versions.c.number,
            versions.c.superseded_at,
            items.c.name,
            items.c.overlap_seconds,
            current.c.number.label("current"),
        )
        .join(items, items.c.id == versions.c.item_id)
        .join(
            current,
            and_(current.c.item_id == versions.c.item_id, current.c.stage == Stage.CURRENT.value),
        )
        .where(
            versions.c.stage == Stage.PREVIOUS.value,
            ~busy,
            versions.c.item_id >= item_id,
            (versions.c.item_id > item_id) | and_(versions.c.item_id == item_id, versions.c.number > number),
        )
        .order_by(versions.c.item_id, in_order)
        .limit(limit)
    ).all()
    return [_read_apart(row) for row in rows]


def _read_apart(row: Row[*tuple[Any, ...]]) -> ReplacedVersion | UnreadVersion:
    made = read_apart(row, _read)
    if isinstance(made, Unread):
        return UnreadVersion(row.item_id, row.number, row.name, made.problem)
    return made


def _read(row: Row[*tuple[Any, ...]]) -> ReplacedVersion:
    check_row(row, f"version {row.number} of {row.name}")
    return ReplacedVersion(
        item_id=row.item_id,
        number=row.number,
        name=row.name,
        superseded_at=row.superseded_at,
        overlap_seconds=row.overlap_seconds,
        current=row.current,
    )
