"""What it takes to do away with approvals: whoever does so gives all that would be asked for. Pure."""

from typing import Final

from vaultcore.access import Action
from vaultcore.model import Mode, Policy

WHY: Final = "by itself means that nobody is asked before it is replaced"


def find_loosened(before: Policy, after: Policy) -> Action | None:
    """The permission that is needed beside `item.update`; None: nobody's word is done without.

    From `notify`, too: otherwise two steps would do what one may not. With four eyes it takes what four eyes
    themselves do. A plan that nobody has stated asks nobody: so it takes the same to make a stated one such.
    """
    asks_nobody = after.mode is Mode.AUTO or not after.stated
    if not asks_nobody or before.mode is Mode.AUTO or not before.stated:
        return None
    return Action.ITEM_REDIRECT if before.four_eyes or after.four_eyes else Action.ROTATION_APPROVE
