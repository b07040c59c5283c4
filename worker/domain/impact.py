"""Who is hurt when a credential, or a whole target system, works no longer, the worst first. Pure.

What runs by itself and soon is hurt before what somebody starts, what is hurt today before what is hurt once
another credential lapses, and what nobody uses comes last.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from vaultcore.model import Mode
from worker.domain.proof import Consumer

COUNTED: Final = timedelta(days=30)
"""Runs of a workflow are counted as far back."""


class Harm(StrEnum):
    """What comes of it, the worst first."""

    FAILS = "fails"
    """A workflow: its next run fails."""
    REFUSED = "refused"
    """Callers: the key that they present opens nothing."""
    DEAD = "dead"
    """Another item: it holds the same credential."""
    NOT_COLLECTED = "not-collected"
    """A key that waits to be collected, and will open nothing."""
    NOT_REPLACED = "not-replaced"
    """Another item: nothing replaces it any more, so that it lapses."""
    FAILS_LATER = "fails-later"
    """A workflow: it uses an item that lapses then."""
    AT_REST = "at-rest"
    """A workflow that is not active: it fails when it is made active again."""


@dataclass(frozen=True, kw_only=True)
class Hurt:
    """One that is hurt. `by`: the items, by name, over which it comes, the nearest last. `since`: when it comes
    to that; None: at once, or with the next run. `runs`: in the last 30 days. `owners`: who answers for it or,
    of a workflow, for what it uses. `pinned`: the version of the item that it uses.
    """

    harm: Harm
    id: str
    name: str
    by: tuple[str, ...]
    owners: tuple[str, ...] = ()
    critical: bool = False
    elsewhere: bool = False
    pinned: int | None = None
    runs: int = 0
    last_run_at: datetime | None = None
    next_run_at: datetime | None = None
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class HangingItem:
    """An item whose rotator logs in with another, or at the target system: as far as it is to be replaced."""

    id: str
    name: str
    mode: Mode
    expires_at: datetime | None
    owners: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Impact:
    """Of an item or a target system, by `name`: who is hurt, the worst first; `owners`: all who must hear it.
    `items`: those of the target, or the one and the copies that hold its credential. `unseen`: so many more
    items are hurt that the reader may not see. `unread`: a sentence for each that cannot be read, so that
    nobody knows who is hurt by way of it.
    """

    name: str
    target: str | None
    items: tuple[str, ...]
    owners: tuple[str, ...]
    hurt: tuple[Hurt, ...]
    unseen: int = 0
    unread: tuple[str, ...] = ()
    is_target: bool = False

    @property
    def first_run_at(self) -> datetime | None:
        """When the first of them fails that runs by itself."""
        fails = [one.next_run_at for one in self.hurt if one.harm is Harm.FAILS and one.next_run_at]
        return min(fails, default=None)


def hurt_workflow(
    consumer: Consumer, *, by: tuple[str, ...], owners: tuple[str, ...], runs: int, since: datetime | None
) -> Hurt:
    """A workflow that uses an item which works no longer, at once or `since` then."""
    harm = Harm.AT_REST if not consumer.active else Harm.FAILS if since is None else Harm.FAILS_LATER
    return Hurt(
        harm=harm,
        id=consumer.id,
        name=consumer.name,
        by=by,
        owners=owners,
        critical=consumer.critical,
        elsewhere=consumer.elsewhere,
        pinned=consumer.pinned,
        runs=runs,
        last_run_at=consumer.last_run_at,
        next_run_at=consumer.next_run_at if consumer.active else None,
        since=since,
    )


def hurt_item(item: HangingItem, *, by: tuple[str, ...], since: datetime | None) -> Hurt | None:
    """An item that cannot be replaced any more: it lapses when it would have. None: its owner does that."""
    if item.mode is Mode.NOTIFY:
        return None
    moments = [moment for moment in (item.expires_at, since) if moment is not None]
    return Hurt(
        harm=Harm.NOT_REPLACED,
        id=item.id,
        name=item.name,
        by=by,
        owners=item.owners,
        since=None if item.expires_at is None else max(moments),
    )


def rank(hurt: Iterable[Hurt]) -> tuple[Hurt, ...]:
    """In the order of harm. Whoever is hurt in several ways stands there once, with the worst of them."""
    worst: dict[str, Hurt] = {}
    for one in sorted(hurt, key=_weigh):
        worst.setdefault(one.id, one)
    return tuple(worst.values())


_ORDER: Final = {harm: number for number, harm in enumerate(Harm)}
_NEVER: Final = float("inf")


def _weigh(one: Hurt) -> tuple[int, bool, float, float, int, int, str]:
    """Critical ones first; then when it comes to it, when it runs next, how often it ran, over how few."""
    return (
        _ORDER[one.harm],
        not one.critical,
        _place(one.since),
        _place(one.next_run_at),
        -one.runs,
        len(one.by),
        one.name,
    )


def _place(moment: datetime | None) -> float:
    return _NEVER if moment is None else moment.timestamp()
