"""The tasks of Celery: an id comes in, a piece of work is done, what follows is called for. Nothing is decided.

A message may be lost, doubled, late or forged: each is taken once, a task looks at the form of its id before
anything else, and who does the work leases its row first. A task that fails logs a type and calls for nothing.
"""

from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import worker_ready
from kombu.exceptions import OperationalError

from vaultcore.troubles import explain
from worker.broker.aside import Aside
from worker.broker.queues import count_waiting
from worker.broker.reaching import explain_away, hear_broker
from worker.domain.lines import Line
from worker.domain.messages import MessageFault, fits, name_of
from worker.domain.work import BELLS, ENOUGH, Task, Work, find_room
from worker.log import get_logger

_log = get_logger(__name__)

Do = Callable[[Work, Callable[[], int]], list[Work]]
"""Does a piece of work, and says what follows: `worker.services.night.dispatch`. It may ask for how many more
messages there is room.
"""


Take = Callable[[str], bool]
"""Whether nobody has taken the message of that id yet; from now on somebody has."""


def register_tasks(app: Celery, do: Do, *, take: Take, aside: Aside) -> None:
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
        except OperationalError as error:
            problem = explain_away(app.conf.broker_url, error)
            _log.warning("bell.not-rung", task=name_of(work.task), problem=problem)
            return False
        return True

    def count_room() -> int:
        """Where the broker cannot be asked, it is as good as empty: what is called for then tells of it."""
        try:
            with app.producer_or_acquire() as producer:
                hear_broker(producer.connection)
                return find_room(count_waiting(producer.connection, Line.TARGETS))
        except Exception:  # noqa: BLE001  # whatever the broker's library raises
            return ENOUGH

    def do_now(work: Work) -> list[Work]:
        return do(work, count_room)

    def call_at_start(**_: object) -> None:
        all(call_for(Work(task)) for task in BELLS)

    for task in Task:
        act = take_once(task, make_task(task, do_now, call_for), take, aside)
        app.task(name=name_of(task), shared=False, bind=True)(act)
    worker_ready.connect(call_at_start, weak=False)


def take_once(task: Task, act: Callable[..., None], take: Take, aside: Aside) -> Callable[..., None]:
    """The task for a message, which is acted upon if nobody has taken it before.

    A broker gives a message to somebody again when whoever had it ended, and says so: then it is work that was
    cut off, and the sweep finds it. Otherwise somebody has put the message there again.
    """

    def receive(self: Any, *ids: Any, **named: Any) -> None:  # noqa: ANN401  # Celery's task
        message = self.request
        try:
            is_first = message.called_directly or take(message.id)
        except Exception as error:  # noqa: BLE001  # the edge, as below
            _tell_failed(task, error, ids)
            return
        if is_first:
            act(*ids, **named)
        elif (message.delivery_info or {}).get("redelivered"):
            _log.warning("message.came-again", task=task.value)
        else:
            aside.count(MessageFault.REPLAYED)

    return receive


def make_task(
    task: Task, do: Callable[[Work], list[Work]], call_for: Callable[[Work], bool]
) -> Callable[..., None]:
    """No exception leaves it: Celery would print its text and arguments."""

    def act(*ids: Any, **named: Any) -> None:  # noqa: ANN401  # whatever a message holds
        if named or not fits(name_of(task), ids):
            _log.error("task.no-id", task=task.value)
            return
        try:
            all(map(call_for, do(Work(task, *ids))))  # once one could not be rung, the others are left, too
        except Exception as error:  # noqa: BLE001  # the edge: logged by type, found by the next sweep
            _tell_failed(task, error, ids)

    return act


def _tell_failed(task: Task, error: Exception, ids: tuple[Any, ...]) -> None:
    trouble = explain(error)
    problem = {} if trouble is None else {"trouble": trouble.trouble, "problem": str(trouble)}
    _log.error("task.failed", task=task.value, error=type(error).__name__, ids=list(ids), **problem)
