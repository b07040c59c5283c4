"""A change of an item, as whoever made it sees it: what was, and what is."""

from collections.abc import Iterable
from typing import Any

from worker.cli.output import print_lines, show_cell
from worker.domain.changes import Change
from worker.wording.changes import say_change


def print_changes(changes: Iterable[Change]) -> None:
    lines = [f"  {say_change(change, show=show_cell)}" for change in changes]
    print_lines(lines or ["nothing changed"])


def describe_changes(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [vars(change) for change in changes]
