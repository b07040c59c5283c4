"""Days, as people write them in forms: those of the reader's zone."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

HOW_TO = "write a day like 2027-03-01"


def begin_of(text: str, zone: tzinfo) -> datetime | None:
    """The first moment of that day, where the reader is; None: it is no day."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def end_of(text: str, zone: tzinfo) -> datetime | None:
    """The first moment after that day, which may have 23 hours or 25."""
    try:
        return datetime.combine(date.fromisoformat(text) + timedelta(days=1), time(), zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
