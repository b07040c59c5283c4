"""What is printed of anything, in what JSON knows."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from vaultcore.rules import show_duration
from worker.domain.reasons import Reason
from worker.wording.reasons import say

Shape = Mapping[str, Any]
"""What is printed of a thing, whoever was asked for it."""


def to_plain(value: Any) -> Any:  # noqa: ANN401  # JSON
    """What JSON knows: times as text, durations as they are written, enums by their value, reasons in words."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Reason):
        return say(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value
