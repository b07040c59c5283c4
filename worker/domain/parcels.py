"""What a message lies in at the broker: the sealed bytes, and around them nothing that is obeyed. Pure."""

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.domain.messages import MessageFault, Ring
from worker.domain.strict_json import parse_json

BYTES_MAX: Final = 16_384
"""Of one message as it lies at the broker; ours have less than a thousand."""

SEALED_TYPE: Final = "application/x-nightkey"
SEALED_ENCODING: Final = "binary"
JSON_TYPE: Final = "application/json"
JSON_ENCODING: Final = "utf-8"
_NO_JSON: Final = object()


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """`again`: the broker says that it gave it to somebody before."""

    sealed: bytes
    again: bool = False


def read_parts(*, content_type: object, body: object) -> bytes | MessageFault:
    """The sealed bytes of a message of that type. Nothing is unpacked."""
    if not isinstance(body, bytes):
        return MessageFault.ILL_FORMED
    if len(body) > BYTES_MAX:
        return MessageFault.TOO_LARGE
    if content_type == JSON_TYPE:
        return MessageFault.UNSEALED
    return body if content_type == SEALED_TYPE else MessageFault.ILL_FORMED


def read_parcel(content: bytes) -> Parcel | MessageFault:
    """The same of what lies in a file, or in a list of Redis: JSON with the body in base64."""
    if len(content) > BYTES_MAX:
        return MessageFault.TOO_LARGE
    raw = _parse(content)
    if not isinstance(raw, dict):
        return MessageFault.NO_JSON if raw is _NO_JSON else MessageFault.ILL_FORMED
    body, headers = raw.get("body"), raw.get("headers")
    if not isinstance(body, str):
        return MessageFault.ILL_FORMED
    try:
        decoded = b64decode(body, validate=True)
    except ValueError:
        return MessageFault.NO_JSON
    sealed = read_parts(content_type=raw.get("content-type"), body=decoded)
    if isinstance(sealed, MessageFault):
        return sealed
    again = isinstance(headers, dict) and headers.get("redelivered") is True
    return Parcel(sealed=sealed, again=again)


def write_parcel(sealed: bytes, *, queue: str, tag: str) -> dict[str, Any]:
    """What lies in a list of Redis, as `read_parcel` reads it and kombu puts it back."""
    return {
        "body": b64encode(sealed).decode(),
        "content-type": SEALED_TYPE,
        "content-encoding": SEALED_ENCODING,
        "headers": {},
        "properties": _properties(queue, tag),
    }


def write_envelope(ring: Ring, *, queue: str, tag: str, again: bool = False) -> dict[str, Any]:
    """A message that was opened, as kombu takes it from a file or a list. `tag`: by which a process tells it
    from others.
    """
    properties = _properties(queue, tag)
    properties["delivery_info"]["redelivered"] = again
    return {
        "body": b64encode(ring.body).decode(),
        "content-type": JSON_TYPE,
        "content-encoding": JSON_ENCODING,
        "headers": ring.headers,
        "properties": {"correlation_id": ring.id, **properties},
    }


# Inside


def _properties(queue: str, tag: str) -> dict[str, Any]:
    return {
        "delivery_mode": 2,
        "delivery_info": {"exchange": queue, "routing_key": queue},
        "delivery_tag": tag,
        "priority": 0,
        "body_encoding": "base64",
    }


def _parse(content: bytes) -> object:
    try:
        return parse_json(content.decode(), unique=True)
    except (UnicodeDecodeError, InvalidInputError):
        return _NO_JSON
