"""Whether a rotation was in time: its new value current before the old one lapsed. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from worker.domain.reasons import Code
from worker.domain.rotation import Rotation
from worker.domain.saga import REPLACED


class Timeliness(StrEnum):
    ON_TIME = "on-time"
    LATE = "late"
    """The new value was current, and the old one had lapsed by then."""
    LAPSED = "lapsed"
    """The old value has lapsed, and there is no new one of this rotation."""
    NOT_REPLACED = "not-replaced"
    """It ended without a new value, and the old one had time left."""
    UNDER_WAY = "under-way"
    NO_EXPIRY = "no-expiry"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """`lapses_at`: when the old value does, or did. `late`: by how much, where it was too late."""

    timeliness: Timeliness
    replaced_at: datetime | None
    lapses_at: datetime | None
    late: timedelta | None = None


def judge_lateness(rotation: Rotation, *, expires_at: datetime | None, until: datetime) -> Judged:
    """`expires_at` is that of the old version, where it is still known; `until`: as it stood then."""
    lapses_at = expires_at or _foreseen(rotation)
    replaced_at = rotation.activated_at if rotation.state in REPLACED else None

    def judged(timeliness: Timeliness, late: timedelta | None = None) -> Judged:
        return Judged(timeliness=timeliness, replaced_at=replaced_at, lapses_at=lapses_at, late=late)

    if lapses_at is None:
        return judged(Timeliness.NO_EXPIRY)
    if replaced_at is not None:
        if replaced_at <= lapses_at:
            return judged(Timeliness.ON_TIME)
        return judged(Timeliness.LATE, replaced_at - lapses_at)
    end = rotation.finished_at or until
    if lapses_at <= end:
        return judged(Timeliness.LAPSED, end - lapses_at)
    return judged(Timeliness.UNDER_WAY if rotation.finished_at is None else Timeliness.NOT_REPLACED)


def _foreseen(rotation: Rotation) -> datetime | None:
    """By why it was opened: also of an item that is gone, with its versions."""
    if rotation.reason.code not in (Code.EXPIRES, Code.EXPIRES_THEN):
        return None
    seconds = rotation.reason.parameters.get("seconds")
    return rotation.created_at + timedelta(seconds=seconds) if isinstance(seconds, int) else None
