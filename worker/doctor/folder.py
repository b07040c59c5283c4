"""The broker's folder: how many messages wait in it."""

from collections.abc import Mapping

from worker.broker.queues import QUEUES
from worker.broker.reaching import reach_broker
from worker.config import Settings


def look_at_folder(settings: Settings) -> tuple[str, Mapping[str, int]]:
    """Where it is, and how many wait in each queue."""
    with reach_broker(settings) as connection, connection.channel() as channel:
        waiting = {name: int(channel._size(name)) for name in QUEUES.values()}  # noqa: SLF001  # kombu's
    return f"the folder {settings.home / 'broker'}", waiting
