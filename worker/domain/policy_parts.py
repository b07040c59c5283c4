"""A policy as its own parts over those of a named one: what has to be written down of it, and no more. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Any, Final

from vaultcore.model import Mode, Policy
from vaultcore.rules import show_duration
from worker.domain.policies import PART_NAMES, build_policy, find_default_rotator

Parts = Mapping[str, Any]
"""Parts of a policy as they are written: durations as texts, None for none."""
_CAUSES: Final = ("mode", "rotator", "lifetime", "lead", "overlap")
"""Each of these decides what the following are, where nobody chose those."""


def write_parts(policy: Policy, names: Mapping[str, Any] | tuple[str, ...] = PART_NAMES) -> dict[str, Any]:
    """These parts of it, as they are written."""
    return {name: _write(getattr(policy, name)) for name in PART_NAMES if name in names}


def find_own_parts(policy: Policy, base: Parts, *, item: str) -> dict[str, Any]:
    """The parts that make this policy of `base`, as few as there can be: what follows from others is none of
    them. `item` is the name of the item that has it.
    """
    own: dict[str, Any] = {}
    while True:
        built = lay_over(base, own, item=item)
        differs = [name for name in PART_NAMES if getattr(built, name) != getattr(policy, name)]
        differs = [name for name in differs if name not in own]
        if not differs:
            break
        first = next((name for name in _CAUSES if name in differs), differs[0])
        own[first] = _write(getattr(policy, first))
    if policy.stated and not built.stated:
        own["mode"] = Mode.NOTIFY.value  # which is somebody's word, though it changes nothing
    return {name: own[name] for name in PART_NAMES if name in own}


def lay_over(base: Parts, own: Parts, *, item: str) -> Policy:
    """The policy of both: a part of `own` takes the place of that of `base`, settings as a whole."""
    return build_policy(None, {**base, **own}, default_rotator=find_default_rotator(item))


def _write(part: object) -> Any:  # noqa: ANN401  # as JSON has it
    if isinstance(part, timedelta):
        return show_duration(part)
    if isinstance(part, Enum):
        return part.value
    if isinstance(part, tuple):
        return list(part)
    return dict(part) if isinstance(part, Mapping) else part
