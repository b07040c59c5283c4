"""RabbitMQ: its version, its queues as they are, and whether it takes messages. What is missing is not made."""

import re
from typing import Any, Final

from amqp.exceptions import NotFound, PreconditionFailed

from worker.broker.blocking import find_why_blocked
from worker.broker.queues import DEAD, FORMER, declare_queues
from worker.broker.reaching import reach_broker
from worker.config import Settings
from worker.domain.broker_address import BrokerKind, name_addresses
from worker.domain.diagnosis import QueueFacts, RabbitFacts

_ARGUMENT: Final = re.compile(r"inequivalent arg '([\w-]{1,60})'")


def look_at_rabbit(settings: Settings) -> RabbitFacts:
    with reach_broker(settings) as connection:
        server: Any = connection.connection  # py-amqp has no types
        queues = [_look_at(connection, queue) for queue in declare_queues(BrokerKind.RABBITMQ)]
        return RabbitFacts(
            where=name_addresses(settings.broker_url).partition(" at ")[2],
            version=str(server.server_properties.get("version", ""))[:40],
            confirms=bool(server.server_capabilities.get("publisher_confirms")),
            queues=[one for one in queues if one.name != DEAD],
            dead=sum(one.waiting or 0 for one in queues if one.name == DEAD),
            former=_count(connection, FORMER)[0],
            blocked=find_why_blocked(connection),
        )


def _look_at(connection: Any, queue: Any) -> QueueFacts:  # noqa: ANN401  # kombu's
    waiting, consumers = _count(connection, queue.name)
    differs = "" if waiting is None else _find_difference(connection, queue)
    return QueueFacts(name=queue.name, waiting=waiting, consumers=consumers, differs=differs)


def _count(connection: Any, name: str) -> tuple[int | None, int]:  # noqa: ANN401  # as above
    """Messages and consumers; None: there is no such queue."""
    try:
        with connection.channel() as channel:
            found = channel.queue_declare(name, passive=True)
    except NotFound:
        return None, 0
    return int(found.message_count), int(found.consumer_count)


def _find_difference(connection: Any, queue: Any) -> str:  # noqa: ANN401  # as above
    """The first argument that is another than ours, of a queue that is there: the server says so when it is
    declared once more.
    """
    found = None
    try:
        with connection.channel() as channel:
            channel.queue_declare(queue.name, durable=True, auto_delete=False, arguments=queue.queue_arguments)
    except PreconditionFailed as error:
        found = _ARGUMENT.search(str(error))
        return found.group(1) if found else "form"
    return ""
