"""Who hangs on an item, beyond the workflows that use it: items whose rotators log in with it, and copies."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, select

from vaultcore.model import ConsumerKind
from vaultcore.row_macs import check_mac
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


def find_changed_with(connection: Connection, item_id: str) -> list[str]:
    """The ids of the items whose rotators name this one in their settings. `TamperedError` where none of us
    wrote one of these uses so.
    """
    rows = connection.execute(
        select(references).where(
            references.c.item_id == item_id, references.c.consumer == ConsumerKind.ROTATOR.value
        )
    ).all()
    for row in rows:
        check_mac(connection, references, row, f"{row.written} in the rotator of {row.consumer_name}")
    return sorted({row.consumer_id for row in rows} - {item_id})


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


def last_presented(connection: Connection, item_id: str) -> datetime | None:
    """When a caller last presented a key of the item."""
    query = select(func.max(versions.c.last_used_at)).where(versions.c.item_id == item_id)
    found: datetime | None = connection.execute(query).scalar_one()
    return found
