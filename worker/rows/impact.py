"""Who hangs on an item, beyond the workflows that use it: items whose rotators log in with it, and copies."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from vaultcore.errors import UnreadableError
from vaultcore.model import ConsumerKind
from vaultcore.row_macs import find_edited
from vaultcore.tables import items, references, versions
from worker.domain.states import RunPurpose
from worker.rows.tables import runs


def find_family(connection: Connection, item_id: str) -> list[str]:
    """The ids of the other items that are declared to hold the item's credential: its original, and its copies,
    or those that its original has beside it.
    """
    original = connection.execute(select(items.c.copy_of).where(items.c.id == item_id)).scalar_one_or_none()
    root = original or item_id
    found = connection.execute(
        select(items.c.id).where((items.c.id == root) | (items.c.copy_of == root)).order_by(items.c.name)
    ).scalars()
    return [one for one in found if one != item_id]


def find_changed_with(
    connection: Connection, item_ids: Sequence[str]
) -> dict[str, list[str] | UnreadableError]:
    """For each of some hundred items the ids of those whose rotators name it in their settings. In the place of
    them, where none of us wrote one of these uses so, the error that says so.
    """
    found: dict[str, set[str]] = {one: set() for one in item_ids}
    edited: dict[str, UnreadableError] = {}
    rows = connection.execute(
        select(references).where(
            references.c.item_id.in_(item_ids), references.c.consumer == ConsumerKind.ROTATOR.value
        )
    )
    for row in rows:
        what = f"{row.written} in the rotator of {row.consumer_name}"
        error = find_edited(connection, references, row, what)
        if error is not None:
            edited.setdefault(row.item_id, error)
        found[row.item_id].add(row.consumer_id)
    return {one: edited.get(one) or sorted(ids - {one}) for one, ids in found.items()}


def count_runs(connection: Connection, workflow_ids: Collection[str], since: datetime) -> dict[str, int]:
    """How often each of these workflows ran for real since then; one that did not is not among them."""
    c = runs.c
    rows = connection.execute(
        select(c.workflow_id, func.count().label("number"))
        .where(
            c.workflow_id.in_(sorted(workflow_ids)),
            c.created_at >= since,
            c.purpose == RunPurpose.PRODUCTION.value,
        )
        .group_by(c.workflow_id)
    )
    return {row.workflow_id: int(row.number) for row in rows}


def last_presented(connection: Connection, item_ids: Sequence[str]) -> dict[str, datetime | None]:
    """When a caller last presented a key of each of some hundred items."""
    query = (
        select(versions.c.item_id, func.max(versions.c.last_used_at).label("at"))
        .where(versions.c.item_id.in_(item_ids))
        .group_by(versions.c.item_id)
    )
    return dict.fromkeys(item_ids) | {row.item_id: row.at for row in connection.execute(query)}
