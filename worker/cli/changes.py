"""A change of an item, as whoever made it sees it: what was, and what is."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from worker.cli.cells import show_cell
from worker.cli.output import print_lines
from worker.domain.changes import Change
from worker.wording.changes import say_change
from worker.wording.plain import Shape


def print_changes(changes: Iterable[Change]) -> None:
    lines = [f"  {say_change(change, show=show_cell)}" for change in changes]
    print_lines(lines or ["nothing changed"])


def describe_changes(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [vars(change) for change in changes]


def read_change(row: Shape) -> Change:
    """As a server gives it: with times and tuples in the place of what JSON has for them."""
    before, after = (_read(row["field"], row[part]) for part in ("before", "after"))
    return Change(field=row["field"], before=before, after=after)


def _read(field: str, value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    is_time = field.endswith("_at") and "." not in field  # no label, and no setting of a rotator
    return datetime.fromisoformat(value) if is_time and isinstance(value, str) else value
