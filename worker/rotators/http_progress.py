"""What an answer says of its own progress, by its body. Pure."""

from enum import StrEnum
from typing import Any

_UNDER_WAY = frozenset(
    "accepted creating deleting inprogress new notstarted pending processing provisioning queued running "
    "scheduled started starting submitted updating waiting working".split()
)
_FAILED = frozenset("aborted canceled cancelled denied error failed failure rejected timedout".split())
_STATES = ("status", "state")
_WITHIN = (*_STATES, "operation", "properties")
"""Where an object may hold the state instead: `{"status": {"state": "failed"}}`."""
_GOOD = ("ok", "success")
_NESTED_MAX = 3


class JobProgress(StrEnum):
    UNDER_WAY = "under way"
    FAILED = "failed"
    DONE = "done"


def judge_progress(body: Any) -> JobProgress:  # noqa: ANN401  # JSON
    """One that says nothing is the end. What failed has failed, whatever else is said of it."""
    parts = _find_parts(body)
    told = {_spell(part[name]) for part in parts for name in _STATES if isinstance(part.get(name), str)}
    if told & _FAILED or any(_says_failure(part) for part in parts):
        return JobProgress.FAILED
    under_way = told & _UNDER_WAY or any(part.get("done") is False for part in parts)
    return JobProgress.UNDER_WAY if under_way else JobProgress.DONE


def _find_parts(body: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # JSON
    """The body, and what it says its state in, from the outside in."""
    parts, level = [], [body]
    for _ in range(_NESTED_MAX):
        level = [part for part in level if isinstance(part, dict)]
        parts += level
        level = [part.get(name) for part in level for name in _WITHIN]
    return parts


def _says_failure(part: dict[str, Any]) -> bool:
    """`{"error": false}` and `{"error": {}}` say that there was none."""
    return bool(part.get("error")) or any(part.get(name) is False for name in _GOOD)


def _spell(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalpha())
