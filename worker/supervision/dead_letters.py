"""RabbitMQ's dead letters, moved aside: what was given out too often, and ended whoever took it before anybody
could look at it.

Apart from all else that a process does, by a connection of its own: whatever is wrong with them, nights go on.
"""

import threading
import time
from typing import Any, Final

from worker.broker.aside import Aside
from worker.broker.queues import DEAD, declare_queues
from worker.broker.reaching import reach_broker
from worker.config import Settings
from worker.domain.broker_address import BrokerKind, kind_of_broker
from worker.domain.messages import MessageFault
from worker.log import get_logger

_EVERY_SECONDS: Final = 60.0

_log = get_logger(__name__)


def watch_dead_letters(settings: Settings, aside: Aside) -> None:
    """From now on, where the broker has such."""
    if kind_of_broker(settings.broker_url) is not BrokerKind.RABBITMQ:
        return

    def watch() -> None:
        while True:
            try:
                move_dead_letters(settings, aside)
            except Exception as error:  # noqa: BLE001  # they are still there in a minute
                _log.debug("dead-letters.not-moved", error=type(error).__name__)
            time.sleep(_EVERY_SECONDS)

    threading.Thread(target=watch, name="dead-letters", daemon=True).start()


def move_dead_letters(settings: Settings, aside: Aside) -> None:
    """All that lie there, each once; their queue is made, if nobody has."""
    queues: Any = declare_queues(BrokerKind.RABBITMQ)  # kombu has no types
    with reach_broker(settings) as connection, connection.channel() as channel:
        next(queue for queue in queues if queue.name == DEAD)(channel).declare()
        while (message := channel.basic_get(DEAD)) is not None:
            body = message.body
            aside.keep_bytes(body.encode() if isinstance(body, str) else body, MessageFault.CAME_TOO_OFTEN)
            channel.basic_ack(message.delivery_tag)
