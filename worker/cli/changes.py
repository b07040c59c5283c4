"""A change of an item, as whoever made it sees it: what was, and what is."""

from collections.abc import Iterable
from typing import Any

from worker.cli.output import print_lines, show_cell
from worker.domain.changes import Change


def print_changes(changes: Iterable[Change]) -> None:
    lines = [
        f"  {_name(change.field)}: {_show(change.field, change.before)} -> {_show(change.field, change.after)}"
        for change in changes
    ]
    print_lines(lines or ["nothing changed"])


def describe_changes(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [vars(change) for change in changes]


def _name(field: str) -> str:
    return "value" if field == "version" else "plan" if field == "stated" else field.replace("_", " ")


def _show(field: str, value: object) -> str:
    if field == "version" and value is not None:
        return f"version {value}"
    if field == "stated":
        return "stated" if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.startswith("settings.") and value == "":
        return "''"
    return "none" if value in (None, ()) else show_cell(value)
