"""What policies say of due items, worked out once for each that there is, and not once for each item."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from vaultcore import rules
from vaultcore.errors import UnreadableError
from vaultcore.model import Kind, Mode, Policy
from vaultcore.rows import policy_from_json
from vaultcore.stored import UNREADABLE, read_json
from worker.domain.windows import Window, find_moment, parse_window
from worker.rotators.catalog import find_target

_KEPT = 2_000
"""Of how many policies it is kept: most items of a vault share a few."""


@dataclass(frozen=True, kw_only=True)
class DuePolicy:
    """`opens`: the next moment that its windows, its freezes and those of all items allow; None: there is none.
    `lead`, `spread`, `overlap` and `thresholds` are those of a value whose life is not known. `needs_consumer`:
    of a secret, unless something here reads it.
    """

    policy: Policy
    mode: Mode
    target: str | None
    opens: datetime | None
    lead: timedelta
    overlap: timedelta
    thresholds: tuple[int, ...]
    needs_consumer: bool


class DuePolicies:
    """As they are at one time, by the text in which they are stored."""

    def __init__(self, now: datetime, freezes: Sequence[Window]) -> None:
        self._now = now
        self._freezes = tuple(freezes)
        self.read = lru_cache(maxsize=_KEPT)(self._read)
        """What the policy of this text says; it raises what the reading of a row may raise."""

    def _read(self, text: str) -> DuePolicy:
        stored = read_json(text)
        if stored is UNREADABLE:
            raise UnreadableError("a policy", "policy")
        policy = policy_from_json(stored)
        closed = [*self._freezes, *map(parse_window, policy.freezes)]
        return DuePolicy(
            policy=policy,
            mode=policy.mode,
            target=find_target(policy),
            opens=find_moment(map(parse_window, policy.windows), closed, self._now),
            lead=rules.lead_of(policy, None),
            overlap=rules.overlap_of(policy, None),
            thresholds=rules.thresholds_of(policy, None),
            needs_consumer=rules.needs_consumer(policy, Kind.SECRET),
        )
