"""The runner: executes one node or a whole workflow, in memory; another room stores what comes of it.

Unmasked outputs live only inside a run, for the nodes that follow; all that leaves it is masked. A run that
waits leaves it as `Paused`, to be sealed.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

from vaultcore.secret import Secret
from worker.domain.states import RUN_SECONDS, NodeStatus
from worker.outbound import HttpClient, Network
from worker.workflows.definition import Definition
from worker.workflows.masking import Masker, cut
from worker.workflows.others import Given, Others, Resumption
from worker.workflows.results import NodeResult, RunResult
from worker.workflows.run import LOG_MAX, NO_DELAY, NONE_BESIDE, Run, Surroundings, explain_change, tell
from worker.workflows.templates import Path

NODE_SECONDS: Final = 300.0
END_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run that came to its end. `output` is that of its last node as it is, and `shown` what may be shown of
    it, for a run that began this one. `note` gives what a run needs that does the same again (`Run.note`).
    """

    result: RunResult
    output: Any = field(repr=False)
    shown: Any
    masker: Masker = field(repr=False)
    note: Callable[[], Mapping[str, Any]] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Paused:
    """A run that waits. `kept` is what it needs to go on: values stand in it."""

    resume_at: datetime
    kept: Mapping[str, Any] = field(repr=False)


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
        beside: Mapping[str, tuple[Secret, ...]] = NONE_BESIDE,
        whole: bool = False,
    ) -> NodeResult:
        """One node's test, with a mock context, which leaves nothing behind; `whole`: all that it does."""
        run = Run.begin(definition, self._set(values, beside, is_test=True), context)
        step = run.execute(node_id, seconds=NODE_SECONDS, tests=not whole)
        failure, skipped = step.outcome.failure, step.outcome.skipped
        status = (
            NodeStatus.SKIPPED
            if skipped is not None
            else NodeStatus.SUCCESS
            if failure is None
            else NodeStatus.ERROR
        )
        message = failure or skipped
        return NodeResult(
            status=status,
            output=cut(run.masker.mask(step.shown), LOG_MAX),
            error_message=None if message is None else tell(message, run.masker),
            cause=step.outcome.cause,
            retry_at=step.outcome.retry_at,
        )

    def run(
        self,
        definition: Definition,
        *,
        context: Mapping[str, Any],
        values: Mapping[str, Secret],
        beside: Mapping[str, tuple[Secret, ...]] = NONE_BESIDE,
        hidden: Iterable[Secret] = (),
        is_test: bool = False,
        proves: Path | None = None,
        clock: Callable[[], datetime],
    ) -> RunResult:
        """From the trigger on, along the edges, until nothing follows, a node fails, or one terminates. It can
        neither wait nor start others.

        `proves`: where in the context the value lies that the run is to prove. A node's test takes the place of
        its run, as long as that value goes into what the test does. `beside` are other versions of the values
        that work at the same time, for nodes that ask for them; `hidden` are values in the context that are
        masked as those of items are.
        """
        run = Run.begin(
            definition, self._set(values, beside, is_test=is_test), context, hidden=hidden, proves=proves
        )
        ended = _execute(run, RUN_SECONDS, clock, proves=proves is not None)
        return cast("Ended", ended).result  # it cannot wait

    def begin(
        self,
        definition: Definition,
        *,
        start: Mapping[str, Any] | Given | Resumption,
        values: Mapping[str, Secret],
        beside: Mapping[str, tuple[Secret, ...]],
        hidden: Iterable[Secret] = (),
        is_test: bool,
        others: Others,
        cannot_wait: str | None = None,
        seconds: float = RUN_SECONDS,
        clock: Callable[[], datetime],
    ) -> Ended | Paused:
        """As `run`, for a run that may start others, and wait unless `cannot_wait` says why it may not. It
        starts with a context, with what another run gave, or behind what another run of it had done.
        """
        surroundings = self._set(values, beside, is_test=is_test, others=others, cannot_wait=cannot_wait)
        if isinstance(start, Given):
            run = Run.begin_given(definition, surroundings, start)
        elif isinstance(start, Resumption):
            run = Run.begin(definition, surroundings, start.context)
            run.repeat(start, at=clock())
            changed = explain_change(definition, {"shape": start.shape})
            if changed is not None:
                return _end(run, run.give_up(changed))
        else:
            run = Run.begin(definition, surroundings, start, hidden=hidden)
        return _execute(run, seconds, clock)

    def go_on(
        self,
        definition: Definition,
        kept: Mapping[str, Any],
        *,
        values: Mapping[str, Secret],
        beside: Mapping[str, tuple[Secret, ...]],
        others: Others,
        seconds: float,
        clock: Callable[[], datetime],
    ) -> Ended | Paused:
        """A run that waited goes on, for as long as it has left; one whose workflow runs in another way now,
        or lacks a component, is over. Whether the workflow is active does not matter.
        """
        run = Run.restore(definition, self._set(values, beside, others=others, cannot_wait=None), kept)
        changed = explain_change(definition, kept)
        if changed is not None:
            return _end(run, run.give_up(changed))
        return _execute(run, seconds, clock)

    def give_up(self, definition: Definition, kept: Mapping[str, Any], why: str) -> RunResult:
        """What a run comes to that waited and cannot go on: failed, with what it had done."""
        return Run.restore(definition, self._set({}, NONE_BESIDE), kept).give_up(why)

    def _set(
        self,
        values: Mapping[str, Secret],
        beside: Mapping[str, tuple[Secret, ...]],
        *,
        is_test: bool = False,
        others: Others | None = None,
        cannot_wait: str | None = NO_DELAY,
    ) -> Surroundings:
        return Surroundings(
            http=self._http,
            network=self._network,
            values=values,
            beside=beside,
            is_test=is_test,
            others=others,
            cannot_wait=cannot_wait,
        )


def _execute(
    run: Run, seconds: float, clock: Callable[[], datetime], *, proves: bool = False
) -> Ended | Paused:
    """Node after node, as long as there is time, one is live, and none says that it waits."""
    deadline = time.monotonic() + seconds
    for node_id in run.waiting_nodes():
        if node_id not in run.live:
            continue
        left = deadline - time.monotonic()
        if proves:
            step = run.prove(node_id, seconds=min(left, NODE_SECONDS))
        else:
            step = run.execute(node_id, seconds=min(left, NODE_SECONDS), run_seconds=left)
        now = clock()
        run.add(step, at=now)
        if step.is_last:
            break
        if step.outcome.waits is not None:
            return Paused(resume_at=now + step.outcome.waits, kept=run.keep())
    return _end(run, run.result(until=_end_by(deadline)))


def _end_by(deadline: float) -> float:
    """Until when what a run came to may be masked: where its time is over, too, most of that can be shown."""
    return max(deadline, time.monotonic() + END_SECONDS)


def _end(run: Run, result: RunResult) -> Ended:
    last = run.steps[-1]
    return Ended(
        result=result,
        output=last.outcome.output,
        shown=last.shown,
        masker=run.masker,
        note=lambda: run.note(until=time.monotonic() + END_SECONDS),
    )
