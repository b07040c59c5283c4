"""The runner: executes one node or a whole workflow, in memory; another room stores what comes of it.

Unmasked outputs live only inside a run, for the nodes that follow; all that leaves it is masked.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vaultcore.errors import Cause, CounterpartError
from vaultcore.secret import Secret
from worker.outbound import HttpClient
from worker.workflows.definition import Definition
from worker.workflows.masking import Masker, cut
from worker.workflows.nodes.base import Execution, Outcome
from worker.workflows.templates import Scope

RUN_SECONDS = 3600.0
NODE_SECONDS = 300.0
LOG_MAX = 65_536


@dataclass(frozen=True, kw_only=True)
class NodeLog:
    """One executed node, masked. `status` is success, error or warning (an error that a branch took)."""

    node_id: str
    component_id: str
    status: str
    output: Any
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class NodeResult:
    """The test of one node, masked."""

    status: str
    output: Any
    error_message: str | None
    cause: Cause | None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run, masked. `used` are the items, as written, that an executed node names."""

    status: str
    output: Any
    error_message: str | None
    error_node: str | None
    cause: Cause | None
    logs: tuple[NodeLog, ...]
    used: frozenset[str]

    @classmethod
    def not_begun(cls, why: str) -> "RunResult":
        """A run whose values could not be resolved."""
        return cls(
            status="failed",
            output=None,
            error_message=why,
            error_node=None,
            cause=Cause.MISTAKE,
            logs=(),
            used=frozenset(),
        )


class Runner:
    """Runs definitions. A workflow that fails is a result, never an exception."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def test_node(
        self,
        definition: Definition,
        node_id: str,
        *,
        context: Mapping[str, Any],
        values: Mapping[str, Secret],
    ) -> NodeResult:
        """One node, really executed, with a mock context."""
        masker = Masker(values.values())
        outcome = self._execute(definition, node_id, dict(context), values, masker, seconds=NODE_SECONDS)
        failed = outcome.failure is not None
        return NodeResult(
            status="error" if failed else "success",
            output=cut(masker.mask(outcome.output), LOG_MAX),
            error_message=masker.mask(outcome.failure),
            cause=outcome.cause,
        )

    def run(
        self,
        definition: Definition,
        *,
        context: Mapping[str, Any],
        values: Mapping[str, Secret],
        clock: Callable[[], datetime],
    ) -> RunResult:
        """From the trigger on, along the edges, until nothing follows, a node fails, or one terminates."""
        masker = Masker(values.values())
        seen = dict(context)
        logs: list[NodeLog] = []
        used: set[str] = set()
        deadline = time.monotonic() + RUN_SECONDS
        names = _names_by_node(definition)
        ahead, output = [definition.trigger_id()], None
        done: set[str] = set()
        while ahead:
            node_id = ahead.pop(0)
            if node_id in done:
                continue
            done.add(node_id)
            left = min(deadline - time.monotonic(), NODE_SECONDS)
            if left <= 0:
                outcome = Outcome(output=None, failure="the run took longer than an hour", cause=Cause.OUTAGE)
            else:
                outcome = self._execute(definition, node_id, seen, values, masker, seconds=left)
            used |= names.get(node_id, set())
            output = seen[node_id] = outcome.output
            branched = outcome.failure is not None and definition.goes_on_after_error(node_id)
            logs.append(_log(definition, node_id, outcome, masker, clock(), warned=branched))
            if outcome.failure is not None and (not branched or outcome.ends):
                return RunResult(
                    status="failed",
                    output=cut(masker.mask(output), LOG_MAX),
                    error_message=masker.mask(outcome.failure),
                    error_node=node_id,
                    cause=outcome.cause or Cause.MISTAKE,
                    logs=tuple(logs),
                    used=frozenset(used),
                )
            if outcome.ends:
                break
            handle = "error" if branched else outcome.handle
            ahead += definition.following(node_id, handle)
        return RunResult(
            status="completed",
            output=cut(masker.mask(output), LOG_MAX),
            error_message=None,
            error_node=None,
            cause=None,
            logs=tuple(logs),
            used=frozenset(used),
        )

    def _execute(
        self,
        definition: Definition,
        node_id: str,
        context: Mapping[str, Any],
        values: Mapping[str, Secret],
        masker: Masker,
        *,
        seconds: float,
    ) -> Outcome:
        """One node; whatever goes wrong becomes an outcome, and what was not foreseen its type alone."""
        execution = Execution(
            scope=Scope(context=context, values=values),
            http=self._http,
            masker=masker,
            seconds=seconds,
        )
        try:
            return definition.component(node_id).run(definition.fields(node_id), execution)
        except CounterpartError as error:
            return Outcome(output=None, failure=str(error), cause=error.cause)
        except Exception as error:  # noqa: BLE001  # its text may quote a value
            return Outcome(output=None, failure=f"unexpected {type(error).__name__}", cause=Cause.MISTAKE)


def _names_by_node(definition: Definition) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for found in definition.uses():
        names.setdefault(found.node_id, set()).add(found.use.name or found.use.item_id or "")
    return names


def _log(
    definition: Definition,
    node_id: str,
    outcome: Outcome,
    masker: Masker,
    at: datetime,
    *,
    warned: bool,
) -> NodeLog:
    status = "success" if outcome.failure is None else "warning" if warned else "error"
    shown = (
        outcome.output
        if outcome.failure is None
        else {
            "error": outcome.failure,
            "output": outcome.output,
        }
    )
    return NodeLog(
        node_id=node_id,
        component_id=definition.component(node_id).component_id,
        status=status,
        output=cut(masker.mask(shown), LOG_MAX),
        created_at=at,
    )
