"""What hangs on an owner: items, those whose deputy they are, who signs in for them, notices on their way."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, or_, select, update

from vaultcore.row_macs import is_ours
from vaultcore.tables import item_owners, items, owners, principals
from worker.domain.states import DeliveryState
from worker.rows.tables import deliveries, notices, tellings

_NOT_ARRIVED = (DeliveryState.WAITING.value, DeliveryState.FAILED.value)


def name_items(connection: Connection, owner_id: str) -> list[str]:
    named = select(items.c.name).join(item_owners, item_owners.c.item_id == items.c.id)
    found = connection.execute(named.where(item_owners.c.owner_id == owner_id).order_by(items.c.name))
    return [str(name) for name in found.scalars()]


def list_stood_in_for(connection: Connection, owner_id: str) -> list[str]:
    """The names of those whose deputy they are."""
    named = select(owners.c.name).where(owners.c.deputy_id == owner_id).order_by(owners.c.name)
    return [str(name) for name in connection.execute(named).scalars()]


def list_answering_for(connection: Connection, owner_id: str) -> list[str]:
    """The names of principals who may sign in for them, let in at present or not."""
    rows = connection.execute(select(principals.c.name, principals.c.owner_ids).order_by(principals.c.name))
    return [row.name for row in rows if isinstance(row.owner_ids, list) and owner_id in row.owner_ids]


def list_undelivered(connection: Connection, owner_id: str) -> list[str]:
    """The ids of their notices that have not left yet, or that somebody did not take; one that none of us wrote
    so goes nowhere.
    """
    waiting = select(deliveries.c.notice_id).where(
        deliveries.c.notice_id == notices.c.id, deliveries.c.state.in_(_NOT_ARRIVED)
    )
    found = select(notices).where(
        notices.c.owner_id == owner_id, or_(notices.c.routed.is_(False), waiting.exists())
    )
    rows = connection.execute(found.order_by(notices.c.id))
    return [row.id for row in rows if is_ours(connection, notices, row)]


def move_notices(connection: Connection, ids: Collection[str], *, owner_id: str, owner: str) -> None:
    """They are somebody else's now. What waited for the routes of before waits no longer."""
    connection.execute(
        update(notices)
        .where(notices.c.id.in_(sorted(ids)))
        .values(owner_id=owner_id, owner=owner, routed=False)
    )
    connection.execute(
        delete(deliveries).where(
            deliveries.c.notice_id.in_(sorted(ids)), deliveries.c.state == DeliveryState.WAITING.value
        )
    )


def forget_tellings(connection: Connection, owner_id: str) -> None:
    """What they were told in digests."""
    connection.execute(delete(tellings).where(tellings.c.owner_id == owner_id))
