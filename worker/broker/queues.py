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
        return tuple(_declare(name, {}) for name in QUEUES.values())
    living = {**_QUORUM, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": DEAD}
    return (*(_declare(name, living) for name in QUEUES.values()), _declare(DEAD, _QUORUM))


_QUORUM: Final[Mapping[str, Any]] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": DELIVERIES,
    "x-consumer-timeout": round(LONGEST.total_seconds() * 1000),
}


_Exchange: Any = Exchange  # kombu has no types
_Queue: Any = Queue


def _declare(name: str, arguments: Mapping[str, Any]) -> Queue:
    queue: Queue = _Queue(
        name, _Exchange(name, type="direct"), routing_key=name, queue_arguments=dict(arguments) or None
    )
    return queue
