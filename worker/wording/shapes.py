"""What a program is given of things that are decided of: named fields, their codes in words. Command line and
interface share it.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Protocol

from vaultcore.model import Policy, Reference, Version
from vaultcore.rules import show_duration
from worker.domain.drift import OWNERS_LOOK, Result
from worker.domain.places import Place
from worker.domain.proof import ConsumerProof
from worker.domain.reasons import Reason
from worker.domain.rotation import Rotation
from worker.wording.reasons import say, say_each
from worker.wording.rotations import say_shown_by


def describe_rotation(rotation: Rotation) -> dict[str, Any]:
    return {
        "id": rotation.id,
        "item": rotation.item,
        "item_id": rotation.item_id,
        "state": rotation.state,
        "stuck_in": rotation.stuck_in,
        "rotator": rotation.rotator,
        "target": rotation.target,
        "reason": say(rotation.reason),
        "asked_by": rotation.asked_by,
        "approved_by": rotation.approved_by,
        "emergency": rotation.emergency,
        "old_version": rotation.old_number,
        "new_version": rotation.new_number,
        "candidates": rotation.candidates,
        "shown_by": say_shown_by(rotation.shown_by),
        "one_way": rotation.one_way,
        "attempts": rotation.attempts,
        "cause": rotation.last_cause,
        "error": say(rotation.last_error) or None,
        "failing_since": rotation.failing_since,
        "waits_for": say_each(rotation.waits_for),
        "next_at": rotation.next_at,
        "created_at": rotation.created_at,
        "activated_at": rotation.activated_at,
        "finished_at": rotation.finished_at,
    }


def describe_consumer(consumer_proof: ConsumerProof) -> dict[str, Any]:
    """How a consumer stands towards the new value."""
    return {
        "workflow": consumer_proof.name,
        "state": consumer_proof.proof,
        "why": say(consumer_proof.why),
        "next_run_at": consumer_proof.consumer and consumer_proof.consumer.next_run_at,
    }


def describe_policy(policy: Policy, *, copy_of: str | None) -> dict[str, Any]:
    """Every part of it as a file of policies has it; `copy_of` is the original's name."""
    parts = {field.name: to_plain(getattr(policy, field.name)) for field in fields(Policy)}
    return {**parts, "copy_of": copy_of}


def describe_version(version: Version) -> dict[str, Any]:
    return {
        "number": version.number,
        "stage": version.stage,
        "expires_at": version.expires_at,
        "created_at": version.created_at,
        "activated_at": version.activated_at,
        "destroyed_at": version.destroyed_at,
        "used_at": version.used_at,
    }


def describe_reference(reference: Reference) -> dict[str, Any]:
    return {
        "consumer": reference.consumer,
        "name": reference.consumer_name,
        "node": reference.node_id,
        "active": reference.active,
        "runs": Place.ELSEWHERE if reference.elsewhere else Place.HERE,
        "mentioned": reference.mentioned,
        "pinned": reference.pinned,
        "last_version": reference.last_version,
        "last_run_at": reference.last_run_at,
        "proven_version": reference.proven_version,
    }


class ComparisonLike(Protocol):
    """What came of an item's comparison, as `worker.rows.comparisons` has it."""

    @property
    def item(self) -> str: ...
    @property
    def item_id(self) -> str: ...
    @property
    def result(self) -> str: ...
    @property
    def detail(self) -> Reason: ...
    @property
    def compared_at(self) -> datetime | None: ...
    @property
    def resolved_at(self) -> datetime | None: ...
    @property
    def resolved_by(self) -> str | None: ...


def describe_comparison(row: ComparisonLike) -> dict[str, Any]:
    return {
        "item": row.item,
        "item_id": row.item_id,
        "result": Result(row.result).value,
        "detail": say(row.detail),
        "compared_at": row.compared_at,
        "resolved_at": row.resolved_at,
        "resolved_by": row.resolved_by or _resolved_by(row.result, resolved=row.resolved_at is not None),
    }


def _resolved_by(result: str, *, resolved: bool) -> str | None:
    """What cannot be asked whole is nobody's agreement: nothing waits for it, and its owner looks."""
    if not resolved:
        return None
    return "left to its owner" if result in OWNERS_LOOK else "agreement"


class NightLike(Protocol):
    """A night, as `worker.rows.nights` has it."""

    @property
    def slot(self) -> datetime: ...
    @property
    def outcome(self) -> str | None: ...
    @property
    def done_at(self) -> datetime | None: ...
    @property
    def counts(self) -> Mapping[str, int]: ...


def describe_night(night: NightLike | None) -> dict[str, Any] | None:
    if night is None:
        return None
    return {name: getattr(night, name) for name in ("slot", "outcome", "done_at", "counts")}


def to_plain(value: Any) -> Any:  # noqa: ANN401  # JSON
    """What JSON knows: times as text, durations as they are written, enums by their value, reasons in words."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Reason):
        return say(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value
