"""A change of an item in words: which field, what it was, what it is. Pure; never a value."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from vaultcore.rules import show_duration
from worker.domain.changes import Change

_NAMES: Final = {"version": "value", "stated": "plan", "named": "policy"}
_LABELS: Final = "labels."


def say_change(change: Change, *, show: Callable[[object], str] | None = None) -> str:
    """`lead: 14d -> 7d`. `show`: how the reader's screen shows what is no word of ours."""
    name = _name(change.field)
    said = [_show(change.field, one, show or show_plain) for one in (change.before, change.after)]
    return f"{name}: {' -> '.join(said)}"


def _name(field: str) -> str:
    if field.startswith(_LABELS):
        return f"label {field.removeprefix(_LABELS)}"
    return _NAMES.get(field, field.replace("_", " "))


def show_plain(value: object) -> str:
    """As it stands in a sentence."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(show_plain, value))
    return str(value)


def _show(field: str, value: object, show: Callable[[object], str]) -> str:
    if field == "version" and value is not None:
        return f"version {value}"
    if field == "stated":
        return "stated" if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.startswith(("settings.", _LABELS)) and value == "":
        return "''"
    return "none" if value in (None, ()) else show(value)
