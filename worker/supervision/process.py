"""What a process that `up` begins becomes: beat, or a worker that does one thing at a time.

A worker has no pool: Celery's children share one lock on what they are given, and one that is killed while it
holds that lock takes it along, so that the others wait for ever. Several workers share nothing but the broker.
"""

import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial

from celery.exceptions import CPendingDeprecationWarning
from celery.platforms import SecurityWarning
from celery.signals import setup_logging, task_postrun, task_prerun, worker_ready, worker_shutting_down

from vaultcore.errors import ConfigurationError
from vaultcore.troubles import explain
from worker.app import make_app
from worker.bootstrap import Services
from worker.broker import aside_folder
from worker.broker.aside import Aside, aside_at
from worker.broker.queues import QUEUES
from worker.broker.sealing import Seals
from worker.config import Settings
from worker.domain.pulses import PulseKind
from worker.hardening import is_orphan
from worker.log import get_logger
from worker.services.upkeep.signs_of_life import EVERY
from worker.supervision.bells import Bells
from worker.supervision.child import Assignment
from worker.supervision.dead_letters import watch_dead_letters
from worker.supervision.patient_consumer import PatientConsumer
from worker.supervision.pulse import Pulse
from worker.tasks import register_tasks

_TELL_SECONDS = 1.0

_log = get_logger(__name__)


def become(assignment: Assignment, settings: Settings, *, pipe: int, parent: int) -> int:
    """Runs until SIGTERM, or until `parent` ends, and lets itself be heard in `pipe`; its exit status."""
    problem = ""
    try:
        return _run(assignment, settings, Pulse(pipe), parent)
    except OSError as error:
        problem = str(explain(error) or error.strerror or type(error).__name__)
    raise ConfigurationError(
        f"the {assignment.kind} cannot go on: {problem}; look at {settings.home}, then start again"
    )


def _run(assignment: Assignment, settings: Settings, pulse: Pulse, parent: int) -> int:
    _hear_no_warnings()
    setup_logging.connect(_keep_logging, weak=False)
    services = Services(settings)
    services.check()
    services.load()
    seals = Seals(services.keyring, deployment_id=services.deployment_id, clock=services.clock)
    app = make_app(settings, seals)
    aside = aside_at(aside_folder(settings.home))
    register_tasks(
        app,
        services.night.dispatch.do,
        take=services.upkeep.taken_messages.take,
        aside=aside,
    )
    _let_be_seen(services, assignment.kind, pulse, parent)
    _tell_of_others(services, aside)
    if assignment.kind is PulseKind.BEAT:
        watch_dead_letters(settings, aside)
        beat = app.Beat(
            scheduler=partial(Bells, pulse=pulse), loglevel=settings.log_level, quiet=True, socket_timeout=None
        )
        _log.info("beat.begun")
        beat.run()
        return 0
    vars(sys)["__stdout__"] = None  # where Celery says past the log that it stops, in a form of its own
    task_prerun.connect(pulse.begin, weak=False)
    task_postrun.connect(pulse.end, weak=False)
    worker_ready.connect(pulse.follow, weak=False)
    worker_ready.connect(_tell_ready, weak=False)
    worker_shutting_down.connect(lambda **_: services.rotation.side_by_side.begin_no_more(), weak=False)
    worker = app.Worker(
        concurrency=1,
        pool="solo",
        queues=[name for line, name in QUEUES.items() if line in assignment.lines],
        consumer_cls=partial(PatientConsumer, pulse=pulse),
        loglevel=settings.log_level,
        hostname=f"nightkey-{os.getpid()}@{socket.gethostname()}",
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _keep_logging(**_: object) -> None:
    """Celery sets up no logging of its own where somebody listens to this: what it says has our form."""


def _hear_no_warnings() -> None:
    """Celery warns of root because of pickle; only JSON is accepted here. It warns, too, that a task goes on
    while the broker is away: it shall.
    """
    for category in (SecurityWarning, CPendingDeprecationWarning):
        warnings.filterwarnings("ignore", category=category)


def _tell_ready(**_: object) -> None:
    _hear_no_warnings()  # while it began, Celery asked for all of them
    _log.info("worker.ready", process=os.getpid())


def _let_be_seen(services: Services, kind: PulseKind, pulse: Pulse, parent: int) -> None:
    """Before anything is rung: whether a night is made up goes by who was there when."""
    renew = services.upkeep.signs_of_life.begin(kind)
    threading.Thread(target=_renew, args=(renew, pulse, parent), name="sign-of-life", daemon=True).start()


def _tell_of_others(services: Services, aside: Aside) -> None:
    """What lay at the broker and is no message of ours is told within moments, and counted when it is told."""
    screening = services.notices.foreign_messages

    def tell() -> None:
        while True:
            time.sleep(_TELL_SECONDS)
            counts = aside.take_counts()
            try:
                if counts:
                    screening.tell(counts)
            except Exception as error:  # noqa: BLE001  # the next try comes
                aside.give_back(counts)
                _log.warning("messages.not-told", error=type(error).__name__)

    threading.Thread(target=tell, name="messages-aside", daemon=True).start()


def _renew(renew: Callable[[], None], pulse: Pulse, parent: int) -> None:
    """As long as it moves: one that hangs is seen no more."""
    moves = pulse.moves
    while True:
        for _ in range(round(EVERY.total_seconds())):
            time.sleep(1)
            if sys.platform != "linux" and is_orphan(parent):
                os.kill(os.getpid(), signal.SIGKILL)
        if pulse.moves == moves:
            continue
        moves = pulse.moves
        try:
            renew()
        except Exception as error:  # noqa: BLE001  # the next one comes in a minute
            _log.warning("sign-of-life.not-written", error=type(error).__name__)
