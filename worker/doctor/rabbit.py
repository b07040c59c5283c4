"""RabbitMQ: its version, its queues as they are, and whether it takes messages. What is missing is not made."""

import re
from collections.abc import Callable
from typing import Any, Final

from amqp import Message
from amqp.exceptions import AccessRefused, NotFound, PreconditionFailed

from worker.broker.blocking import NOBODY, find_why_blocked
from worker.broker.queues import DEAD, FORMER, declare_queues
from worker.broker.reaching import reach_broker
from worker.config import Settings
from worker.domain.broker_address import BrokerKind, name_addresses
from worker.domain.diagnosis import QueueFacts, RabbitFacts, Right

_Message: Any = Message  # py-amqp has no types
_ARGUMENT: Final = re.compile(r"inequivalent arg '([\w-]{1,60})'")


def look_at_rabbit(settings: Settings) -> RabbitFacts:
    with reach_broker(settings) as connection:
        server: Any = connection.connection  # py-amqp has no types
        queues = [_look_at(connection, queue) for queue in declare_queues(BrokerKind.RABBITMQ)]
        former = _count(connection, FORMER)[0]
        refused = [right for right, ask in _RIGHTS.items() if _is_refused(connection, ask)]
        blocked = find_why_blocked(connection)  # if so, nothing more can be asked
        if not blocked and _is_refused(connection, _ask_to_write):
            refused.append(Right.WRITE)
        return RabbitFacts(
            where=name_addresses(settings.broker_url).partition(" at ")[2],
            version=str(server.server_properties.get("version", ""))[:40],
            confirms=bool(server.server_capabilities.get("publisher_confirms")),
            queues=[one for one in queues if one.name != DEAD],
            dead=sum(one.waiting or 0 for one in queues if one.name == DEAD),
            former=former,
            blocked=blocked,
            refused=refused,
        )


def _ask_to_configure(channel: Any, name: str) -> None:  # noqa: ANN401  # py-amqp's
    channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-message-ttl": -1})


def _ask_to_read(channel: Any, name: str) -> None:  # noqa: ANN401  # as above
    channel.basic_consume(name, arguments={"x-priority": "none"})


def _ask_to_write(channel: Any, name: str) -> None:  # noqa: ANN401  # as above
    """To the exchange of that name, and to that by which messages leave."""
    for exchange in ("", name):
        channel.basic_publish(_Message("?"), exchange=exchange, routing_key=NOBODY)


_RIGHTS: Final = {Right.CONFIGURE: _ask_to_configure, Right.READ: _ask_to_read}
"""What each asks for has an argument that no server takes. It looks first whether this user may."""


def _is_refused(connection: Any, ask: Callable[[Any, str], None]) -> bool:  # noqa: ANN401  # kombu's
    """Of any of our queues."""
    for queue in declare_queues(BrokerKind.RABBITMQ):
        try:
            with connection.channel() as channel:
                ask(channel, queue.name)
        except AccessRefused:
            return True
        except (NotFound, PreconditionFailed):
            continue
    return False


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
    except AccessRefused:
        return ""
    except PreconditionFailed as error:
        found = _ARGUMENT.search(str(error))
        return found.group(1) if found else "form"
    return ""
