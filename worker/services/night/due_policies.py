"""What policies say of due items, worked out once for each that there is, and not once for each item."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from vaultcore import rules
from vaultcore.errors import UnreadableError
from vaultcore.model import Kind, Policy
from vaultcore.rows import policy_from_json
from vaultcore.stored import UNREADABLE, read_json
from worker.domain.plan import QuietSpan, find_quiet_span
from worker.domain.windows import Window, find_moment, parse_window
from worker.rotators.catalog import find_target

_KEPT = 2_000
"""Of how many policies it is kept: most items of a vault share a few."""


class DueTimes(NamedTuple):
    """Of values with one life, or whose life is not known. `quiet`: expiries of which nobody need be told."""

    lead: timedelta
    overlap: timedelta
    thresholds: tuple[int, ...]
    quiet: QuietSpan | None


class DuePolicy(NamedTuple):
    """`opens`: the next moment that its windows, its freezes and those of all items allow; None: there is none.
    `times`: of values whose life is not known. `needs_consumer`: of a secret, unless something here reads it.
    """

    policy: Policy
    target: str | None
    opens: datetime | None
    times: DueTimes
    needs_consumer: bool


class DuePolicies:
    """As they are at one time, by the text in which they are stored."""

    def __init__(self, now: datetime, freezes: Sequence[Window]) -> None:
        self._now = now
        self._freezes = tuple(freezes)
        self.read = lru_cache(maxsize=_KEPT)(self._read)
        """What the policy of this text says; it raises what the reading of a row may raise."""
        self.read_times = lru_cache(maxsize=_KEPT)(self._read_times)
        """And what it says of values that live for so many seconds."""

    def _read(self, text: str) -> DuePolicy:
        stored = read_json(text)
        if stored is UNREADABLE:
            raise UnreadableError("a policy", "policy")
        policy = policy_from_json(stored)
        closed = [*self._freezes, *map(parse_window, policy.freezes)]
        opens = find_moment(map(parse_window, policy.windows), closed, self._now)
        return DuePolicy(
            policy=policy,
            target=find_target(policy),
            opens=opens,
            times=self._make_times(policy, opens, None),
            needs_consumer=rules.needs_consumer(policy, Kind.SECRET),
        )

    def _read_times(self, text: str, life_seconds: int) -> DueTimes:
        known = self.read(text)
        return self._make_times(known.policy, known.opens, timedelta(seconds=life_seconds))

    def _make_times(self, policy: Policy, opens: datetime | None, life: timedelta | None) -> DueTimes:
        lead, overlap = rules.lead_of(policy, life), rules.overlap_of(policy, life)
        quiet = find_quiet_span(mode=policy.mode, opens=opens, lead=lead, overlap=overlap, now=self._now)
        return DueTimes(lead, overlap, rules.thresholds_of(policy, life), quiet)
