"""Where a page of a list ended, as its reader hands it back: opaque, and of that very list alone. Pure."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from vaultcore.errors import InvalidInputError

Key = str | int | float | bytes | datetime | None
CURSOR_MAX: Final = 2000
"""Characters: a cursor holds what a row is sorted by, which may be a name of 200 characters in any script."""
_NUMBER_END: Final = 2**63
_OF_ANOTHER: Final = (
    "cursor: it is of a list with another filter or order: take it from the link `next` of this one, or leave "
    "it out"
)


@dataclass(frozen=True, kw_only=True)
class Position:
    """Of a row in a list. `key`: what it is sorted by, as the database keeps it; None: it has nothing there."""

    key: Key
    id: str | int


def identify_list(name: str, asked: Mapping[str, Any]) -> str:
    """The same for the same filter and order of the same list, and for nothing else."""
    text = json.dumps([name, asked], sort_keys=True, default=_plain, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def write_cursor(position: Position, *, of: str) -> str:
    """`of`: which list, by `identify_list`."""
    text = json.dumps([of, *_encode(position.key), position.id], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(text: str, *, of: str) -> Position:
    """`InvalidInputError` for one that no page of that list gave."""
    if len(text) <= CURSOR_MAX:
        try:
            padded = text + "=" * (-len(text) % 4)
            named, kind, key, row_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
            position = Position(key=_decode(kind, key), id=row_id)
        except (binascii.Error, ValueError, TypeError, LookupError, RecursionError):
            position = None
        if position is not None and _is_storable(position.key) and _is_storable(position.id):
            if named != of:
                raise InvalidInputError(_OF_ANOTHER)
            return position
    raise InvalidInputError("cursor: take it from the link `next` of a page")


def _is_storable(part: object) -> bool:
    """Whether a database takes it: somebody may have made the cursor, and not a page."""
    if isinstance(part, str):
        return "\0" not in part and part.isprintable()
    return not isinstance(part, int) or abs(part) < _NUMBER_END


def _plain(value: object) -> object:
    if isinstance(value, frozenset | set):
        return sorted(map(str, value))
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def _encode(key: Key) -> tuple[str, str | int | float | None]:
    match key:
        case datetime():
            return "time", key.astimezone(UTC).isoformat(timespec="microseconds")
        case bytes():
            return "bytes", key.hex()
        case None | str() | int() | float():
            return "plain", key
    raise TypeError(f"no list is sorted by a {type(key).__name__}")


def _decode(kind: str, key: Any) -> Key:  # noqa: ANN401  # JSON
    match kind, key:
        case "time", str():
            at = datetime.fromisoformat(key)
            if at.tzinfo is None:
                raise ValueError(key)
            return at
        case "bytes", str():
            return bytes.fromhex(key)
        case "plain", None | str() | int() | float():
            return key
    raise ValueError(kind)
