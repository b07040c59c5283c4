"""Who may collect a generated key, how often and until when. Pure.

A key has arrived when it was written whole, or when a caller presented it. A pipe takes what nobody reads,
and a process may die between the answer and its mark: so who began to collect a key may repeat it until its
first use, or for an hour after it had arrived, unless they say that they have it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

REPEATS_FOR = timedelta(hours=1)
"""How long a key that has arrived, and that nobody has presented yet, is kept for who collected it."""


@dataclass(frozen=True, kw_only=True)
class Pickup:
    """A generated key that somebody collects.

    `rotation_id` is None for an item's first key, `item` where the item is gone. `taken_by`: whom it is kept
    for, from before it was first shown to them; `arrived_at`: when it counted as collected. `kept`: its value
    is still there; `is_key`: that is a key which callers present to us. `expires_at` is when one that has not
    arrived is taken back; None: never.
    """

    id: str
    item_id: str
    item: str | None
    number: int
    rotation_id: str | None
    created_at: datetime
    expires_at: datetime | None
    taken_by: str | None
    taken_at: datetime | None
    arrived_at: datetime | None
    ended_at: datetime | None
    used_at: datetime | None
    kept: bool
    is_key: bool

    @property
    def is_open(self) -> bool:
        """It is still to be collected."""
        return self.arrived_at is None and self.ended_at is None


class Refusal(StrEnum):
    """Why a key is not shown."""

    GONE = "gone"
    """It was taken back, or there is nothing of it any more."""
    OTHERS = "others"
    """Somebody else began to collect it."""
    USED = "used"
    """Whoever presented it has it."""
    LATE = "late"
    """It had arrived, and was kept for long enough."""
    STORED = "stored"
    """Whoever collected it has it, and it is kept no longer."""
    NO_KEY = "no-key"
    """What it names is not a key that callers present to us: none of us wrote its row so."""


def judge_pickup(pickup: Pickup, *, actor: str, now: datetime) -> Refusal | None:
    """None: it is shown, the first time or again."""
    if pickup.item is None:
        return Refusal.GONE
    if pickup.taken_at is not None and pickup.taken_by != actor:
        return Refusal.OTHERS
    if pickup.used_at is not None:
        return Refusal.USED
    if pickup.arrived_at is not None and not now - pickup.arrived_at < REPEATS_FOR:
        return Refusal.LATE
    if pickup.ended_at is not None or not pickup.kept:
        is_over = pickup.arrived_at is not None and pickup.ended_at is not None
        has_it = is_over and pickup.is_key and not pickup.kept
        return Refusal.STORED if has_it else Refusal.GONE
    if not pickup.is_key:
        return Refusal.NO_KEY
    if pickup.arrived_at is None and pickup.expires_at is not None and pickup.expires_at <= now:
        return Refusal.GONE
    return None
