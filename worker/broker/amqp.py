"""RabbitMQ: what is delivered is looked at before kombu sees it, and its frames before py-amqp reads them.

What comes a second time is taken away: whoever had it first has ended, maybe by it, and a queue without a
limit of deliveries would bring it for ever. It only rings, and what it rang for is found by the resume sweep.

No answer is waited for without a limit. A server that is short of memory or disk reads nothing more from who
publishes, and says so: then nothing is sent to it until it takes messages again.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from struct import unpack_from
from typing import Any, Final

from amqp import exceptions, method_framing, serialization, spec
from kombu.transport import pyamqp

from worker.broker.aside import Aside, aside_at
from worker.broker.blocking import BlockedError
from worker.broker.sealing import SealingChannel, Seals
from worker.domain.messages import MessageFault, Ring
from worker.domain.parcels import BYTES_MAX, JSON_ENCODING, JSON_TYPE, read_parts
from worker.log import get_logger

_Channel: Any = pyamqp.Channel  # kombu and py-amqp have no types
_Connection: Any = pyamqp.Connection
_Transport: Any = pyamqp.Transport
_TlsTransport: Any = pyamqp.SSLTransport
_make_handler: Any = method_framing.frame_handler
_PROPERTIES: Any = serialization.PROPERTY_CLASSES
_spec: Any = spec
_MessageNacked: Any = exceptions.MessageNacked

_log = get_logger(__name__)

ANSWER_SECONDS: Final = 10.0
"""So long may the server say nothing to who waits for its answer: `up` takes beat for hung after 30."""

_HEADER, _BODY = 2, 3
"""Kinds of frames."""
_FIXED: Final = 12
"""Bytes of a header before the properties: class, weight, and the size of the body."""
_NO_PROPERTIES: Final = bytes(2)
_NO_SIZE: Final = bytes(8)

OnFrame = Callable[[tuple[int, int, Any]], Any]


class _Impatient:
    """Beside a channel, or a connection, of py-amqp's: one whose answer did not come is not used again, since
    it might come in the place of another.
    """

    connection: Any

    def wait(
        self,
        method: Any,  # noqa: ANN401  # py-amqp's
        callback: Callable[..., Any] | None = None,
        timeout: float | None = None,
        returns_tuple: bool = False,
    ) -> Any:  # noqa: ANN401  # as above
        connection, above = self.connection, super()
        waiting: Any = above
        try:
            return waiting.wait(method, callback, timeout or ANSWER_SECONDS, returns_tuple)
        except TimeoutError:
            if connection is not None:
                connection.collect()
            raise


class AmqpChannel(SealingChannel, _Impatient, _Channel):  # type: ignore[misc]  # as above
    """A channel whose connection is lost has none any more. Whoever holds it makes a message by it all the
    same, and takes another when py-amqp says that it is over: so what that needs is the channel's own.
    """

    def __init__(self, connection: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # py-amqp's
        self._seals: Seals = connection.seals
        self._aside = aside_at(connection.aside)
        self._published = 0
        self._confirm_selected = False
        super().__init__(connection, *args, **kwargs)

    def basic_consume(
        self,
        *args: Any,  # noqa: ANN401  # py-amqp's
        callback: Callable[[Any], None] | None = None,
        **kwargs: Any,  # noqa: ANN401  # as above
    ) -> Any:  # noqa: ANN401  # as above
        def check(message: Any) -> None:  # noqa: ANN401  # as above
            ring = self._open(message)
            if isinstance(ring, Ring) and message.delivery_info.get("redelivered"):
                _log.warning("message.came-again", task=ring.task)
                self.basic_ack(message.delivery_tag)
                return
            if isinstance(ring, Ring):
                _renew(message, ring)
                if callback is not None:
                    callback(message)
                return
            self.aside.keep_bytes(_body_of(message), ring)
            self.basic_ack(message.delivery_tag)  # a rejected one would go to the dead letters as well

        return super().basic_consume(*args, callback=check, **kwargs)

    def basic_publish_confirm(
        self,
        *args: Any,  # noqa: ANN401  # as above
        confirm_timeout: float | None = None,
        **kwargs: Any,  # noqa: ANN401  # as above
    ) -> Any:  # noqa: ANN401  # as above
        """Who publishes knows that the queue has it, or after that time that it may not. `BlockedError`: the
        server takes none. A confirm that comes late, for one that was given up before, counts for nothing.
        """
        if self.connection is not None:
            self.connection.hear()
        if not self._confirm_selected:
            self.confirm_select()  # also of a channel that py-amqp has opened anew, which counts from the start
            self._confirm_selected, self._published = True, 0
        sent = self._basic_publish(*args, **kwargs)
        self._published += 1
        heard: list[tuple[Any, int]] = []
        while self._published not in (number for _, number in heard):
            self.wait(
                [_spec.Basic.Ack, _spec.Basic.Nack],
                callback=lambda method, number, *_: heard.append((method, number)),
                timeout=confirm_timeout,
            )
        if heard[-1][0] == _spec.Basic.Nack:
            raise _MessageNacked
        return sent

    def close(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # as above
        """Not where nobody would hear it."""
        if self.connection is None or not self.connection.is_blocked:
            super().close(*args, **kwargs)

    @property
    def aside(self) -> Aside:
        return self._aside

    @property
    def seals(self) -> Seals:
        return self._seals

    def _open(self, message: Any) -> Ring | MessageFault:  # noqa: ANN401  # as above
        properties: Mapping[str, Any] = message.properties
        sealed = read_parts(content_type=properties.get("content_type"), body=_body_of(message))
        return sealed if isinstance(sealed, MessageFault) else self.seals.open(sealed)


class AmqpConnection(_Impatient, _Connection):  # type: ignore[misc]  # as above
    Channel = AmqpChannel
    _METHODS: Final = _Connection._METHODS | {  # noqa: SLF001  # where py-amqp leaves out the reason
        _spec.Connection.Blocked: _spec.method(_spec.Connection.Blocked, "s")
    }

    def __init__(self, *args: Any, aside: str, seals: Seals | None, **kwargs: Any) -> None:  # noqa: ANN401  # as above
        super().__init__(*args, frame_handler=handle_frames, **kwargs)
        self.aside = Path(aside)
        self.seals = seals
        self._blocked: str | None = None

    @property
    def is_blocked(self) -> bool:
        """As far as was heard until now."""
        return self._blocked is not None

    def hear(self) -> None:
        """Whatever the server has said meanwhile. `BlockedError`: the last was that it takes no messages."""
        with suppress(TimeoutError):
            while True:
                with suppress(BlockedError):
                    self.drain_events(timeout=0)
        if self._blocked is not None:
            raise BlockedError(self._blocked)

    def close(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as above
        """At once where nobody would hear it."""
        return self.collect() if self.is_blocked else super().close(*args, **kwargs)

    def _on_blocked(self, reason: str) -> None:
        """Nothing that was sent before is answered: whoever waits for it hears of this."""
        self._blocked = reason
        raise BlockedError(reason)

    def _on_unblocked(self) -> None:
        self._blocked = None


class AmqpTransport(_Transport):  # type: ignore[misc]  # as above
    Connection = AmqpConnection


class TlsTransport(_TlsTransport):  # type: ignore[misc]  # as above
    Connection = AmqpConnection

    def establish_connection(self) -> Any:  # noqa: ANN401  # py-amqp's
        """The certificate has to name the server that is asked just now, of several that stand in for one
        another. Where it is told no name, py-amqp takes any server's.
        """
        self.client.ssl = {**self.client.ssl, "server_hostname": self.client.hostname or "localhost"}
        return super().establish_connection()


def handle_frames(connection: Any, callback: Any) -> OnFrame:  # noqa: ANN401  # as above
    """As py-amqp does; but a message whose headers it cannot read has none, and the body of one that is too
    large is not kept: it comes without properties, and is rejected for that. Otherwise the error would end the
    process, and the message would come back to the next.
    """
    handle: OnFrame = _make_handler(connection, callback)
    left: dict[int, int] = {}

    def on_frame(frame: tuple[int, int, Any]) -> Any:  # noqa: ANN401  # as above
        kind, channel, content = frame
        if kind == _BODY and left.get(channel, 0) > 0:
            connection.bytes_recv += 1
            left[channel] -= len(content)
            return False
        if kind == _HEADER:
            head = bytes(content[:_FIXED])
            (size,) = unpack_from(">Q", head, _FIXED - len(_NO_SIZE))
            if size > BYTES_MAX:
                left[channel] = size
                content = head[: -len(_NO_SIZE)] + _NO_SIZE + _NO_PROPERTIES
            elif not _can_be_read(content):
                content = head + _NO_PROPERTIES
        return handle((kind, channel, content))

    return on_frame


def _can_be_read(header: Any) -> bool:  # noqa: ANN401  # as above
    (number,) = unpack_from(">H", header, 0)
    try:
        _PROPERTIES[number](header, _FIXED)
    except Exception:  # noqa: BLE001  # whatever py-amqp raises for what it was not made for
        return False
    return True


def _body_of(message: Any) -> bytes:  # noqa: ANN401  # as above
    body = getattr(message, "body", b"")
    return body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body)


def _renew(message: Any, ring: Ring) -> None:  # noqa: ANN401  # as above
    message.properties = {
        "content_type": JSON_TYPE,
        "content_encoding": JSON_ENCODING,
        "application_headers": ring.headers,
        "correlation_id": ring.id,
        "delivery_mode": 2,
        "priority": 0,
    }
    message.body = ring.body
