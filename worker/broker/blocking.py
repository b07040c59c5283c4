"""A RabbitMQ that takes no messages: it is short of memory or disk, and reads nothing from who has sent it one.

It goes on giving messages out, and says when it takes them again.
"""

from typing import Any, Final

from amqp import Message
from amqp.exceptions import AccessRefused, NotFound
from kombu.exceptions import OperationalError

_SHORT_OF: Final = {"memory": "vm_memory_high_watermark", "disk": "disk_free_limit"}
"""Words of the server's reason, each with the setting that has its limit."""
NOBODY: Final = "nightkey.nobody"
"""No queue has this name, so what is sent there is dropped."""
_Message: Any = Message  # py-amqp and kombu have no types
_OperationalError: Any = OperationalError


class BlockedError(_OperationalError):  # type: ignore[misc]  # as above
    """As a sentence without its subject. Kombu does not try again, which would make one connection after the
    other that nobody reads.
    """

    def __init__(self, reason: str) -> None:
        """`reason`: as the server gives it."""
        super().__init__(say_blocked(reason))


def say_blocked(reason: str) -> str:
    short = [word for word in _SHORT_OF if word in reason]
    if not short:
        return "takes no messages at present: its log says why, and it takes them again by itself"
    limits = " and ".join(_SHORT_OF[word] for word in short)
    return (
        f"takes no messages at present, since it is low on {' and '.join(short)}: give it more, or look at its "
        f"{limits}; it takes them again by itself"
    )


def find_blocked(error: BaseException | None) -> BlockedError | None:
    """Among what led to this error."""
    while error is not None and not isinstance(error, BlockedError):
        error = error.__cause__ or error.__context__
    return error


def find_why_blocked(connection: Any) -> str:  # noqa: ANN401  # kombu's, to a RabbitMQ
    """As a sentence without its subject; empty: it takes messages, as far as this user may send any. It says
    that only to who has sent one, and reads nothing more from this connection then.
    """
    try:
        with connection.channel() as channel:
            channel.basic_publish(_Message("?"), routing_key=NOBODY)
            channel.queue_declare(NOBODY, passive=True)  # some confirm that one before they say it
    except BlockedError as error:
        return str(error)
    except (AccessRefused, NotFound):
        pass
    return ""
