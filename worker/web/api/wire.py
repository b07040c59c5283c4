"""How things look on the wire: times, and the cursors of pages."""

import base64
import binascii
from datetime import UTC, datetime

from vaultcore.errors import InvalidInputError


def show_time(time: datetime) -> str:
    """RFC 3339, UTC, with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def show_time_or_none(time: datetime | None) -> str | None:
    return None if time is None else show_time(time)


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
