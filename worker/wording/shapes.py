"""What a program is given of things that are decided of: named fields, their codes in words. Command line and
interface share it.
"""

from dataclasses import fields
from datetime import datetime
from typing import Any, Protocol

from vaultcore.model import Item, Owner, Policy, Reference, Version
from worker.domain.commands import value_command
from worker.domain.credential_checks import CheckOutcome
from worker.domain.drift import OWNERS_LOOK, Result
from worker.domain.places import Place
from worker.domain.proof import ConsumerProof
from worker.domain.reasons import Reason
from worker.domain.rotation import Rotation
from worker.domain.tracks import StepRecord
from worker.wording.plain import Shape, to_plain
from worker.wording.policies import explain_sources
from worker.wording.reasons import say, say_all, say_each
from worker.wording.rotations import say_shown_by

_OF_POLICY = (
    "mode",
    "rotator",
    "settings",
    "lifetime",
    "lead",
    "overlap",
    "windows",
    "freezes",
    "canary",
    "four_eyes",
    "consumers",
)


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
        "outages": rotation.outages,
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


def describe_step(step: StepRecord) -> dict[str, Any]:
    """One try of a step, and what came of it."""
    return {
        "at": step.at,
        "step": step.step,
        "result": step.result,
        "cause": step.cause,
        "message": say_all(step.said),
    }


def describe_policy(policy: Policy, *, copy_of: str | None) -> dict[str, Any]:
    """Every part of it as a file of policies has it; `copy_of` is the original's name."""
    parts = {field.name: to_plain(getattr(policy, field.name)) for field in fields(Policy)}
    return {**parts, "copy_of": copy_of}


def describe_item(item: Item, *, copy_of: str | None) -> dict[str, Any]:
    """An item with its policy, and never its value."""
    return {
        "id": item.id,
        "name": item.name,
        "kind": item.kind,
        "owners": list(item.owners),
        "labels": {one.key: one.value for one in item.labels},
        "version": item.version,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
        "expires_at": item.expires_at,
        "due_at": item.due_at,
        "hold_until": item.hold_until,
        "policy": describe_policy(item.policy, copy_of=copy_of),
    }


def describe_whole_item(view: Any, now: datetime) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services`, above
    """The same with its versions and who uses it. `replaced`: what is known of the old value beside a new one;
    `command`: of the command line, which gives it the value that it waits for; `checked`: what the other side
    said last when it was asked whether a value still works; `explained`: each part of its policy in words.
    """
    return describe_item(view.item, copy_of=view.original) | {
        "copies": list(view.copies),
        "replaced": view.overlap,
        "command": None if view.item.version else value_command(view.item, now),
        "checked": None if view.checked is None else describe_last_check(view.checked, view.way_back),
        "explained": [
            vars(one)
            for one in explain_sources(
                view.item.policy,
                kind=view.item.kind,
                life=view.item.life,
                original=view.original,
                follows=view.follows,
            )
        ],
        "versions": [describe_version(one) for one in view.versions],
        "references": [describe_reference(one) for one in view.references],
    }


class LastCheckLike(Protocol):
    """As `worker.rows.credential_checks` has it."""

    @property
    def outcome(self) -> CheckOutcome: ...
    @property
    def detail(self) -> Reason: ...
    @property
    def number(self) -> int: ...
    @property
    def checked_at(self) -> datetime: ...
    @property
    def next_at(self) -> datetime: ...


def describe_last_check(check: LastCheckLike, way_back: str | None) -> Shape:
    """`next_at`: from when on a night may ask again. `command`: of the command line, which helps where the
    current value is refused.
    """
    return {
        "checked_at": check.checked_at,
        "version": check.number,
        "outcome": check.outcome,
        "said": say(check.detail),
        "next_at": check.next_at,
        "command": way_back,
    }


def describe_answer(checked: Any) -> Shape:  # noqa: ANN401  # of `worker.services`, above
    """What a check by hand came to."""
    return {
        "item": checked.item,
        "item_id": checked.item_id,
        "outcome": checked.answer.outcome,
        "said": say(checked.answer.detail),
        "users": list(checked.users),
        "command": checked.command,
    }


def flatten_item(item: Shape) -> dict[str, Any]:
    """As the command line has it: SDX's metadata, and what is ours to hold beside it."""
    policy = item["policy"]
    return {
        **{name: item[name] for name in ("id", "name", "created_at", "expires_at")},
        "item": item["name"],
        "item_id": item["id"],
        **{name: item[name] for name in ("kind", "owners", "labels", "version")},
        **{name: policy[name] for name in _OF_POLICY},
        **{name: item[name] for name in ("due_at", "hold_until", "updated_at")},
    }


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


def describe_night(night: Shape) -> dict[str, Any]:
    return {name: night[name] for name in ("slot", "outcome", "done_at", "counts")}


def describe_finding(found: Any) -> dict[str, Any]:  # noqa: ANN401  # as `worker.rows` lists it, which lies above
    """A finding with who knows of it. `subject`: what it is about, where that is no item."""
    finding = found.finding
    return {
        "id": finding.id,
        "kind": finding.kind,
        "subject": finding.subject,
        "item": finding.item,
        "item_id": finding.item_id,
        "workflow": finding.workflow,
        "detail": say(finding.detail),
        "does": say(finding.does) or None,
        "command": finding.command,
        "opened_at": finding.opened_at,
        "quiet": found.quiet,
    }


def describe_notice(notice: Any) -> dict[str, Any]:  # noqa: ANN401  # as above
    """A notice with what came of it at each recipient."""
    return {**vars(notice), "deliveries": [vars(one) for one in notice.deliveries]}


def describe_owner(owner: Owner) -> dict[str, Any]:
    """An owner; routes are masked, and each of the lists is of them."""
    return {
        "id": owner.id,
        "name": owner.name,
        "routes": [route.shown for route in owner.routes],
        "route_ids": [route.id for route in owner.routes],
        "recipients": [list(route.recipients) for route in owner.routes],
        "routed_at": [route.created_at for route in owner.routes],
        "zone": owner.zone,
        "quiet": None if owner.quiet is None else str(owner.quiet),
        "deputy": owner.deputy,
        "created_at": owner.created_at,
    }


def describe_checked(found: Any) -> dict[str, Any]:  # noqa: ANN401  # of `worker.services`, above
    """Which rows that decide none of us wrote as they are."""
    changed = [
        {"row": one.subject, "item": one.item, "detail": say(one.detail), "command": one.command}
        for one in found.wrong
    ]
    return {"checked": found.rows, "changed": changed}
