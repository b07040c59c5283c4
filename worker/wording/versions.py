"""What there is to say of one value of an item, without the value: since when, until when. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Final

from vaultcore.model import Stage, Version
from worker.wording.times import say_clock

STAGES: Final[Mapping[Stage, str]] = {
    Stage.PENDING: "made, not in use yet",
    Stage.CURRENT: "current",
    Stage.PREVIOUS: "works beside the current one",
    Stage.DESTROYED: "gone",
}


def overlap_of_version(version: Version, *, overlap: timedelta) -> tuple[datetime, datetime] | None:
    """From when to when the value works beside the one after it: to its end, or as the policy has it at least.
    None: it does not, or not yet.
    """
    if version.superseded_at is None or version.stage in (Stage.PENDING, Stage.CURRENT):
        return None
    end = version.destroyed_at or version.superseded_at + overlap
    return (version.superseded_at, end) if end > version.superseded_at else None


def say_version(version: Version, *, overlap: timedelta, zone: tzinfo) -> str:
    """One sentence, with a full stop."""
    parts = [f"Version {version.number}: {STAGES[version.stage]}"]
    if version.activated_at is not None:
        verb = "in use since" if version.superseded_at is None else "in use from"
        until = "" if version.superseded_at is None else f" to {say_clock(version.superseded_at, zone)}"
        parts.append(f"{verb} {say_clock(version.activated_at, zone)}{until}")
    beside = overlap_of_version(version, overlap=overlap)
    if beside is not None:
        ended = "until" if version.destroyed_at is not None else "at least until"
        parts.append(f"beside the next one {ended} {say_clock(beside[1], zone)}")
    if version.destroyed_at is None:
        never = "never lapses"
        parts.append(never if version.expires_at is None else f"lapses {say_clock(version.expires_at, zone)}")
    return ", ".join(parts) + "."
