"""The record, a page at a time, filtered and sorted by the database. `AuditLog.verify` alone proves it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, or_, select

from vaultcore.audit import AuditRow, audit_row
from vaultcore.tables import audit, items
from worker.domain.paging import Page, PageRequest
from worker.rows.listing import Sortable, read_page, read_rows
from worker.rows.tables import rotations

RECORD: Final = Sortable(name="audit", id=audit.c.seq, sorts={"at": audit.c.at}, usual="-at")


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """`subject`: the id of what a row is about. `item`: an item's id, with its rotations. `without`: an action
    that is left out.
    """

    item: str | None = None
    subject: str | None = None
    actor: str | None = None
    action: str | None = None
    without: str | None = None
    after: datetime | None = None
    before: datetime | None = None


def page_audit(connection: Connection, wanted: AuditFilter, request: PageRequest) -> Page[AuditRow]:
    c = audit.c
    where: list[ColumnElement[bool]] = []
    if wanted.item is not None:
        of_item = select(rotations.c.id).where(rotations.c.item_id == wanted.item)
        where.append(or_(c.subject == wanted.item, c.subject.in_(of_item)))
    for column, value in ((c.subject, wanted.subject), (c.actor, wanted.actor), (c.action, wanted.action)):
        if value is not None:
            where.append(column == value)
    if wanted.without is not None:
        where.append(c.action != wanted.without)
    if wanted.after is not None:
        where.append(c.at >= wanted.after)
    if wanted.before is not None:
        where.append(c.at < wanted.before)
    found = read_page(connection, RECORD, select(c.seq).where(*where), request, asked=vars(wanted))
    return read_rows(connection, audit, found, audit_row, what="row of the audit log")


def name_subjects(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """By id, the names of these items, and of the items of these rotations."""
    wanted = sorted(ids)
    named = select(items.c.id, items.c.name).where(items.c.id.in_(wanted))
    replaced = select(rotations.c.id, rotations.c.item).where(rotations.c.id.in_(wanted))
    return {row_id: name for query in (named, replaced) for row_id, name in connection.execute(query)}
