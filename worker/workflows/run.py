"""One run in memory: unmasked outputs for the nodes that follow, and the steps done.

What it needs to go on later can be kept as JSON-like data, which holds values: it is sealed wherever it is
stored (`worker.services.runs.suspended_runs`).
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

from pydantic import ValidationError

from vaultcore.errors import Cause, ConfigurationError, ConflictError, TargetError, TroubleError
from vaultcore.secret import Secret
from vaultcore.troubles import explain
from worker.domain.states import RunStatus
from worker.outbound import HttpClient, Network, nothing_shared
from worker.workflows.definition import Definition
from worker.workflows.executed_node import ExecutedNode, keep_step, note_step, repeat_step, restore_step
from worker.workflows.graph import ERROR
from worker.workflows.kept_maskers import find_masker
from worker.workflows.masking import Masker, conceal, cut
from worker.workflows.nodes.base import MASKED, Execution, Fields, Outcome
from worker.workflows.others import Given, Others, Resumption
from worker.workflows.results import NodeLog, RunResult
from worker.workflows.templates import PAYLOAD, Path, Scope

NO_DELAY: Final = "a delay cannot stand here: only a run of a stored workflow can wait"
LOG_MAX: Final = 65_536
MESSAGE_MAX: Final = 2000
NONE_BESIDE: Final[Mapping[str, tuple[Secret, ...]]] = {}
_OTHER = object()
"""What equals nothing that a context holds."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run runs in. `values` are those of items by how a template names them, `beside` other versions of
    them that work at the same time; `others` starts other workflows, and `cannot_wait` says why a delay in it
    fails.
    """

    http: HttpClient
    network: Network
    values: Mapping[str, Secret]
    beside: Mapping[str, tuple[Secret, ...]] = field(default_factory=dict)
    is_test: bool = False
    others: Others | None = None
    cannot_wait: str | None = NO_DELAY

    def all_values(self) -> list[Secret]:
        return [*self.values.values(), *(value for each in self.beside.values() for value in each)]


class Run:
    """`live` are the nodes that an edge from a step that was done leads to, and the trigger."""

    def __init__(
        self,
        definition: Definition,
        surroundings: Surroundings,
        context: Mapping[str, Any],
        *,
        masker: Masker,
        shown: Mapping[str, Any],
        traced: Mapping[str, Any] | None = None,
    ) -> None:
        self._definition = definition
        self._surroundings = surroundings
        self.masker = masker
        self._seen: dict[str, Any] = dict(context)
        self._shown: dict[str, Any] = dict(shown)
        self._traced: Mapping[str, Any] = self._seen if traced is None else traced
        self._begun_with: dict[str, Any] = dict(context)
        self._shown_first: dict[str, Any] = dict(shown)
        self.steps: list[ExecutedNode] = []
        self.live = {definition.trigger_id()}

    @classmethod
    def begin(
        cls,
        definition: Definition,
        surroundings: Surroundings,
        context: Mapping[str, Any],
        *,
        hidden: Iterable[Secret] = (),
        proves: Path | None = None,
    ) -> "Run":
        masker = find_masker([*surroundings.all_values(), *hidden]).branch()
        seen = dict(context)
        traced = None if proves is None else _mark(seen, proves)
        # each under its own name, which may hold what is a value, too
        shown = {name: masker.mask(part) for name, part in seen.items()}
        return cls(definition, surroundings, seen, masker=masker, shown=shown, traced=traced)

    @classmethod
    def begin_given(cls, definition: Definition, surroundings: Surroundings, given: Given) -> "Run":
        """Started by another run: what that one hides is hidden here, too."""
        masker = given.masker.branch()
        for value in surroundings.all_values():
            masker.hide(value)
        shown = {PAYLOAD: masker.mask(given.shown)}
        return cls(definition, surroundings, {PAYLOAD: given.payload}, masker=masker, shown=shown)

    @classmethod
    def restore(cls, definition: Definition, surroundings: Surroundings, kept: Mapping[str, Any]) -> "Run":
        """As it was when it was kept."""
        masker = Masker.recall(kept["masker"])
        for value in surroundings.all_values():
            masker.hide(value)
        seen = kept["seen"]
        made = cls(definition, surroundings, seen, masker=masker, shown={**seen, **kept["masked"]})
        made.live = set(kept["live"])
        made.steps = [restore_step(step, made._shown) for step in kept["steps"]]
        done = {step.node_id for step in made.steps}
        made._begun_with = {name: part for name, part in seen.items() if name not in done}
        return made

    def keep(self) -> dict[str, Any]:
        return {
            "shape": shape_of(self._definition),
            "live": sorted(self.live),
            "seen": self._seen,
            "masked": {name: part for name, part in self._shown.items() if part != self._seen[name]},
            "masker": self.masker.keep(),
            "steps": [keep_step(step) for step in self.steps],
        }

    def note(self, *, until: float = math.inf) -> dict[str, Any]:
        """What another run begins with that does the same again, or goes on behind one of these steps.

        No value is in it: an output that is not shown as it is stands not among `outputs`, and `context` is
        None where that holds one.
        """
        try:
            shape = shape_of(self._definition)
        except (ConfigurationError, ValidationError):  # a component is gone: nobody goes on with it
            shape = None
        masked = {name: self.masker.mask(part, until=until) for name, part in self._begun_with.items()}
        open_context = all(
            masked[name] == part == self._shown_first[name] for name, part in self._begun_with.items()
        )
        return {
            "shape": shape,
            "context": self._begun_with if open_context else None,
            "steps": [
                {**noted, "failure": noted["failure"] and tell(noted["failure"], self.masker)}
                for noted in map(note_step, self.steps)
            ],
            "outputs": {
                step.node_id: self._seen[step.node_id]
                for step in self.steps
                if self._seen[step.node_id]
                == step.shown
                == self.masker.mask(self._seen[step.node_id], until=until)
            },
        }

    def repeat(self, done: Resumption, *, at: datetime) -> None:
        """The steps of another run are taken for done."""
        for noted in done.steps:
            node_id = noted["node_id"]
            output = done.outputs[node_id]
            self._seen = {**self._seen, node_id: output}
            self._shown = {**self._shown, node_id: output}
            self._traced = {**self._traced, node_id: output}
            self.add(repeat_step(noted, output, at=at), at=at)

    def add(self, step: ExecutedNode, *, at: datetime) -> None:
        """A step is done, and the nodes that follow it are live."""
        self.steps.append(replace(step, at=at))
        if not step.is_last:
            handle = ERROR if step.branched else step.outcome.handle
            self.live |= set(self._definition.following(step.node_id, handle))

    def waiting_nodes(self) -> list[str]:
        """Those that were not executed yet, in order: each is to be looked at again once it is live."""
        done = {step.node_id for step in self.steps}
        return [node_id for node_id in self._definition.order() if node_id not in done]

    def prove(self, node_id: str, *, seconds: float) -> ExecutedNode:
        """One node by its test, as long as the value in question goes into that; else by itself."""
        deadline = time.monotonic() + seconds
        if not self._definition.component(node_id).stays_inside:
            step = self.execute(node_id, seconds=seconds, tests=True)
            if step.tried and step.outcome.skipped is None:
                return step
        return self.execute(node_id, seconds=deadline - time.monotonic())

    def execute(
        self, node_id: str, *, seconds: float, run_seconds: float | None = None, tests: bool = False
    ) -> ExecutedNode:
        """One node, or its test; whatever goes wrong becomes an outcome, also that its component is gone. What
        it gave is masked within the same time.
        """
        deadline, problem = time.monotonic() + seconds, ""
        try:
            component, fields = self._definition.component(node_id), self._definition.fields(node_id)
        except (ConfigurationError, ValidationError) as error:
            problem = _explain_unfit(error).removeprefix(f"node {node_id}: ")
        if problem:
            return self._leave_out(node_id, problem)
        surroundings = self._surroundings
        execution = Execution(
            scope=Scope(context=self._seen, values=surroundings.values),
            http=surroundings.http,
            network=surroundings.network,
            masker=self.masker,
            seconds=seconds,
            run_seconds=seconds if run_seconds is None else run_seconds,
            shown=self._shown,
            beside=surroundings.beside if component.reads_beside else NONE_BESIDE,
            is_test=surroundings.is_test,
            others=surroundings.others,
            traced=self._traced,
        )
        if seconds <= 0:
            outcome = Outcome(output=None, failure="the run took longer than an hour", cause=Cause.OUTAGE)
        else:
            act = component.test if tests else component.run
            outcome = try_component(act, fields, execution)
            outcome = self._check_wait(outcome, execution.run_seconds)
        shown = self._show(outcome, until=deadline)
        if execution.tainted and not component.value_fields and outcome.shown is MASKED:
            # It only reshapes what went in: a part of a value cannot be told from anything else.
            shown = conceal(shown)
        self._seen = {**self._seen, node_id: outcome.output}
        self._shown = {**self._shown, node_id: shown}
        self._traced = {**self._traced, node_id: _OTHER if execution.tried else outcome.output}
        return ExecutedNode(
            node_id=node_id,
            component_id=component.component_id,
            outcome=outcome,
            shown=shown,
            used=frozenset(execution.used),
            tried=execution.tried and bool(component.value_fields),
            branched=outcome.failure is not None and self._definition.goes_on_after_error(node_id),
        )

    def _leave_out(self, node_id: str, why: str) -> ExecutedNode:
        """A node that cannot be executed ends the run."""
        self._seen, self._shown = {**self._seen, node_id: None}, {**self._shown, node_id: None}
        return ExecutedNode(
            node_id=node_id,
            component_id=self._definition.nodes[node_id].component_id,
            outcome=Outcome(output=None, failure=why, cause=Cause.MISTAKE),
            shown=None,
            used=frozenset(),
            tried=False,
            branched=False,
        )

    def _check_wait(self, outcome: Outcome, run_seconds: float) -> Outcome:
        """What waits fails where the run cannot, or would be over by then; in a test nothing waits."""
        if outcome.waits is None or self._surroundings.is_test:
            return replace(outcome, waits=None)
        seconds = outcome.waits.total_seconds()
        problem = self._surroundings.cannot_wait
        if problem is None and seconds > run_seconds:
            problem = f"a delay of {seconds:g} seconds would end after the hour that a run may take"
        return outcome if problem is None else Outcome(output=None, failure=problem, cause=Cause.MISTAKE)

    def _show(self, outcome: Outcome, *, until: float) -> Any:  # noqa: ANN401  # JSON
        """What a trigger gives on as it came is shown as that is: a part of a value may be in it."""
        if outcome.shown is not MASKED:
            return self.masker.mask(outcome.shown, until=until)
        if outcome.output is not None and outcome.output is self._seen.get(PAYLOAD):
            return self.masker.mask(self._shown[PAYLOAD], until=until)
        return self.masker.mask(outcome.output, until=until)

    def result(self, *, until: float = math.inf) -> RunResult:
        """What the run came to, masked with all that was learned by its end; what is not masked by `until`, on
        the monotonic clock, is hidden whole.

        A run that ends as failed behind an error branch failed where that error was, since its
        cause is what judges a value. A run that is completed proves nothing of the items that a
        node which failed on the way had used, so `used` leaves them out.
        """
        last = self.steps[-1]
        failures = [step for step in self.steps if step.outcome.failure is not None]
        output = cut(self.masker.mask(last.shown, until=until), LOG_MAX)
        used = frozenset(name for step in self.steps for name in step.used)
        if last.outcome.failure is None or not last.is_last:
            unproven = frozenset(name for step in failures for name in step.used)
            return RunResult(
                status=RunStatus.COMPLETED,
                output=output,
                error_message=None,
                error_node=None,
                cause=None,
                logs=self.logs(until=until),
                used=used - unproven,
                tried=any(step.tried for step in self.steps),
            )
        origin = _origin(failures) if last.outcome.ends else last
        message = last.outcome.failure
        if origin is not last:  # told behind the name of the node where the error was
            own = "" if last.outcome.unsaid else f": {message}"
            message = f"{origin.outcome.failure}; node {last.node_id} then ended the run as failed{own}"
        return RunResult(
            status=RunStatus.FAILED,
            output=output,
            error_message=tell(message, self.masker),
            error_node=origin.node_id,
            cause=origin.outcome.cause or Cause.MISTAKE,
            retry_at=origin.outcome.retry_at,
            logs=self.logs(until=until),
            used=used,
            tried=origin.tried,
        )

    def give_up(self, why: str) -> RunResult:
        """Nobody can go on with it: failed, with what was done."""
        used = frozenset(name for step in self.steps for name in step.used)
        given_up = RunResult.not_begun(tell(why, self.masker))
        return replace(given_up, logs=self.logs(), used=used)

    def logs(self, *, until: float = math.inf) -> tuple[NodeLog, ...]:
        return tuple(self._log(step, until) for step in self.steps)

    def _log(self, step: ExecutedNode, until: float) -> NodeLog:
        shown = step.shown
        if step.outcome.failure is not None:
            shown = {"error": step.outcome.failure, "output": shown}
        return NodeLog(
            node_id=step.node_id,
            component_id=step.component_id,
            status=step.status,
            output=cut(self.masker.mask(shown, until=until), LOG_MAX),
            created_at=cast("datetime", step.at),
        )


def explain_change(definition: Definition, kept: Mapping[str, Any]) -> str | None:
    """Why a run that was kept cannot go on with the workflow as it is now; None: it can."""
    try:
        same = kept["shape"] == shape_of(definition)
    except (ConfigurationError, ValidationError) as error:
        return _explain_unfit(error)
    return None if same else "the workflow was changed while this run waited: run it again"


def _explain_unfit(error: ConfigurationError | ValidationError) -> str:
    """In the words of ours alone: those of the library would quote the field."""
    if isinstance(error, ConfigurationError):
        return str(error)
    return "its fields cannot be read any more: nightkey workflow lint says what is wrong with them"


def shape_of(definition: Definition) -> str:
    """A digest of all that decides how the workflow runs: not of its name, or of where its nodes are drawn."""
    nodes = []
    for node_id in definition.order():
        component, fields = definition.component(node_id), definition.fields(node_id)
        handles = (None, ERROR, *component.handles(fields))
        nodes.append(
            [
                node_id,
                component.component_id,
                fields.model_dump(mode="json", by_alias=True),
                definition.goes_on_after_error(node_id),
                [[handle, definition.following(node_id, handle)] for handle in handles],
            ]
        )
    return hashlib.sha256(json.dumps(nodes, sort_keys=True).encode()).hexdigest()


def _mark(context: Mapping[str, Any], path: Path) -> dict[Any, Any]:
    """The context with `_OTHER` at a path that there is."""
    first, rest = path[0], path[1:]
    part = context[cast("str", first)]
    return {**context, first: _mark(part, rest) if rest else _OTHER}


def tell(failure: str, masker: Masker) -> str:
    """A failure masked, on one line: what came from outside may hold characters that no database takes."""
    shown: str = masker.mask(failure)
    line = "".join(c if c.isprintable() else " " for c in shown)[:MESSAGE_MAX]
    masked: str = masker.mask(line)  # a line break that is gone may have hidden a value
    return masked


def _origin(failures: list[ExecutedNode]) -> ExecutedNode:
    """The failure that a terminated run stands for: a rejection if there was one, else the first."""
    rejected = [step for step in failures[:-1] if step.outcome.cause is Cause.REJECTED]
    return (rejected or failures)[0]


def try_component(act: Callable[[Any, Execution], Outcome], fields: Fields, execution: Execution) -> Outcome:
    """What a component's method comes to; whatever it raises is an outcome, told without its text if it was
    not foreseen. It shares no session with anybody, in a test as little as in production.
    """
    try:
        with nothing_shared():
            return act(fields, execution)
    except TargetError as error:
        return Outcome(output=None, failure=str(error), cause=error.cause, retry_at=error.retry_at)
    except (ConflictError, TroubleError):  # whoever runs this no longer may, or cannot know whether they may
        raise
    except Exception as error:  # noqa: BLE001  # its text may quote a value
        trouble = explain(error, where="this node")
        if trouble is not None:
            cause = Cause.OUTAGE if trouble.can_retry else Cause.MISTAKE
            return Outcome(output=None, failure=str(trouble), cause=cause)
        return Outcome(output=None, failure=f"unexpected {type(error).__name__}", cause=Cause.MISTAKE)
