"""What is due, and what is to be done with it.

One walk serves the night and the dry run: it takes a page of rows, decides (pure), and hands what it saw to
whoever asked. An item that cannot be read is itself something seen: it never stops the walk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from vaultcore import rules
from vaultcore.model import Hygiene, Kind
from vaultcore.stored import read_apart
from worker.domain.commands import first_value_command
from worker.domain.findings import Finding, find_unreadable
from worker.domain.limits import CapsLeft, Contender, cannot_wait, share_out
from worker.domain.plan import Decision, DueItem, PlannedAction, plan_item
from worker.domain.windows import Window
from worker.rows.due_items import DueRow, count_due, walk_due_items
from worker.rows.unread import UnreadItem
from worker.services.night.due_policies import DuePolicies, DuePolicy


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
    chosen = _choose(connection, now, page_size=page_size, caps_left=caps_left, policies=policies)
    for rows in walk_due_items(connection, now, page_size=page_size):
        yield [
            _see_apart(row, now, caps_left if chosen is None else chosen.caps_left_for(row.item_id), policies)
            for row in rows
        ]


@dataclass(frozen=True, kw_only=True)
class _Chosen:
    """Whose turn it is in a night that has no room for all; `full` says of the others why it is not theirs."""

    ids: frozenset[str]
    full: CapsLeft

    def caps_left_for(self, item_id: str) -> CapsLeft:
        return CapsLeft(caps=self.full.caps) if item_id in self.ids else self.full


def _choose(
    connection: Connection, now: datetime, *, page_size: int, caps_left: CapsLeft, policies: DuePolicies
) -> _Chosen | None:
    """A first walk over what is due, only where the caps could matter; None: there is room for all."""
    if count_due(connection, now) <= caps_left.left():
        return None
    free = CapsLeft(caps=caps_left.caps)
    waiting: list[Contender] = []
    for rows in walk_due_items(connection, now, page_size=page_size):
        for row in rows:
            seen = _see_apart(row, now, free, policies)
            rotates = seen.decision is not None and seen.decision.action is PlannedAction.ROTATE
            if rotates and isinstance(row, DueRow):
                waiting.append(
                    Contender(
                        item_id=row.item_id,
                        expires_at=row.expires_at,
                        target=seen.target,
                        urgent=seen.urgent,
                    )
                )
    ids, full = share_out(waiting, caps_left)
    return _Chosen(ids=ids, full=full)


def _see_apart(row: DueRow | UnreadItem, now: datetime, caps_left: CapsLeft, policies: DuePolicies) -> SeenItem:
    seen = (
        read_apart(row, lambda one: _see_item(one, now, caps_left, policies))
        if isinstance(row, DueRow)
        else row
    )
    if isinstance(seen, SeenItem):
        return seen
    name = str(row.name)
    finding = find_unreadable(row.item_id, seen.problem, item_id=row.item_id, item=name)
    return SeenItem(item_id=row.item_id, name=name, decision=None, finding=finding)


def _see_item(row: DueRow, now: datetime, caps_left: CapsLeft, policies: DuePolicies) -> SeenItem:
    known = policies.read(row.policy)
    item = _make_item(row, known, now)
    decision = plan_item(item, now, caps_left)
    return SeenItem(
        row.item_id,
        row.name,
        decision,
        decision.finding,
        known.target,
        cannot_wait(row.expires_at, item.overlap, now),
    )


def _make_item(row: DueRow, known: DuePolicy, now: datetime) -> DueItem:
    policy, life = known.policy, row.life
    if life is None:
        overlap, thresholds = known.overlap, known.thresholds
    else:
        overlap, thresholds = rules.overlap_of(policy, life), rules.thresholds_of(policy, life)
    rotate_from = row.expires_at - known.lead if life is None else row.expires_at
    if rotate_from > now:  # else it is no later than that, spread or not
        rotate_from = rules.rotate_from(policy, row.expires_at, item_id=row.item_id, life=life)
    waits = bool(row.hygiene) and Hygiene.NO_VALUE in row.hygiene.split()
    return DueItem(
        row.item_id,
        row.name,
        known.mode,
        row.expires_at,
        rotate_from,
        overlap,
        thresholds,
        known.target,
        known.opens,
        policy.expiry_first,
        row.hold_until,
        row.rotation_id,
        row.rotation_state,
        policy.lifetime,
        unread=known.needs_consumer and not row.is_read and rules.kind_of(row.name) is Kind.SECRET,
        differs=row.differs,
        give=first_value_command(row.name, policy, expires_at=row.expires_at, now=now) if waits else None,
    )
