"""Whole ids for beginnings of them, among the rows that whoever writes them may see."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from vaultcore.access import Action
from vaultcore.ids import ITEM_PREFIX, find_prefix, find_whole
from vaultcore.names import spellings
from vaultcore.tables import items
from worker.rows.item_lists import owned_by
from worker.rows.tables import findings, notices, rotations, runs, workflows
from worker.rows.workflows import ID_PREFIX, is_known


@dataclass(frozen=True, kw_only=True)
class Identified:
    """What has ids. `action`: that of seeing one. `item`: whose owners may; `owner`: who may, where that is
    one. `open`: those that can be asked for.
    """

    id: ColumnElement[str]
    action: Action
    item: ColumnElement[Any] | None = None
    owner: ColumnElement[str] | None = None
    open: ColumnElement[bool] | None = None


KINDS: Final[Mapping[str, Identified]] = {
    ITEM_PREFIX: Identified(id=items.c.id, action=Action.ITEM_SEE, item=items.c.id),
    ID_PREFIX: Identified(id=workflows.c.id, action=Action.WORKFLOW_SEE),
    "fl_run": Identified(id=runs.c.id, action=Action.WORKFLOW_SEE),
    "rot": Identified(id=rotations.c.id, action=Action.ROTATION_SEE, item=rotations.c.item_id),
    "fnd": Identified(
        id=findings.c.id,
        action=Action.FINDING_SEE,
        item=findings.c.item_id,
        open=findings.c.resolved_at.is_(None),
    ),
    "ntc": Identified(id=notices.c.id, action=Action.NOTICE_SEE, owner=notices.c.owner_id),
}
"""By the prefix of their ids."""


def complete(connection: Connection, given: str, *, seen_by: Collection[str] | None) -> str:
    """The only id that begins so among those that owners with these ids may see, None: among all. `given` as it
    is, if it is none, or a name. `AmbiguousError` names several.
    """
    kind = KINDS.get(find_prefix(given) or "")
    if kind is None or _is_name(connection, kind, given):
        return given
    where = [] if kind.open is None else [kind.open]
    if seen_by is not None and kind.item is not None:
        where.append(kind.item.in_(owned_by(seen_by)))
    if seen_by is not None and kind.owner is not None:
        where.append(kind.owner.in_(sorted(seen_by)))
    return find_whole(connection, kind.id, given, *where)


def _is_name(connection: Connection, kind: Identified, given: str) -> bool:
    if kind is KINDS[ID_PREFIX]:
        return is_known(connection, given)
    if kind is KINDS[ITEM_PREFIX]:
        found = connection.execute(select(items.c.id).where(items.c.name.in_(spellings(given))).limit(1))
        return found.first() is not None
    return False
