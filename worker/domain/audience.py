"""Who hears of a finding, and whether it is news to them. Pure."""

from worker.domain.findings import LAPSED_LEVEL

DEPUTY_LEVEL = LAPSED_LEVEL + 3
"""What has lapsed for three days goes to the deputy as well,"""

OPERATORS_LEVEL = LAPSED_LEVEL + 7
"""and after a week to the operators."""


def hearers(level: int, *, owner: str | None, deputy: str | None, operators: str) -> tuple[str, ...]:
    """Owner ids: the owner, or the operators of what has none; more of them the longer it has lapsed.

    For an owner without a deputy the operators stand in.
    """
    heard = [owner or operators]
    if level >= DEPUTY_LEVEL:
        heard.append(deputy or operators)
    if level >= OPERATORS_LEVEL:
        heard.append(operators)
    return tuple(dict.fromkeys(heard))


def is_news(level: int, *, told: int | None) -> bool:
    """`told`: how bad it was when they were last told of the same topic; None: never."""
    return told is None or level > told
