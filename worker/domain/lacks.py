"""What an item lacks that its creator should have given it, why that matters, and what gives it. Pure."""

from typing import Final

from vaultcore.model import Hygiene, Item
from vaultcore.rules import hygiene
from worker.domain.reasons import Code

LACKS: Final[dict[Hygiene, tuple[Code, str]]] = {
    Hygiene.NO_OWNER: (Code.NO_OWNER, "--owner OWNER"),
    Hygiene.NO_EXPIRY: (Code.NO_EXPIRY, "--expires-at TIME"),
    Hygiene.NO_PLAN: (Code.NO_PLAN, "--mode MODE"),
    Hygiene.GENERIC_NAME: (Code.GENERIC_NAME, "--name NAME"),
}
"""What it means that an item lacks it, and the options that give it."""


def find_lacks(item: Item) -> tuple[Hygiene, ...]:
    """Those of them that the item as it is now lacks: a night makes findings of them."""
    found = hygiene(
        name=item.name,
        owned=bool(item.owners),
        expires=item.expires_at is not None,
        policy=item.policy,
        kind=item.kind,
    )
    return tuple(lack for lack in found if lack in LACKS)
