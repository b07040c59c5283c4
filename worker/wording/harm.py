"""Who is hurt when a value that somebody else knows is revoked before anything is tested. Pure."""

from collections.abc import Sequence

from vaultcore.model import Item, Kind
from worker.domain.consumption import NO_WAY_OUT
from worker.domain.proof import Consumer


def list_harm(item: Item, consumers: Sequence[Consumer]) -> list[str]:
    """A line for each of those who use it, and one for those whom nothing here knows."""
    lines = [f"{consumer.name}: {_explain(consumer)}" for consumer in consumers]
    if not consumers:
        lines.append("no workflow uses it" if item.kind is Kind.API_KEY else NO_WAY_OUT)
    if item.kind is Kind.API_KEY:
        lines.append("every caller: the old key opens nothing until they use the new one")
    return lines


def _explain(consumer: Consumer) -> str:
    if consumer.pinned is not None:
        return f"pinned to version {consumer.pinned}: fails until it is unpinned"
    if consumer.held:
        return "held on the old version by a rotation: moves at once"
    active = "" if consumer.active else ", not active"
    return f"uses the new value from its next run on; a run under way may fail{active}"
