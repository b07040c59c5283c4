"""What is due, and what is to be done with it.

One walk serves the night and the dry run: it takes a page of rows, decides (pure), and hands what it saw to
whoever asked. An item that cannot be read is itself something seen: it never stops the walk.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from vaultcore import rules
from vaultcore.model import Hygiene, Kind
from worker.domain.commands import first_value_command
from worker.domain.findings import Finding, find_unreadable
from worker.domain.limits import CapsLeft, Contender, cannot_wait, share_out
from worker.domain.plan import Decision, DueItem, PlannedAction, plan_item, replace_quietly
from worker.domain.windows import Window
from worker.rows.due_items import DueRow, count_due, walk_due_items
from worker.rows.unread import UnreadItem
from worker.services.night.due_policies import DuePolicies, DuePolicy, DueTimes


class SeenItem(NamedTuple):
    """A due item and what is to be done with it; `decision` is None if the row cannot be read."""

    item_id: str
    name: str
    decision: Decision | None
    finding: Finding | None
    target: str | None = None
    urgent: bool = False
    """Whether it cannot wait for another night, caps or not."""


def walk_due(
    connection: Connection, now: datetime, *, page_size: int, caps_left: CapsLeft, freezes: Sequence[Window]
) -> Iterator[list[SeenItem]]:
    """Items whose `due_at` has come, in pages, earliest first. The caller may write between pages.

    `caps_left`: where more is due than that, the first to expire have their turn.
    `freezes` hold for every item.
    """
    policies = DuePolicies(now, freezes)
    see = _choose(connection, now, page_size=page_size, caps_left=caps_left, policies=policies)
    for page in walk_due_items(connection, now, see, page_size=page_size):
        yield [one if isinstance(one, SeenItem) else _tell_unread(one) for one in page]


def _choose(
    connection: Connection, now: datetime, *, page_size: int, caps_left: CapsLeft, policies: DuePolicies
) -> Callable[[DueRow], SeenItem]:
    """How each is seen: a first walk over what is due finds out whose turn it is in a night that has no room
    for all, and only where the caps could matter.
    """
    if count_due(connection, now) <= caps_left.left():
        return DueSight(now, caps_left, policies).see
    see_chosen = DueSight(now, CapsLeft(caps=caps_left.caps), policies).see
    waiting: list[Contender] = []

    def contend(row: DueRow) -> None:
        seen = see_chosen(row)
        if seen.decision is not None and seen.decision.action is PlannedAction.ROTATE:
            one = Contender(
                item_id=row.item_id, expires_at=row.expires_at, target=seen.target, urgent=seen.urgent
            )
            waiting.append(one)

    for _ in walk_due_items(connection, now, contend, page_size=page_size):
        pass
    ids, full = share_out(waiting, caps_left)
    see_others = DueSight(now, full, policies).see
    return lambda row: see_chosen(row) if row.item_id in ids else see_others(row)


def _tell_unread(row: UnreadItem) -> SeenItem:
    name = str(row.name)
    finding = find_unreadable(row.item_id, row.problem, item_id=row.item_id, item=name)
    return SeenItem(item_id=row.item_id, name=name, decision=None, finding=finding)


class DueSight:
    """How items are seen at one time, with what is left of the night's caps for them."""

    def __init__(self, now: datetime, caps_left: CapsLeft, policies: DuePolicies) -> None:
        self._now = now
        self._caps_left = caps_left
        self._has_room = caps_left.left() > 0
        self._policies = policies

    def see(self, row: DueRow) -> SeenItem:
        known = self._policies.read(row.policy)
        life, expires_at = row.life_seconds, row.expires_at
        times = known.times if life is None else self._policies.read_times(row.policy, life)
        if (
            self._has_room
            and times.quiet is not None
            and times.quiet.after < expires_at <= times.quiet.until
            and not (row.rotation_id or row.hold_until or row.differs or _waits_for_value(row))
            and (row.is_read or not known.needs_consumer)
        ):
            decision = replace_quietly(expires_at, self._now)
            values = (row.item_id, row.name, decision, None, known.target, False)
            return tuple.__new__(SeenItem, values)  # faster than by its own `__new__`
        decision = plan_item(_make_item(row, known, times, self._now), self._now, self._caps_left)
        urgent = cannot_wait(expires_at, times.overlap, self._now)
        return SeenItem(row.item_id, row.name, decision, decision.finding, known.target, urgent)


def _waits_for_value(row: DueRow) -> bool:
    return bool(row.hygiene) and Hygiene.NO_VALUE in row.hygiene.split()


def _make_item(row: DueRow, known: DuePolicy, times: DueTimes, now: datetime) -> DueItem:
    policy, life = known.policy, None if row.life_seconds is None else timedelta(seconds=row.life_seconds)
    rotate_from = row.expires_at - times.lead
    if rotate_from > now:  # else it is no later than that, spread or not
        rotate_from = rules.rotate_from(policy, row.expires_at, item_id=row.item_id, life=life)
    give = None
    if _waits_for_value(row):
        give = first_value_command(row.name, policy, expires_at=row.expires_at, now=now)
    return DueItem(
        row.item_id,
        row.name,
        policy.mode,
        row.expires_at,
        rotate_from,
        times.overlap,
        times.thresholds,
        known.target,
        known.opens,
        policy.expiry_first,
        row.hold_until,
        row.rotation_id,
        row.rotation_state,
        policy.lifetime,
        unread=known.needs_consumer and not row.is_read and rules.kind_of(row.name) is Kind.SECRET,
        differs=row.differs,
        give=give,
    )
