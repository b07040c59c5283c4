"""How things look on the wire: times, and the cursors of pages."""

import base64
import binascii
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, TypeVar

from starlette.responses import Response

from vaultcore.errors import InvalidInputError, UnreadableError

T = TypeVar("T")
UNREADABLE: Final = "Nightkey-Unreadable"
"""The header of a list in which rows are missing: how many."""


def show_time(time: datetime) -> str:
    """RFC 3339, UTC, with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def show_time_or_none(time: datetime | None) -> str | None:
    return None if time is None else show_time(time)


def leave_out(found: Iterable[T | UnreadableError], response: Response) -> list[T]:
    """What of a list can be read. A header says how many rows cannot, or were edited; without it the list is
    whole.
    """
    listed = list(found)
    read = [one for one in listed if not isinstance(one, UnreadableError)]
    if len(read) < len(listed):
        response.headers[UNREADABLE] = str(len(listed) - len(read))
    return read


def write_cursor(time: datetime, row_id: str) -> str:
    """Where a page ended, for who asks for the next one."""
    return base64.urlsafe_b64encode(f"{show_time(time)} {row_id}".encode()).decode().rstrip("=")


def read_cursor(text: str | None) -> tuple[datetime, str] | None:
    """`InvalidInputError` for one that no page gave."""
    if text is None:
        return None
    try:
        time, _, row_id = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(" ")
        at = datetime.fromisoformat(time)
        if row_id and at.tzinfo is not None:
            return at, row_id
    except (binascii.Error, ValueError):
        pass
    raise InvalidInputError("before: take it from the link `next` of a page")
