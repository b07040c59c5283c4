"""The queues by which messages come, as each broker is asked to keep them.

RabbitMQ keeps them as quorum queues: on disk, and on several nodes where there are several. What comes back too
often goes to the dead letters, where it is nobody's work any more.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from kombu.entity import Exchange, Queue

from worker.domain.broker_address import BrokerKind
from worker.domain.lines import Line

QUEUES: Final[Mapping[Line, str]] = {line: f"nightkey.{line}" for line in Line}
DEAD: Final = "nightkey.dead"
"""RabbitMQ's alone: what was delivered too often. Beat moves it aside, and it is told."""
FORMER: Final = "nightkey"
"""The one queue of older releases. Nobody takes from it: what it rang for is found by the resume sweep."""
DELIVERIES: Final = 3
"""How often a message comes again before it is dead."""
LONGEST: Final = timedelta(hours=3)
"""Longer than any task takes: `up` ends a worker that is at one for two hours. So no broker takes a message for
lost while somebody is at it.
"""


def declare_queues(kind: BrokerKind) -> tuple[Queue, ...]:
    """Those of both lines; with RabbitMQ that of dead letters, too."""
    if kind is not BrokerKind.RABBITMQ:
        return tuple(_declare(_Queue, name, {}) for name in QUEUES.values())
    return (*(_declare(_WithDeadLetters, name, _LIVING) for name in QUEUES.values()), _declare_dead())


_QUORUM: Final[Mapping[str, Any]] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERIES,
    "x-consumer-timeout": round(LONGEST.total_seconds() * 1000),
}
_LIVING: Final[Mapping[str, Any]] = {
    **_QUORUM,
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": DEAD,
}


_Exchange: Any = Exchange  # kombu has no types
_Queue: Any = Queue


class _WithDeadLetters(_Queue):  # type: ignore[misc]  # as above
    """Where its dead letters go is made before it: RabbitMQ drops those that have nowhere to go."""

    def declare(self, nowait: bool = False, channel: Any = None) -> str:  # noqa: ANN401
        _declare_dead().declare(nowait, channel or self.channel)
        return str(super().declare(nowait, channel))


def count_waiting(connection: Any, line: Line) -> int:  # noqa: ANN401  # kombu's
    """Messages in the line that nobody has taken yet; 0 where the broker does not say, or has no queue yet. It
    raises whatever the broker's library does where that cannot be reached.
    """
    try:
        with connection.channel() as channel:
            return int(channel.queue_declare(QUEUES[line], passive=True).message_count)
    except connection.channel_errors:
        return 0


def _declare_dead() -> Any:  # noqa: ANN401
    return _declare(_Queue, DEAD, _QUORUM)


def _declare(form: Any, name: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return form(name, _Exchange(name, type="direct"), routing_key=name, queue_arguments=dict(arguments) or None)
