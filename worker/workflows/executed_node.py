"""A node that was executed in a run, and the form in which a run that waits keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from vaultcore.errors import Cause
from worker.domain.states import NodeStatus
from worker.workflows.nodes.base import Outcome


@dataclass(frozen=True, kw_only=True)
class ExecutedNode:
    """An executed node. `shown` is its output with what is known to be secret taken out so far. `tried`: the
    value that the run is to prove went into it, and it does more than to reshape what went in.
    """

    node_id: str
    component_id: str
    outcome: Outcome
    shown: Any
    used: frozenset[str]
    tried: bool
    branched: bool
    at: datetime | None = None

    @property
    def status(self) -> NodeStatus:
        if self.outcome.failure is None:
            return NodeStatus.SUCCESS
        return NodeStatus.WARNING if self.branched and not self.outcome.ends else NodeStatus.ERROR

    @property
    def is_last(self) -> bool:
        """Whether nothing may follow it."""
        return bool(self.outcome.ends) or (self.outcome.failure is not None and not self.branched)


def keep_step(step: ExecutedNode) -> dict[str, Any]:
    """As JSON-like data; its output is kept with the run's others."""
    outcome = step.outcome
    return {
        "node_id": step.node_id,
        "component_id": step.component_id,
        "ends": outcome.ends,
        "failure": outcome.failure,
        "cause": outcome.cause,
        "used": sorted(step.used),
        "branched": step.branched,
        "at": cast("datetime", step.at).isoformat(),
    }


def restore_step(kept: Mapping[str, Any], shown: Mapping[str, Any]) -> ExecutedNode:
    cause = kept["cause"]
    return ExecutedNode(
        node_id=kept["node_id"],
        component_id=kept["component_id"],
        outcome=Outcome(
            output=None,
            ends=kept["ends"],
            failure=kept["failure"],
            cause=None if cause is None else Cause(cause),
        ),
        shown=shown[kept["node_id"]],
        used=frozenset(kept["used"]),
        tried=False,
        branched=kept["branched"],
        at=datetime.fromisoformat(kept["at"]),
    )
