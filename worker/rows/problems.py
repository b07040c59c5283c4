"""What is wrong, as rows have it: read for the end of a night and for `status`. It changes nothing.

Each function costs what is wrong, and not what is stored: all go by an index on what is open, due or failed.
"""

from collections import Counter
from datetime import datetime
from functools import partial
from itertools import chain

from sqlalchemy import Connection, exists, not_, or_, select, union_all

from vaultcore.model import ConsumerKind
from vaultcore.names import spellings
from vaultcore.row_macs import is_ours
from vaultcore.stored import read_all
from vaultcore.tables import items, owners, references, routes
from worker.domain.findings import MENTIONED, FindingKind
from worker.domain.messages import LEFT_OVER, describe_fault
from worker.domain.problems import FAILING_FINDINGS, LATE, Problem, ProblemKind, judge_rotation
from worker.domain.reasons import Code, Reason, show_reason
from worker.domain.saga import AT_REST, REPLACED, State
from worker.domain.states import BeatState, DeliveryState
from worker.rows import comparisons as comparison_rows
from worker.rows import messages as message_rows
from worker.rows import notices as notice_rows
from worker.rows import pickups as pickup_rows
from worker.rows.quiet_findings import is_quiet
from worker.rows.rotations import read_whole
from worker.rows.tables import deliveries, findings, heartbeats, notices, rotations


def read_problems(
    connection: Connection, *, since: datetime, now: datetime, waited_for: datetime | None = None
) -> list[Problem]:
    """Whatever is unfinished, failed since a time, or overdue.

    `waited_for`: at the end of a night a rotation is unfinished that was opened by then and still moves, since
    nobody waits for it any longer.
    """
    replaced = _rotations(connection, since=since, now=now, waited_for=waited_for)
    known = {problem.subject for problem in replaced}
    return [
        *_restored(connection),
        *replaced,
        *(problem for problem in _due_again(connection, now) if problem.subject not in known),
        *_findings(connection, now),
        *_pickups(connection, now),
        *read_undelivered(connection, since=since, now=now),
        *read_heartbeat(connection),
    ]


def read_undelivered(connection: Connection, *, since: datetime, now: datetime) -> list[Problem]:
    """What has not reached whom it is for: no route, given up since a time, or a try that failed and goes on.

    What waits for the end of somebody's quiet hours is no problem.
    """
    found = [
        Problem(kind=ProblemKind.UNREACHED, subject=row.owner, number=row.number)
        for row in notice_rows.count_unrouted(connection)
    ]
    queries = [
        select(
            notices.c.id,
            notices.c.owner,
            notices.c.subject,
            deliveries.c.route_id,
            deliveries.c.shown,
            deliveries.c.recipient,
            deliveries.c.state,
            deliveries.c.last_error,
            deliveries.c.next_at,
        )
        .join(deliveries, deliveries.c.notice_id == notices.c.id)
        .where(which)
        for which in (  # each by an index of its own: together they would have none
            (deliveries.c.state == DeliveryState.FAILED.value) & (deliveries.c.tried_at >= since),
            (deliveries.c.state == DeliveryState.WAITING.value)
            & (deliveries.c.last_error.is_not(None) | (deliveries.c.next_at <= now - LATE)),
        )
    ]
    tried = chain.from_iterable(connection.execute(query) for query in queries)
    for row in sorted(tried, key=lambda row: (str(row.id), str(row.route_id))):
        failed = row.state == DeliveryState.FAILED.value
        found.append(
            Problem(
                kind=ProblemKind.NOTICE_FAILED if failed else ProblemKind.NOTICE_WAITING,
                subject=str(row.owner),
                id=str(row.id),
                error=Reason.of(
                    Code.NOT_DELIVERED,
                    subject=str(row.subject),
                    place=notice_rows.show_place(str(row.shown), str(row.recipient)),
                    text=row.last_error or None,
                ),
                at=row.next_at or None,
            )
        )
    return found


def read_heartbeat(connection: Connection) -> list[Problem]:
    """What did not arrive of the last night, at the last try."""
    row = connection.execute(
        select(heartbeats.c.slot, heartbeats.c.beat, heartbeats.c.last_error)
        .where(
            heartbeats.c.last_error.is_not(None),
            heartbeats.c.state.in_([BeatState.WAITING.value, BeatState.FAILED.value]),
        )
        .order_by(heartbeats.c.posted_at.desc())
        .limit(1)
    ).first()
    newest = connection.execute(select(heartbeats.c.slot).order_by(heartbeats.c.slot.desc()).limit(1)).scalar()
    if row is None or row.slot != newest:
        return []
    error = Reason.failed(str(row.last_error))
    return [Problem(kind=ProblemKind.HEARTBEAT, subject=str(row.beat), at=row.slot or None, error=error)]


def read_operators(connection: Connection, name: str) -> list[Problem]:
    """Whether anybody hears of what has no owner, and of nights that fail."""
    rows = connection.execute(
        select(owners, exists().where(routes.c.owner_id == owners.c.id).label("reached")).where(
            owners.c.name.in_(spellings(name))
        )
    ).all()
    if not rows:
        return [Problem(kind=ProblemKind.NO_OPERATORS, subject=name)]
    ours = [row for row in rows if is_ours(connection, owners, row)]
    if not ours:
        error = Reason.of(Code.OPERATORS_NAME_TAKEN)
        return [Problem(kind=ProblemKind.TAMPERED, subject=f"owner {name}", error=error)]
    return [] if ours[0].reached else [Problem(kind=ProblemKind.OPERATORS_UNREACHED, subject=name)]


def read_set_aside(connection: Connection, *, since: datetime) -> list[Problem]:
    """What was set aside at the broker since then: by others, and what nobody took in time."""
    found = message_rows.read_set_aside(connection, since=since)
    if found is None:
        return []
    late = Counter({fault: number for fault, number in found.counts.items() if fault in LEFT_OVER})
    kinds = ((ProblemKind.SET_ASIDE, found.counts - late), (ProblemKind.LEFT_OVER, late))
    return [
        Problem(
            kind=kind,
            subject=message_rows.FOLDER,
            error=Reason.of(
                Code.FOREIGN_MESSAGES,
                counts=tuple(f"{number} {describe_fault(fault)}" for fault, number in counts.most_common()),
            ),
            at=found.last_at,
            number=counts.total(),
        )
        for kind, counts in kinds
        if counts
    ]


# Inside


def _restored(connection: Connection) -> list[Problem]:
    """What a restore has left: items that differ from their targets, and how many were not asked yet."""
    found = [
        Problem(kind=ProblemKind.DIFFERS, subject=row.item, error=row.detail)
        for row in comparison_rows.list_differing(connection)
    ]
    waiting = comparison_rows.count_waiting(connection)
    if waiting:
        found.append(Problem(kind=ProblemKind.NOT_COMPARED, subject="", number=waiting))
    return found


def _rotations(
    connection: Connection, *, since: datetime, now: datetime, waited_for: datetime | None
) -> list[Problem]:
    """Open ones that are in trouble, and those that ended badly since, unless the item was replaced later."""
    later = rotations.alias()
    healed = exists().where(
        later.c.item_id == rotations.c.item_id,
        later.c.id > rotations.c.id,
        later.c.state.in_([state.value for state in REPLACED]),
    )
    at_work = or_(
        rotations.c.state.not_in([state.value for state in AT_REST]),
        rotations.c.state == State.STUCK.value,
        rotations.c.failing_since.is_not(None),
    )
    is_open = rotations.c.finished_at.is_(None)
    ended_badly = rotations.c.state.in_([State.ROLLED_BACK.value, State.CANCELLED.value])
    each = union_all(  # each by an index of its own: together they would have none
        select(rotations.c.id).where(is_open, at_work),
        select(rotations.c.id).where(is_open, rotations.c.next_at < now - LATE),
        select(rotations.c.id).where(rotations.c.finished_at >= since, ended_badly, not_(healed)),
    )
    rows = connection.execute(select(rotations).where(rotations.c.id.in_(each)).order_by(rotations.c.id))
    found = []
    for one in read_all(rows, partial(read_whole, connection))[0]:  # of others the scan makes a finding
        kind = judge_rotation(
            one.state,
            waits_for=one.waits_for,
            failed=one.last_cause is not None,
            failing=one.failing_since is not None,
            error=one.last_error,
            next_at=one.next_at,
            lease_until=one.lease_until,
            now=now,
            at_end=waited_for is not None and one.created_at <= waited_for,
        )
        if kind is not None:
            at = one.lease_until if kind is ProblemKind.HELD else one.next_at
            found.append(Problem(kind=kind, subject=one.item, id=one.id, error=one.last_error, at=at))
    return found


def _due_again(connection: Connection, now: datetime) -> list[Problem]:
    """Items whose last rotation failed, which are due, and for which none is open: their next try waits."""
    open_one = exists().where(rotations.c.item_id == items.c.id, rotations.c.finished_at.is_(None))
    rows = connection.execute(
        select(items.c.name, items.c.hold_until, findings.c.detail)
        .join(findings, findings.c.item_id == items.c.id)
        .where(
            items.c.due_at <= now,
            findings.c.kind == FindingKind.ROTATION_FAILED.value,
            findings.c.resolved_at.is_(None),
            not_(is_quiet(now)),
            not_(open_one),
        )
        .order_by(items.c.name)
    )
    return [
        Problem(kind=ProblemKind.DUE_AGAIN, subject=row.name, error=show_reason(row.detail), at=row.hold_until)
        for row in rows
    ]


def _findings(connection: Connection, now: datetime) -> list[Problem]:
    """Of items that wait for their value those that an active workflow here would use, which fails meanwhile:
    another engine has values of its own.
    """
    used = exists().where(
        references.c.item_id == findings.c.item_id,
        references.c.consumer == ConsumerKind.WORKFLOW.value,
        references.c.active.is_(True),
        ~references.c.mentioned,
        ~references.c.elsewhere,
    )
    rows = connection.execute(
        select(
            findings.c.kind,
            findings.c.item,
            findings.c.item_id,
            findings.c.subject,
            findings.c.workflow,
            findings.c.detail,
        )
        .where(
            findings.c.resolved_at.is_(None),
            findings.c.kind.in_([kind.value for kind in FAILING_FINDINGS]),
            or_(findings.c.kind != FindingKind.NO_VALUE.value, used),
            findings.c.level > MENTIONED,
            not_(is_quiet(now)),
        )
        .order_by(findings.c.id)
    )
    return [
        Problem(
            kind=FAILING_FINDINGS[FindingKind(row.kind)],
            subject=row.item or row.subject,
            id=row.workflow or row.item_id,
            error=show_reason(row.detail),
        )
        for row in rows
    ]


def _pickups(connection: Connection, now: datetime) -> list[Problem]:
    """New keys that nobody has collected though no other works, or after their time."""
    return [
        Problem(kind=ProblemKind.PICKUP, subject=one.item or one.item_id, id=one.id, at=one.created_at)
        for one in pickup_rows.overdue(connection, now)
    ]
