"""The record, a page at a time, filtered and sorted by the database. `AuditLog.verify` alone proves it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, or_, select

from vaultcore.audit_rows import AuditRow, audit_row
from vaultcore.model import PrincipalKind
from vaultcore.names import spellings
from vaultcore.tables import audit, items
from worker.domain.paging import Page, PageRequest
from worker.rows.listing import Sortable, read_page, read_rows
from worker.rows.tables import rotations

RECORD: Final = Sortable(name="audit", id=audit.c.seq, sorts={"at": audit.c.at}, usual="-at")

_ACTORS: Final = ("", "user:", *(f"{kind.value}:" for kind in PrincipalKind))


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """`subject`: the id of what a row is about. `item`: the id or name of an item, also of one that is gone,
    with its rotations. `actor`: as the record has it, or without `user:`, `person:` or `service:`. `action`:
    `item.update`, or `item` for all that is done with items. `without`: an action that is left out.
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
        ids = _find_item_ids(connection, wanted.item)
        of_item = select(rotations.c.id).where(rotations.c.item_id.in_(ids))
        where.append(or_(c.subject.in_(ids), c.subject.in_(of_item)))
    if wanted.subject is not None:
        where.append(c.subject == wanted.subject)
    if wanted.actor is not None:
        where.append(_is_by(connection, wanted.actor))
    if wanted.action is not None:
        where.append(_does(wanted.action))
    if wanted.without is not None:
        where.append(c.action != wanted.without)
    if wanted.after is not None:
        where.append(c.at >= wanted.after)
    if wanted.before is not None:
        where.append(c.at < wanted.before)
    found = read_page(connection, RECORD, select(c.seq).where(*where), request, asked=vars(wanted))
    return read_rows(connection, audit, found, audit_row, what="row of the audit log")


def _find_item_ids(connection: Connection, item: str) -> list[str]:
    """By its name also one that is gone, as long as a rotation of it is known."""
    named = select(items.c.id).where(items.c.name.in_(spellings(item)))
    rotated = select(rotations.c.item_id).where(rotations.c.item == item)
    return sorted({item, *connection.execute(named.union(rotated)).scalars()})


def _is_by(connection: Connection, actor: str) -> ColumnElement[bool]:
    """By one name wherever there is one, so that an index has the rows in their order."""
    c = audit.c
    spelled = [actor] if ":" in actor else [f"{kind}{actor}" for kind in _ACTORS]
    known = [one for one in spelled if connection.execute(select(c.seq).where(c.actor == one).limit(1)).first()]
    return c.actor.in_(known) if len(known) > 1 else c.actor == (known or spelled)[0]


def _does(action: str) -> ColumnElement[bool]:
    """Actions are a noun and a verb, with a dot between them: a noun alone stands for all of its verbs."""
    if "." in action:
        return audit.c.action == action
    return audit.c.action.startswith(f"{action}.", autoescape=True)


def name_subjects(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """By id, the names of these items, and of the items of these rotations."""
    wanted = sorted(ids)
    named = select(items.c.id, items.c.name).where(items.c.id.in_(wanted))
    replaced = select(rotations.c.id, rotations.c.item).where(rotations.c.id.in_(wanted))
    return {row_id: name for query in (named, replaced) for row_id, name in connection.execute(query)}
