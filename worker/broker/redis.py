"""Redis and Valkey: what is taken from a list, or from what was not acknowledged, is looked at first."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from kombu.transport import redis
from kombu.utils.json import dumps
from redis.exceptions import ResponseError

from worker.broker.aside import Aside, aside_at
from worker.broker.sealing import SealingChannel, Seals
from worker.domain.messages import MessageFault
from worker.domain.parcels import read_parcel, write_envelope, write_parcel

T = TypeVar("T")
_Channel: Any = redis.Channel  # kombu has no types
_Transport: Any = redis.Transport
_QoS: Any = redis.QoS
_dumps: Any = dumps

_CAME = "came"
"""Beside a message that was opened: what it was before."""
_WRONG_KIND = "WRONGTYPE"
"""How the server says that a key holds no list."""


class QoS(_QoS):  # type: ignore[misc]  # as above
    def ack(self, delivery_tag: Any) -> None:  # noqa: ANN401  # kombu's
        """Where the server is away just then, the message comes again when its time is over; until then it is
        not counted among those that this worker is at, or it would take no other.
        """
        try:
            super().ack(delivery_tag)
        except Exception:
            self._quick_ack(delivery_tag)
            raise

    def append(self, message: Any, delivery_tag: Any) -> None:  # noqa: ANN401  # kombu's
        """What is not acknowledged waits at the broker, too: as it came, and not as it was opened."""
        message._raw = message._raw.pop(_CAME)  # noqa: SLF001  # what kombu stores
        super().append(message, delivery_tag)

    def restore_by_tag(self, tag: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # kombu's
        """One that cannot be put back is in nobody's way any more."""
        try:
            super().restore_by_tag(tag, *args, **kwargs)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            self._remove_from_indices(tag).execute()
            self.channel.aside.keep_bytes(b"", MessageFault.ILL_FORMED)


class RedisChannel(SealingChannel, _Channel):  # type: ignore[misc]  # as above
    QoS = QoS

    @property
    def aside(self) -> Aside:
        return aside_at(Path(self.connection.client.transport_options["aside"]))

    @property
    def seals(self) -> Seals:
        seals: Seals = self.connection.client.transport_options["seals"]
        return seals

    def _get_client(self) -> Callable[..., Any]:
        """A client that answers BRPOP with messages of ours alone, and with nothing for anything else."""
        made = super()._get_client()
        whole: Any = made.func if isinstance(made, partial) else made
        channel = self

        class Client(whole):  # type: ignore[misc]  # as above
            def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:  # noqa: ANN401  # redis'
                if command_name != "BRPOP":
                    return super().parse_response(connection, command_name, **options)
                try:
                    response = super().parse_response(connection, command_name, **options)
                except ResponseError as error:
                    if _WRONG_KIND not in str(error):
                        raise
                    channel.clear_keys(channel.active_queues)
                    return None
                return response and channel.check(response)

        return partial(Client, *made.args, **made.keywords) if isinstance(made, partial) else Client

    def check(self, response: Any) -> Any:  # noqa: ANN401  # redis' answer: key and item
        """The same with the message made anew; None, as if nothing had come, for what is none."""
        key, item = response
        parcel = read_parcel(item)
        if isinstance(parcel, MessageFault):
            self.aside.keep_bytes(item, parcel)
            return None
        ring = self.seals.open(parcel.sealed)
        if isinstance(ring, MessageFault):
            self.aside.keep_bytes(item, ring)
            return None
        queue, tag = key.decode().rsplit(self.sep, 1)[0], str(uuid4())
        opened = write_envelope(ring, queue=queue, tag=tag, again=parcel.again)
        return key, _dumps(opened | {_CAME: write_parcel(parcel.sealed, queue=queue, tag=tag)}).encode()

    def clear_keys(self, queues: Iterable[str]) -> None:
        """Takes away what stands in the place of a queue and is no list, since nobody could ring meanwhile."""
        with self.conn_or_acquire() as client:
            for queue in set(queues):
                for priority in self.priority_steps:
                    key = self._q_for_pri(queue, priority)
                    if client.type(key) not in (b"list", b"none"):
                        client.delete(key)
                        self.aside.keep_bytes(b"", MessageFault.ILL_FORMED)

    def _size(self, queue: str) -> int:
        size: int = self._in_lists(queue, partial(super()._size, queue))
        return size

    def _put(self, queue: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # kombu's
        self._in_lists(queue, partial(super()._put, queue, *args, **kwargs))

    def _in_lists(self, queue: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except ResponseError as error:
            if _WRONG_KIND not in str(error):
                raise
        self.clear_keys([queue])
        return act()


class RedisTransport(_Transport):  # type: ignore[misc]  # as above
    Channel = RedisChannel
