"""The broker's folder: how many messages wait in it. It is not made, where there is none yet."""

from collections.abc import Mapping

from worker.broker import messages_folder
from worker.broker.files import count_waiting
from worker.broker.queues import QUEUES
from worker.config import Settings


def look_at_folder(settings: Settings) -> tuple[str, Mapping[str, int]]:
    """Where it is, and how many wait in each queue."""
    folder = messages_folder(settings.home)
    return f"the folder {folder.parent}", {name: count_waiting(folder, name) for name in QUEUES.values()}
