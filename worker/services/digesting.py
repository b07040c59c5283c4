"""Digests: what each owner has not been told yet is set down when a night closes, and put into words when the
digest leaves, which may be hours later: what was settled meanwhile is not told.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, exists, func, not_, or_, select, true, update

from vaultcore.rows import owners_of
from vaultcore.tables import item_owners, items, references
from worker import finding_rows
from worker.domain.audience import hearers, is_news
from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.notices import LINES_MAX, FoundLine, Message, RotatedLine, TonightLine, build_digest
from worker.domain.plan import describe_open
from worker.domain.saga import TOLD, State
from worker.services.notifying import Letters, Notifying
from worker.store import NIGHT_JOB
from worker.tables import findings, rotations, sweeps, tellings

_PAGE = 1000


class Digesting:
    def __init__(self, *, notifying: Notifying, letters: Letters, clock: Callable[[], datetime]) -> None:
        self._notifying = notifying
        self._letters = letters
        self._clock = clock

    def post(self, connection: Connection, night: datetime) -> int:
        """A digest for each owner who has something to hear that they were not told before. How many.

        That is also what a night before had put off, and what was replaced since.
        """
        operators = self.set_down(connection, night, self._clock())
        to_tell = _find_to_tell(connection, night, operators)
        return sum(self._notifying.post_digest(connection, owner_id, night) is not None for owner_id in to_tell)

    def set_down(self, connection: Connection, night: datetime, now: datetime) -> str:
        """Who is to read of what in the digest of that night. The id of the operators."""
        operators = self._notifying.find_operators(connection)
        for page in finding_rows.walk_untold(connection, operators=operators, now=now, page_size=_PAGE):
            told = finding_rows.told_levels(connection, {row.topic for row in page})
            news = [
                (hearer, row.topic, row.level)
                for row in page
                for hearer in hearers(row.level, owner=row.owner_id, deputy=row.deputy_id, operators=operators)
                if is_news(row.level, told=told.get((hearer, row.topic)))
            ]
            finding_rows.mark_told(connection, news, night=night, now=now)
        connection.execute(
            update(rotations)
            .where(
                rotations.c.night.is_not(None),
                rotations.c.told_night.is_(None),
                rotations.c.state.in_([state.value for state in TOLD]),
            )
            .values(told_night=night)
        )
        return operators

    def compose(self, connection: Connection, owner_id: str, night: datetime) -> Message | None:
        """The message as things stand now; None: nothing of it is left to tell.

        What failed was told at once: it is repeated among other things, but is no reason for a digest.
        """
        data = self.collect(connection, owner_id, night, self._clock())
        if not (data["found"] or data["replaced"]):
            return None
        zone = self._notifying.find_hearer(connection, owner_id).zone
        return self._letters.write("digest", data, zone=zone)

    def collect(
        self,
        connection: Connection,
        owner_id: str,
        night: datetime,
        now: datetime,
        *,
        tonight: Sequence[TonightLine] = (),
    ) -> dict[str, Any]:
        """What was set down for that owner and night, as far as it still holds: the data of the message."""
        found, total = _find_findings(connection, owner_id, night, now)
        operators = self._notifying.find_operators(connection)
        rotated = _find_rotated(connection, owner_id, night, nobodys=owner_id == operators)
        name = self._notifying.find_hearer(connection, owner_id).name
        return build_digest(name, found, rotated, night=night, now=now, total=total, tonight=tonight)


def _find_to_tell(connection: Connection, night: datetime, operators: str) -> list[str]:
    told = set(
        connection.execute(select(tellings.c.owner_id).where(tellings.c.night == night).distinct()).scalars()
    )
    rotated = connection.execute(
        select(func.coalesce(item_owners.c.owner_id, operators))
        .select_from(rotations)
        .outerjoin(item_owners, item_owners.c.item_id == rotations.c.item_id)
        .where(rotations.c.told_night == night)
        .distinct()
    ).scalars()
    return sorted(told | set(rotated))


def _find_findings(
    connection: Connection, owner_id: str, night: datetime, now: datetime
) -> tuple[list[FoundLine], int]:
    """The worst of them, and how many there are: still open, and of an expiry that is still the item's."""
    order = case(
        {kind.value: position for kind, position in WORST_FIRST.items()},
        value=findings.c.kind,
        else_=len(WORST_FIRST),
    )
    holds = (
        tellings.c.owner_id == owner_id,
        tellings.c.night == night,
        findings.c.resolved_at.is_(None),
        not_(finding_rows.is_quiet(now)),
        or_(findings.c.deadline.is_(None), findings.c.deadline == items.c.expires_at),
    )
    joined = findings.join(tellings, tellings.c.topic == findings.c.topic).outerjoin(
        items, items.c.id == findings.c.item_id
    )
    total = connection.execute(select(func.count()).select_from(joined).where(*holds)).scalar_one()
    rows = connection.execute(
        select(findings, rotations.c.id.label("rotation_id"), rotations.c.state.label("rotation_state"))
        .select_from(
            joined.outerjoin(
                rotations,
                and_(rotations.c.item_id == findings.c.item_id, rotations.c.finished_at.is_(None)),
            )
        )
        .where(*holds)
        .order_by(order, findings.c.deadline.is_(None), findings.c.deadline, findings.c.item)
        .limit(LINES_MAX)
    ).all()
    ids = sorted({row.item_id for row in rows if row.item_id is not None})
    users = _users_of(connection, ids)
    names = owners_of(connection, ids)
    owned = set(
        connection.execute(
            select(item_owners.c.item_id).where(
                item_owners.c.owner_id == owner_id, item_owners.c.item_id.in_(ids)
            )
        ).scalars()
    )
    return [
        FoundLine(
            kind=FindingKind(row.kind),
            subject=row.item or row.subject,
            detail=row.detail,
            deadline=row.deadline,
            **_describe_help(row),
            users=() if row.workflow is not None else users.get(row.item_id, ()),
            belongs=() if row.item_id in owned else names.get(row.item_id, ()),
        )
        for row in rows
    ], total


def _describe_help(row: Row[*tuple[Any, ...]]) -> dict[str, str | None]:
    """What Nightkey does about it, and what a person can type: of an expiry, as its rotation stands now."""
    if row.deadline is None or row.rotation_id is None:
        return {"does": row.does, "command": row.command}
    does, command = describe_open(row.rotation_id, row.rotation_state)
    return {"does": does, "command": command}


def _users_of(connection: Connection, item_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The active consumers of each item by name, without its own rotator."""
    users: dict[str, tuple[str, ...]] = {}
    rows = connection.execute(
        select(references.c.item_id, references.c.consumer_name)
        .where(
            references.c.item_id.in_(item_ids),
            references.c.active.is_(True),
            references.c.consumer_id != references.c.item_id,
        )
        .distinct()
        .order_by(references.c.consumer_name)
    )
    for row in rows:
        users[row.item_id] = (*users.get(row.item_id, ()), row.consumer_name)
    return users


def _find_rotated(
    connection: Connection, owner_id: str, night: datetime, *, nobodys: bool
) -> list[RotatedLine]:
    mine: ColumnElement[bool] = exists().where(
        item_owners.c.item_id == rotations.c.item_id, item_owners.c.owner_id == owner_id
    )
    if nobodys:
        mine = or_(mine, ~exists().where(item_owners.c.item_id == rotations.c.item_id))
    closed = select(sweeps.c.done_at).where(sweeps.c.job == NIGHT_JOB, sweeps.c.slot == night)
    told_since = and_(
        rotations.c.state == State.DONE.value, rotations.c.finished_at > closed.scalar_subquery()
    )
    rows = connection.execute(
        select(rotations)
        .where(rotations.c.told_night == night, mine, func.coalesce(not_(told_since), true()))
        .order_by(rotations.c.id)
    )
    return [
        RotatedLine(
            id=row.id,
            item=row.item,
            state=State(row.state),
            version=row.new_number,
            error=row.last_error,
            waits_for=tuple(row.waits_for),
        )
        for row in rows
    ]
