"""The runner: executes one node or a whole workflow, in memory; another room stores what comes of it.

Unmasked outputs live only inside a run, for the nodes that follow; all that leaves it is masked.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from vaultcore.errors import Cause, ConflictError, CounterpartError, TroubleError
from vaultcore.secret import Secret
from vaultcore.troubles import explain
from worker.outbound import HttpClient, Network
from worker.workflows.definition import Definition
from worker.workflows.masking import Masker, conceal, cut
from worker.workflows.nodes.base import Execution, Fields, Outcome
from worker.workflows.templates import Path, Scope

RUN_SECONDS = 3600.0
NODE_SECONDS = 300.0
LOG_MAX = 65_536
MESSAGE_MAX = 2000
_NONE_BESIDE: Mapping[str, tuple[Secret, ...]] = {}
_OTHER = object()
"""What equals nothing that a context holds."""


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
    """The test of one node, masked. `status` is success, error, or skipped with the reason as message."""

    status: str
    output: Any
    error_message: str | None
    cause: Cause | None


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run, masked. `used` are the items, as written, that a node really looked up. `tried` says of a run that
    was to prove a value whether it went into the node that failed, or into any if it is completed.
    """

    status: str
    output: Any
    error_message: str | None
    error_node: str | None
    cause: Cause | None
    logs: tuple[NodeLog, ...]
    used: frozenset[str]
    tried: bool = False

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

    def __init__(self, http: HttpClient, network: Network) -> None:
        self._http = http
        self._network = network

    def test_node(
        self,
        definition: Definition,
        node_id: str,
        *,
        context: Mapping[str, Any],
        values: Mapping[str, Secret],
        beside: Mapping[str, tuple[Secret, ...]] = _NONE_BESIDE,
    ) -> NodeResult:
        """One node's test, with a mock context: it leaves nothing behind."""
        run = _Run(definition, context, values, beside, self._http, self._network, is_test=True)
        step = run.execute(node_id, seconds=NODE_SECONDS, tests=True)
        failure, skipped = step.outcome.failure, step.outcome.skipped
        status = "skipped" if skipped is not None else "success" if failure is None else "error"
        message = failure or skipped
        return NodeResult(
            status=status,
            output=cut(run.masker.mask(step.shown), LOG_MAX),
            error_message=None if message is None else _tell(message, run.masker),
            cause=step.outcome.cause,
        )

    def run(
        self,
        definition: Definition,
        *,
        context: Mapping[str, Any],
        values: Mapping[str, Secret],
        beside: Mapping[str, tuple[Secret, ...]] = _NONE_BESIDE,
        hidden: Iterable[Secret] = (),
        is_test: bool = False,
        proves: Path | None = None,
        clock: Callable[[], datetime],
    ) -> RunResult:
        """From the trigger on, along the edges, until nothing follows, a node fails, or one terminates.

        `proves`: where in the context the value lies that the run is to prove. A node's test takes the place of
        its run, as long as that value goes into what the test does. `beside` are other versions of the values
        that work at the same time, for nodes that ask for them; `hidden` are values in the context that are
        masked as those of items are.
        """
        run = _Run(
            definition,
            context,
            values,
            beside,
            self._http,
            self._network,
            hidden=hidden,
            is_test=is_test,
            proves=proves,
        )
        deadline = time.monotonic() + RUN_SECONDS
        live = {definition.trigger_id()}
        for node_id in definition.order():
            if node_id not in live:
                continue
            left = min(deadline - time.monotonic(), NODE_SECONDS)
            step = run.execute(node_id, seconds=left) if proves is None else run.prove(node_id, seconds=left)
            run.steps.append(replace(step, at=clock()))
            if step.outcome.ends or (step.outcome.failure is not None and not step.branched):
                break
            handle = "error" if step.branched else step.outcome.handle
            live |= set(definition.following(node_id, handle))
        return run.result()


@dataclass(frozen=True, kw_only=True)
class _Step:
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
    def status(self) -> str:
        if self.outcome.failure is None:
            return "success"
        return "warning" if self.branched and not self.outcome.ends else "error"


class _Run:
    """One run in memory: unmasked outputs for the nodes that follow, and the steps done."""

    def __init__(
        self,
        definition: Definition,
        context: Mapping[str, Any],
        values: Mapping[str, Secret],
        beside: Mapping[str, tuple[Secret, ...]],
        http: HttpClient,
        network: Network,
        *,
        hidden: Iterable[Secret] = (),
        is_test: bool = False,
        proves: Path | None = None,
    ) -> None:
        self._definition = definition
        self._values = values
        self._beside = beside
        self._http = http
        self._network = network
        self._is_test = is_test
        others = [value for each in beside.values() for value in each]
        self.masker = Masker([*values.values(), *others, *hidden])
        self._seen: dict[str, Any] = dict(context)
        self._shown: dict[str, Any] = self.masker.mask(self._seen)
        self._traced: Mapping[str, Any] = self._seen if proves is None else _mark(self._seen, proves)
        self.steps: list[_Step] = []

    def prove(self, node_id: str, *, seconds: float) -> _Step:
        """One node by its test, as long as the value in question goes into that; else by itself."""
        deadline = time.monotonic() + seconds
        if not self._definition.component(node_id).stays_inside:
            step = self.execute(node_id, seconds=seconds, tests=True)
            if step.tried and step.outcome.skipped is None:
                return step
        return self.execute(node_id, seconds=deadline - time.monotonic())

    def execute(self, node_id: str, *, seconds: float, tests: bool = False) -> _Step:
        """One node, or its test; whatever goes wrong becomes an outcome."""
        component = self._definition.component(node_id)
        execution = Execution(
            scope=Scope(context=self._seen, values=self._values),
            http=self._http,
            network=self._network,
            masker=self.masker,
            seconds=seconds,
            shown=self._shown,
            beside=self._beside if component.reads_beside else _NONE_BESIDE,
            is_test=self._is_test,
            traced=self._traced,
        )
        if seconds <= 0:
            outcome = Outcome(output=None, failure="the run took longer than an hour", cause=Cause.OUTAGE)
        else:
            act = component.test if tests else component.run
            outcome = try_component(act, self._definition.fields(node_id), execution)
        shown = self.masker.mask(outcome.output)
        if execution.tainted and not component.value_fields:
            # It only reshapes what went in: a part of a value cannot be told from anything else.
            shown = conceal(shown)
        self._seen = {**self._seen, node_id: outcome.output}
        self._shown = {**self._shown, node_id: shown}
        self._traced = {**self._traced, node_id: _OTHER if execution.tried else outcome.output}
        return _Step(
            node_id=node_id,
            component_id=component.component_id,
            outcome=outcome,
            shown=shown,
            used=frozenset(execution.used),
            tried=execution.tried and bool(component.value_fields),
            branched=outcome.failure is not None and self._definition.goes_on_after_error(node_id),
        )

    def result(self) -> RunResult:
        """What the run came to, masked with all that was learned by its end.

        A run that ends as failed behind an error branch failed where that error was, since its
        cause is what judges a value. A run that is completed proves nothing of the items that a
        node which failed on the way had used, so `used` leaves them out.
        """
        last = self.steps[-1]
        failures = [step for step in self.steps if step.outcome.failure is not None]
        failed = last.outcome.failure is not None and (not last.branched or last.outcome.ends)
        logs = tuple(self._log(step) for step in self.steps)
        output = cut(self.masker.mask(last.shown), LOG_MAX)
        used = frozenset(name for step in self.steps for name in step.used)
        if not failed:
            unproven = frozenset(name for step in failures for name in step.used)
            return RunResult(
                status="completed",
                output=output,
                error_message=None,
                error_node=None,
                cause=None,
                logs=logs,
                used=used - unproven,
                tried=any(step.tried for step in self.steps),
            )
        origin = _origin(failures) if last.outcome.ends else last
        message = last.outcome.failure
        if origin is not last:
            message = f"{message} (node {origin.node_id}: {origin.outcome.failure})"
        return RunResult(
            status="failed",
            output=output,
            error_message=_tell(message or "", self.masker),
            error_node=origin.node_id,
            cause=origin.outcome.cause or Cause.MISTAKE,
            logs=logs,
            used=used,
            tried=origin.tried,
        )

    def _log(self, step: _Step) -> NodeLog:
        shown = step.shown
        if step.outcome.failure is not None:
            shown = {"error": step.outcome.failure, "output": shown}
        return NodeLog(
            node_id=step.node_id,
            component_id=step.component_id,
            status=step.status,
            output=cut(self.masker.mask(shown), LOG_MAX),
            created_at=cast("datetime", step.at),
        )


def _mark(context: Mapping[str, Any], path: Path) -> dict[Any, Any]:
    """The context with `_OTHER` at a path that there is."""
    first, rest = path[0], path[1:]
    part = context[cast("str", first)]
    return {**context, first: _mark(part, rest) if rest else _OTHER}


def _tell(failure: str, masker: Masker) -> str:
    """A failure masked, on one line: what came from outside may hold characters that no database takes."""
    shown: str = masker.mask(failure)
    line = "".join(c if c.isprintable() else " " for c in shown)[:MESSAGE_MAX]
    masked: str = masker.mask(line)  # a line break that is gone may have hidden a value
    return masked


def _origin(failures: list[_Step]) -> _Step:
    """The failure that a terminated run stands for: a rejection if there was one, else the first."""
    rejected = [step for step in failures[:-1] if step.outcome.cause is Cause.REJECTED]
    return (rejected or failures)[0]


def try_component(act: Callable[[Any, Execution], Outcome], fields: Fields, execution: Execution) -> Outcome:
    """What a component's method comes to; whatever it raises is an outcome, told without its text if it was
    not foreseen.
    """
    try:
        return act(fields, execution)
    except CounterpartError as error:
        return Outcome(output=None, failure=str(error), cause=error.cause)
    except (ConflictError, TroubleError):  # whoever runs this no longer may, or cannot know whether they may
        raise
    except Exception as error:  # noqa: BLE001  # its text may quote a value
        trouble = explain(error, where="this node")
        if trouble is not None:
            cause = Cause.OUTAGE if trouble.can_retry else Cause.MISTAKE
            return Outcome(output=None, failure=str(trouble), cause=cause)
        return Outcome(output=None, failure=f"unexpected {type(error).__name__}", cause=Cause.MISTAKE)
