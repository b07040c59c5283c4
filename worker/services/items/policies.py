"""The policy that an item is to have: built of what was said, and checked before anything is stored."""

from collections.abc import Callable

from vaultcore.access import RULES, Action
from vaultcore.errors import InvalidInputError, NotAllowedError
from vaultcore.model import Item, Policy
from worker.domain.loosening import WHY, find_loosened
from worker.domain.policies import PolicyChange, change_policy, find_default_rotator
from worker.rotators.catalog import foreign_settings, parse_settings


def build_first_policy(name: str, wanted: PolicyChange) -> Policy:
    """Of a new item."""
    policy = change_policy(None, wanted, default_rotator=find_default_rotator(name))
    _check_settings(policy, None, name=name)
    return policy


def build_policy_after(item: Item, wanted: PolicyChange) -> Policy:
    """Its settings are checked where they, or anything else of it, change: what its rotator no longer takes
    stands in no other owner's way.
    """
    policy = change_policy(item.policy, wanted, default_rotator=find_default_rotator(item.name))
    if policy != item.policy:
        _check_settings(policy, None if wanted.whole else item.policy, name=item.name)
    return policy


def refuse_loosening(before: Policy, after: Policy, allowed: Callable[[Action], bool]) -> None:
    needed = find_loosened(before, after)
    if needed is not None and not allowed(needed):
        raise NotAllowedError(needed, sorted(RULES[needed].anywhere), why=WHY)


def _check_settings(policy: Policy, before: Policy | None, *, name: str) -> None:
    """The rotator's own check, before anything is stored. What another rotator had is not dropped silently."""
    if policy.rotator is None:
        if policy.settings:
            raise InvalidInputError("settings were given, but no rotator: add --rotator NAME")
        return
    if before is not None and before.rotator not in (None, policy.rotator):
        kept = [key for key in foreign_settings(policy.rotator, policy.settings) if key in before.settings]
        if kept:
            raise InvalidInputError(
                f"{name} has settings of {before.rotator} that {policy.rotator} does not know: take them away "
                f"with {' '.join(f'--unset {key}' for key in kept)}"
            )
    parse_settings(policy.rotator, policy.settings)
