"""The Celery app: queues, schedule and what its brokers need. Made by a function: importing starts nothing."""

from pathlib import Path
from typing import Any

from celery import Celery

from worker.broker import SCHEME, use_whole_messages
from worker.config import Settings

QUEUE = "nightkey"
POLLING_SECONDS = 0.05


def make_app(settings: Settings) -> Celery:
    """JSON messages that hold ids alone, no results, late acknowledgement; beat only rings."""
    app = Celery("nightkey")
    ring = {
        "schedule": settings.ring_seconds,
        "options": {"expires": max(settings.ring_seconds, 5)},
    }
    app.conf.update(
        **_broker(settings),
        task_default_queue=QUEUE,
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
        timezone="UTC",
        beat_schedule_filename=str(settings.home / "broker" / "beat-schedule"),
        beat_schedule={name: {"task": f"nightkey.{name}", **ring} for name in ("night", "resume", "schedule")},
    )
    app.set_default()
    return app


def _broker(settings: Settings) -> dict[str, Any]:
    """The embedded default is a folder; a broker of another kind comes by its URL alone."""
    if settings.broker_url:
        return {"broker_url": settings.broker_url}
    folder = settings.home / "broker"
    messages, control = folder / "messages", folder / "control"
    for path in (folder, messages, control):
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
    use_whole_messages()
    return {
        "broker_url": f"{SCHEME}://localhost//",
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
            "polling_interval": POLLING_SECONDS,
        },
    }
