"""What happens to an item on a day to come, as a person says it. Pure."""

from datetime import datetime

from vaultcore.model import Item, Mode


def say_lapse(item: Item, now: datetime) -> str:
    if item.expires_at is not None and item.expires_at <= now:
        return "lapsed"
    if item.policy.mode is Mode.AUTO:
        return "lapses, unless it is replaced before"
    if item.policy.mode is Mode.APPROVE:
        return "lapses, unless somebody approves its replacement"
    return "lapses, unless its owner replaces it"


def say_due(item: Item) -> str:
    if item.version is None:
        return "waits for its value"
    if item.policy.mode is Mode.AUTO:
        return "is replaced by Nightkey"
    if item.policy.mode is Mode.APPROVE:
        return "is replaced after an approval"
    return "its owner is asked for a new value"
