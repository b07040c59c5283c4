"""What a program is given of things that are decided of: named fields, their codes in words. Command line and
interface share it.
"""

from typing import Any

from worker.domain.proof import ConsumerProof
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
