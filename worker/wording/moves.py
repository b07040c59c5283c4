"""What is said of a vault that moves to another database: what stands in the way, and how it went."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from worker.domain.moves import CopyFault, Hindrance, Moved, Obstacle, Phase, PlannedMove, RowDifference
from worker.domain.reasons import Reason
from worker.wording.parts import say_count
from worker.wording.reasons import say

DRY_RUN: Final = "nightkey migrate-to URL --dry-run"
PHASES: Final[Mapping[Phase, str]] = {
    Phase.EXAMINING: "examining",
    Phase.PREPARING: "making the tables",
    Phase.COPYING: "copying",
    Phase.COMPARING: "comparing",
    Phase.CHECKING: "checking digests and records",
}
_FAULTS: Final[Mapping[CopyFault, str]] = {
    CopyFault.MISSING: "is not in the copy",
    CopyFault.DIFFERS: "differs in the copy",
    CopyFault.ADDED: "is in the copy alone",
}


def explain_obstacle(obstacle: Obstacle) -> str:
    """One thing that stands in the way, and what to do about it."""
    detail = say(obstacle.detail) if isinstance(obstacle.detail, Reason) else obstacle.detail
    fields = ", ".join(obstacle.fields)
    match obstacle.kind:
        case Hindrance.LOG:
            return f"the audit log is not whole: {detail} (nightkey audit verify)"
        case Hindrance.EDITED:
            return f"{detail}: {obstacle.command}"
        case Hindrance.UNREADABLE:
            return f"{obstacle.subject} cannot be read ({fields}): restore it from a backup"
        case Hindrance.UNFIT:
            return f"{obstacle.subject} holds what PostgreSQL does not take ({fields}): change or delete it"
        case Hindrance.LOCKED:
            return detail
        case Hindrance.AT_WORK:
            return f"a process works on the vault ({obstacle.subject}, last seen {detail}): stop it first"


def explain_obstacles(obstacles: Sequence[Obstacle]) -> str:
    """The first of them, and how many others there are, as one line."""
    more = len(obstacles) - 1
    others = f"; and {say_count(more, 'other obstacle')}: {DRY_RUN} names them" if more else ""
    return f"{explain_obstacle(obstacles[0])}{others}"


def explain_difference(difference: RowDifference) -> str:
    fields = f" ({', '.join(difference.fields)})" if difference.fields else ""
    return f"{difference.table} {difference.key} {_FAULTS[difference.fault]}{fields}"


def describe_planned(planned: PlannedMove) -> dict[str, Any]:
    """In the shape that commands print."""
    return {
        **_describe(planned),
        "obstacles": [explain_obstacle(one) for one in planned.obstacles],
    }


def describe_moved(moved: Moved) -> dict[str, Any]:
    """In the shape that commands print."""
    return {
        **_describe(moved),
        "copied": moved.copied,
        "seconds": round(moved.seconds, 3),
        "written_since": [explain_difference(one) for one in moved.written_since],
        "differing": [explain_difference(one) for one in moved.differing],
        "digests": moved.checked,
        "edited": [explain_obstacle(one) for one in moved.edited],
        "audit_rows": moved.audit_rows,
        "handed_over": moved.is_handed_over,
    }


def _describe(move: PlannedMove | Moved) -> dict[str, Any]:
    return {
        "source": move.source,
        "target": move.target,
        "stance": move.stance,
        "rows": sum(move.counts.values()),
        "tables": dict(move.counts),
    }
