"""Workflows that a caller's key may open, as rows."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, or_, select

from vaultcore.model import ConsumerKind
from vaultcore.tables import references
from worker.domain.places import Place
from worker.rows.tables import workflows


class CalledNode(NamedTuple):
    """A node of a workflow that a caller's key may open; `written`: how it names the key's item."""

    workflow_id: str
    node_id: str
    written: str


def find_called(
    connection: Connection, item_id: str | None, *, begins_with: str, names: Sequence[str] | None
) -> list[CalledNode]:
    """Nodes of active workflows here that use the item, where the document may name such a trigger; `names`: of
    that workflow alone, by the spellings of its name or id, the first as it was given.
    """
    named = references.c.consumer_id
    rows = connection.execute(
        select(named, references.c.node_id, references.c.written)
        .join(workflows, workflows.c.id == named)
        .where(
            references.c.item_id == item_id,
            references.c.consumer == ConsumerKind.WORKFLOW.value,
            ~references.c.mentioned,
            workflows.c.active,
            workflows.c.runs == Place.HERE.value,
            _may_begin_with(begins_with),
            *([] if names is None else [_is_called(names)]),
        )
        .order_by(workflows.c.name)
    ).all()
    return [CalledNode(row.consumer_id, row.node_id, row.written) for row in rows]


def _may_begin_with(component_id: str) -> ColumnElement[bool]:
    """Whether the document names the trigger, or may do so in another writing: its definition says it for sure.

    So that none is read of a workflow that the key opens by the other door.
    """
    document = workflows.c.document
    return or_(document.contains(component_id, autoescape=True), document.contains("\\u", autoescape=True))


def _is_called(names: Sequence[str]) -> ColumnElement[bool]:
    c = workflows.c
    return or_(c.id == names[0], c.given_id == names[0], c.name.in_(names))
