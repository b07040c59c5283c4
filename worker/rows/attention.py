"""What waits for a person to decide or to give a value: counted and read by index.

`seen_by`: the ids of the owners whose items the reader may see; None: everybody's.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from vaultcore.model import Item, Mode
from vaultcore.stored import read_all
from vaultcore.tables import item_owners, items
from worker.domain.findings import MENTIONED, FindingKind
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.item_lists import is_owned, owned_by
from worker.rows.quiet_findings import is_quiet
from worker.rows.rotations import rotation_from_row
from worker.rows.tables import findings, rotations
from worker.rows.whole_items import read_items

Seen = Collection[str] | None
_KNOWN = frozenset({FindingKind.LAPSED.value, FindingKind.EXPIRING.value})


def count_requested(connection: Connection, *, seen_by: Seen) -> int:
    query = select(func.count()).select_from(rotations).where(*_requested(seen_by))
    return connection.execute(query).scalar_one()


def list_requested(connection: Connection, *, limit: int, seen_by: Seen) -> list[Rotation]:
    """Rotations that wait for an approval, the one first that ends soonest."""
    rows = connection.execute(
        select(rotations).where(*_requested(seen_by)).order_by(rotations.c.next_at, rotations.c.id).limit(limit)
    )
    return read_all(rows, rotation_from_row)[0]


def count_owners_turn(connection: Connection, *, now: datetime, due_too: bool, seen_by: Seen) -> int:
    where = _owners_turn(connection, now, due_too=due_too, seen_by=seen_by)
    return connection.execute(select(func.count()).select_from(items).where(*where)).scalar_one()


def list_owners_turn(
    connection: Connection, *, now: datetime, due_too: bool, limit: int, seen_by: Seen
) -> list[Item]:
    """Items that have lapsed, no rotation is open for, nobody has said that they know of, and no problem tells
    of as used; `due_too`: and those that nobody but their owners replaces, once they are due. The one first
    that lapsed first.
    """
    ids = connection.scalars(
        select(items.c.id)
        .where(*_owners_turn(connection, now, due_too=due_too, seen_by=seen_by))
        .order_by(items.c.expires_at, items.c.id)
        .limit(limit)
    ).all()
    read = read_items(connection, ids)
    found = [read[item_id] for item_id in ids if item_id in read]
    return [one for one in found if isinstance(one, Item)]  # of others the scan makes a finding


def count_seen_items(connection: Connection, *, seen_by: Seen) -> int:
    if seen_by is None:
        return connection.execute(select(func.count()).select_from(items)).scalar_one()
    mine = select(func.count(item_owners.c.item_id.distinct())).where(
        item_owners.c.owner_id.in_(sorted(seen_by))
    )
    return connection.execute(mine).scalar_one()


def find_seen_names(connection: Connection, names: Collection[str], *, seen_by: Collection[str]) -> set[str]:
    """Of these names those of items that the reader may see."""
    wanted = select(items.c.name).where(items.c.name.in_(sorted(names)), is_owned(connection, seen_by))
    return set(connection.execute(wanted).scalars())


def first_expiry(connection: Connection, *, after: datetime, seen_by: Seen) -> datetime | None:
    """When the next item lapses."""
    where = [items.c.expires_at > after, *([] if seen_by is None else [is_owned(connection, seen_by)])]
    return connection.execute(
        select(items.c.expires_at).where(*where).order_by(items.c.expires_at).limit(1)
    ).scalar_one_or_none()


def _requested(seen_by: Seen) -> list[ColumnElement[bool]]:
    where = [rotations.c.state == State.REQUESTED.value, rotations.c.finished_at.is_(None)]
    return where if seen_by is None else [*where, rotations.c.item_id.in_(owned_by(seen_by))]


def _owners_turn(
    connection: Connection, now: datetime, *, due_too: bool, seen_by: Seen
) -> list[ColumnElement[bool]]:
    lapsed = items.c.expires_at <= now
    due = and_(items.c.due_at <= now, items.c.mode == Mode.NOTIFY.value)
    replaced = select(rotations.c.id).where(
        rotations.c.item_id == items.c.id, rotations.c.finished_at.is_(None)
    )
    known = select(findings.c.id).where(
        findings.c.item_id == items.c.id,
        findings.c.kind.in_(sorted(_KNOWN)),
        findings.c.resolved_at.is_(None),
        is_quiet(now),
    )
    told = select(findings.c.id).where(
        findings.c.item_id == items.c.id,
        findings.c.kind == FindingKind.USES_EXPIRED.value,
        findings.c.level > MENTIONED,
        findings.c.resolved_at.is_(None),
        ~is_quiet(now),
    )
    where = [
        items.c.expires_at.is_not(None),
        or_(lapsed, due) if due_too else lapsed,
        ~replaced.correlate(items).exists(),
        ~known.correlate(items).exists(),
        ~told.correlate(items).exists(),
    ]
    return where if seen_by is None else [*where, is_owned(connection, seen_by)]
