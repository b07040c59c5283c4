"""The Celery app: queues, schedule and what its brokers need. Made by a function: importing starts nothing."""

from celery import Celery

from worker.broker import connect
from worker.broker.queues import QUEUES, declare_queues
from worker.broker.sealing import Seals
from worker.config import Settings
from worker.domain.broker_address import kind_of_broker
from worker.domain.lines import Line, line_of
from worker.domain.messages import name_of
from worker.domain.work import BELLS, Task

POLLING_SECONDS = 0.05
SCHEDULER = "worker.supervision.bells:Bells"


def make_app(settings: Settings, seals: Seals) -> Celery:
    """Sealed messages that hold ids alone, no results, late acknowledgement; beat only rings.

    No message has an end that Celery knows: that would go by the wall clock, which may be set between two
    processes. What is a day away from now, by it, does not open.
    """
    app = Celery("nightkey")
    app.conf.update(
        **connect(settings.broker_url, home=settings.home, polling_seconds=POLLING_SECONDS, seals=seals),
        task_queues=declare_queues(kind_of_broker(settings.broker_url)),
        task_create_missing_queues=False,
        task_default_queue=QUEUES[Line.NIGHT],
        task_routes={name_of(task): {"queue": QUEUES[line_of(task)]} for task in Task},
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_send_sent_event=False,
        worker_send_task_events=False,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        timezone="UTC",
        beat_scheduler=SCHEDULER,
        beat_schedule={
            task.value: {
                "task": name_of(task),
                "schedule": settings.ring_seconds,
                "options": {"retry": False},  # the next ring comes, and `up` waits for a sign of beat
            }
            for task in BELLS
        },
    )
    app.set_default()
    return app
