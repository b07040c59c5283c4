"""The tasks of Celery: an id comes in, a piece of work is done, what follows is called for. Nothing is decided.

A message may be lost, doubled, late or forged: a task looks at the form of its id before anything else, and who
does the work leases its row first. A task that fails logs a type and calls for nothing.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import worker_ready
from kombu.exceptions import OperationalError

from vaultcore.troubles import explain
from worker.domain.messages import fits, name_of
from worker.domain.work import Task, Work
from worker.log import get_logger

_log = get_logger(__name__)
_AT_START = (Task.NIGHT, Task.RESUME, Task.SCHEDULE)

Do = Callable[[Work], list[Work]]
"""Does a piece of work, and says what follows: `worker.services.night.dispatch`."""


def register_tasks(app: Celery, do: Do) -> None:
    """Gives the app its tasks."""

    def call_for(work: Work) -> bool:
        """Without a broker the row stands, and the next sweep finds it: False. An id that is none calls for
        nothing: its row is damaged, and the night tells.
        """
        ids = (work.about,) if work.about else ()
        if not fits(name_of(work.task), ids):
            _log.error("bell.no-id", task=name_of(work.task))
            return True
        try:
            app.tasks[name_of(work.task)].delay(*ids)
        except OperationalError:
            _log.warning("bell.not-rung", task=name_of(work.task))
            return False
        return True

    def call_at_start(**_: object) -> None:
        all(call_for(Work(task)) for task in _AT_START)

    for task in Task:
        app.task(name=name_of(task), shared=False)(make_task(task, do, call_for))
    worker_ready.connect(call_at_start, weak=False)


def make_task(task: Task, do: Do, call_for: Callable[[Work], bool]) -> Callable[..., None]:
    """No exception leaves it: Celery would print its text and arguments."""

    def act(*ids: Any, **named: Any) -> None:  # noqa: ANN401  # whatever a message holds
        if named or not fits(name_of(task), ids):
            _log.error("task.no-id", task=task.value)
            return
        try:
            all(map(call_for, do(Work(task, *ids))))  # once one could not be rung, the others are left, too
        except Exception as error:  # noqa: BLE001  # the edge: logged by type, found by the next sweep
            trouble = explain(error)
            problem = {} if trouble is None else {"trouble": trouble.trouble, "problem": str(trouble)}
            _log.error("task.failed", task=task.value, error=type(error).__name__, ids=list(ids), **problem)

    return act
