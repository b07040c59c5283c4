"""Where a workflow runs. Pure."""

from enum import StrEnum


class Place(StrEnum):
    HERE = "here"
    """Nightkey runs and tests it."""
    ELSEWHERE = "elsewhere"
    """Another engine runs it: it is scanned and owned all the same, and proven by reported runs."""
