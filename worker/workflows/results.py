"""What comes of a run, or of the test of a node: masked, so that it may be stored and shown."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vaultcore.errors import Cause
from worker.domain.states import NodeStatus, RunStatus


@dataclass(frozen=True, kw_only=True)
class NodeLog:
    """One executed node, masked."""

    node_id: str
    component_id: str
    status: NodeStatus
    output: Any
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """The test of one node, masked; one that was skipped has the reason as its message.
    `retry_at`: when another try can help at the earliest, where the other side says so.
    """

    status: NodeStatus
    output: Any
    error_message: str | None
    cause: Cause | None
    retry_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run, masked. `used` are the items, as written, that a node really looked up. `tried` says of a run that
    was to prove a value whether it went into the node that failed, or into any if it is completed.
    `retry_at` as of a node.
    """

    status: RunStatus
    output: Any
    error_message: str | None
    error_node: str | None
    cause: Cause | None
    logs: tuple[NodeLog, ...]
    used: frozenset[str]
    tried: bool = False
    retry_at: datetime | None = None

    @classmethod
    def not_begun(cls, why: str) -> "RunResult":
        """A run whose values could not be resolved, or that nobody can go on with."""
        return cls(
            status=RunStatus.FAILED,
            output=None,
            error_message=why,
            error_node=None,
            cause=Cause.MISTAKE,
            logs=(),
            used=frozenset(),
        )
