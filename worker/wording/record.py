"""Rows of the record, in words, and as a program is given them. Command line, interface and console share it.
What it describes lies in rooms above.
"""

from collections.abc import Mapping
from typing import Any

from worker.domain.lateness import Judged
from worker.wording.plain import to_plain
from worker.wording.reasons import say, say_each
from worker.wording.rotations import say_shown_by


def describe_recorded(row: Any, name: str | None) -> dict[str, Any]:  # noqa: ANN401  # of `vaultcore.audit`
    """`name`: what its subject is called, an item or the item of a rotation; None: nothing has it any more."""
    return {
        "seq": row.seq,
        "at": row.at,
        "actor": row.actor,
        "action": row.action,
        "subject": row.subject,
        "name": name,
        "details": dict(row.details),
    }


def say_details(details: Mapping[str, Any]) -> str:
    """What a row has to say beside who did what with which, in one line."""
    return ", ".join(f"{name} {_say(value)}" for name, value in details.items())


def _say(value: Any) -> str:  # noqa: ANN401  # JSON
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def describe_past(past: Any, judged: Judged) -> dict[str, Any]:  # noqa: ANN401  # of `worker.rows`
    """A rotation as an auditor asks of it: what, when, in time or not, proven by what, waived by whom."""
    one = past.rotation
    described: dict[str, Any] = to_plain(
        {
            "id": one.id,
            "item": one.item,
            "item_id": one.item_id,
            "state": one.state,
            "timeliness": judged.timeliness,
            "late_seconds": None if judged.late is None else int(judged.late.total_seconds()),
            "lapses_at": judged.lapses_at,
            "opened_at": one.created_at,
            "replaced_at": judged.replaced_at,
            "ended_at": one.finished_at,
            "reason": say(one.reason),
            "error": say(one.last_error) or None,
            "asked_by": one.asked_by,
            "approved_by": one.approved_by,
            "emergency": one.emergency,
            "rotator": one.rotator,
            "target": one.target,
            "old_version": one.old_number,
            "new_version": one.new_number,
            "shown_by": say_shown_by(one.shown_by),
            "proofs": [{"who": proof.who, "at": proof.at, "run": proof.run} for proof in past.proofs],
            "waivers": [
                {"for": what, "by": waiver.by, "why": waiver.why, "at": waiver.at}
                for what, waiver in past.waivers
            ],
            "steps": [
                {
                    "at": step.at,
                    "step": step.step,
                    "result": step.result,
                    "cause": step.cause,
                    "said": say_each(step.said),
                }
                for step in past.steps
            ],
            "edited": None if past.edited is None else str(past.edited),
        }
    )
    return described
