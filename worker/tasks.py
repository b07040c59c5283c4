"""The tasks: resolve the service, one call, ids in. A task that fails logs a type and rings nobody.

A message may be lost, doubled, late or forged: a task looks at the form of its id before anything else, and
every call below claims its row first.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import structlog
from celery import Celery
from celery.signals import worker_ready
from kombu.exceptions import OperationalError

from vaultcore.troubles import explain
from worker.bootstrap import Services
from worker.domain.messages import fits
from worker.domain.saga import is_moving

_log = structlog.get_logger(__name__)
P = ParamSpec("P")
_PREFIX = "nightkey."


def register_tasks(app: Celery, services: Services) -> None:
    """Gives the app its tasks."""

    def task(name: str) -> Callable[[Callable[P, None]], Any]:
        def register(function: Callable[P, None]) -> Any:  # noqa: ANN401  # a Celery task
            return app.task(name=f"{_PREFIX}{name}", shared=False)(_at_the_edge(name, function))

        return register

    @task("night")
    def night() -> None:
        slot = services.night_schedule.due_night()
        opened = None if slot is None else services.nights.begin(slot)
        if slot is not None and opened is not None:
            _log.info("night.begun", slot=slot.isoformat(), rotations=len(opened))
            for rotation_id in opened:
                ring(rotate, rotation_id)
            ring(resume)

    @task("resume")
    def resume() -> None:
        waiting = services.resume_sweep.find_waiting()
        for bell, ids in (
            (rotate, waiting.rotations),
            (run, waiting.runs),
            (beat, waiting.heartbeats),
        ):
            for row_id in ids:
                ring(bell, row_id)
        if waiting.notices:
            ring(deliver)

    @task("schedule")
    def schedule() -> None:
        for run_id in (*services.runs.claim_due(), *services.runs.due_runs()):
            ring(run, run_id)

    @task("rotate")
    def rotate(rotation_id: str) -> None:
        advanced = services.rotations.advance(rotation_id)
        if advanced is None:
            return
        rotation = advanced.rotation
        if is_moving(rotation.state, tuple(rotation.waits_for)):
            if rotation.next_at and rotation.next_at <= services.clock():
                ring(rotate, rotation_id)
        elif advanced.moved:  # others may wait for it, and its notices
            ring(resume)

    @task("run")
    def run(run_id: str) -> None:
        outcome = services.runs.execute(run_id, actor="schedule")
        for begun in () if outcome is None else outcome.begun:
            ring(run, begun)
        ring(resume)

    @task("deliver")
    def deliver() -> None:
        services.delivery.deliver()

    @task("beat")
    def beat(name: str) -> None:
        services.heartbeat.send(name)

    def ring(bell: Any, *ids: str) -> None:  # noqa: ANN401  # a Celery task
        """Without a broker the row stands, and the next sweep rings. An id that is none rings nobody: its row
        is damaged, and the night tells.
        """
        if not fits(bell.name, ids):
            _log.error("bell.no-id", task=bell.name)
            return
        try:
            bell.delay(*ids)
        except OperationalError:
            _log.warning("broker.away", task=bell.name)

    def ring_at_start(**_: object) -> None:
        for bell in (night, resume, schedule):
            ring(bell)

    worker_ready.connect(ring_at_start, weak=False)


def _at_the_edge(name: str, function: Callable[P, None]) -> Callable[P, None]:
    """No exception leaves a task: Celery would print its text and arguments."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        if kwargs or not fits(f"{_PREFIX}{name}", args):
            _log.error("task.no-id", task=name)
            return
        try:
            function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  # the edge: logged by type, found by the next sweep
            trouble = explain(error)
            problem = {} if trouble is None else {"trouble": trouble.trouble, "problem": str(trouble)}
            _log.error("task.failed", task=name, error=type(error).__name__, ids=list(args), **problem)

    return call
