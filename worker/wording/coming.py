"""What happens to an item on a day to come, as a person says it. Pure."""

from datetime import datetime

from vaultcore.model import Item, Mode
from worker.wording.times import say_distance


def say_lapse(item: Item, now: datetime) -> str:
    if item.expires_at is not None and item.expires_at <= now:
        return "lapsed"
    if item.policy.mode is Mode.AUTO:
        return "lapses, unless it is replaced before"
    if item.policy.mode is Mode.APPROVE:
        return "lapses, unless somebody approves its replacement"
    return "lapses, unless its owner replaces it"


def say_turn(item: Item, now: datetime) -> str:
    """Of what is its owner's to replace: when it lapses, or did. It follows the item's name."""
    verb, comma, unless = say_lapse(item, now).partition(",")
    away = "" if item.expires_at is None else f" {say_distance(item.expires_at, now)}"
    return f"{verb}{away}{comma}{unless}"


def say_due(item: Item) -> str:
    if item.version is None:
        return "waits for its value"
    if item.policy.mode is Mode.AUTO:
        return "is replaced by Nightkey"
    if item.policy.mode is Mode.APPROVE:
        return "is replaced after an approval"
    return "its owner is asked for a new value"
