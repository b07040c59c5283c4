"""What the tables of sentences share: how a parameter is shown, and parts that stand in several sentences."""

from collections.abc import Callable, Mapping
from typing import Final

from worker.domain.distances import show_time_left_of
from worker.domain.reasons import Code, Parameter

Given = Mapping[str, Parameter]
Sentences = Mapping[Code, str | Callable[[Given], str]]
"""A sentence names its parameters in braces, or is written by a function of what is given."""

MISSING: Final = "?"
"""Stands for a parameter that a row lacks: what is shown must be shown all the same."""
UNREAD: Final = "nothing here could read what replaces it"


def say_count(number: object, noun: str) -> str:
    """As in `1 rotation` and `2,000 rotations`; the noun is a regular one, in the singular."""
    shown = f"{number:,}" if isinstance(number, int) else number
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"


def say_expiry(given: Given) -> str:
    seconds = given.get("seconds")
    if not isinstance(seconds, int):
        return f"expires {MISSING}"
    return f"{'expires' if seconds > 0 else 'lapsed'} {show_time_left_of(seconds)}"


def say_ago(given: Given) -> str:
    seconds = given.get("seconds")
    return show_time_left_of(seconds) if isinstance(seconds, int) else MISSING
