"""Ids: a prefix that says what it names, and a lower-case ULID, so that ids sort by time."""

from datetime import datetime

from ulid import ULID


def new_id(prefix: str, now: datetime) -> str:
    """`vlt_01h…`: the prefix, an underscore, and 26 characters that begin with `now` in milliseconds."""
    return f"{prefix}_{str(ULID.from_datetime(now)).lower()}"
