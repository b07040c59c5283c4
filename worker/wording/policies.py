"""A policy in words: each of its parts as a sentence, and which of them nobody chose. Pure.

Command line and console share it. Without a full stop at the end, and never a setting's value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

from vaultcore.model import Consumers, Kind, Mode, NamedPolicy, Policy
from vaultcore.rules import default_lead, lead_of, overlap_of, spread_of, thresholds_of
from worker.domain.policies import build_policy
from worker.domain.proof import CANARY_AUTO
from worker.wording.parts import say_count
from worker.wording.times import say_exactly


@dataclass(frozen=True, kw_only=True)
class PolicyPart:
    """`part`: as it is named in a file. `is_default`: nobody chose it, or what they chose is what it was."""

    part: str
    says: str
    is_default: bool


@dataclass(frozen=True, kw_only=True)
class _Told:
    """`life`: of the current version, where a rotation made it. `original`: of what it is a copy, by name."""

    policy: Policy
    kind: Kind
    life: timedelta | None
    original: str | None


def explain_policy(
    policy: Policy, *, kind: Kind, life: timedelta | None = None, original: str | None = None
) -> tuple[PolicyPart, ...]:
    """Every part, in the order in which one asks: who replaces it, when, how, and who is told."""
    told = _Told(policy=policy, kind=kind, life=life, original=original or policy.copy_of)
    usual = replace(Policy(), lead=default_lead(policy.lifetime))
    return tuple(
        PolicyPart(
            part=part,
            says=say(told),
            is_default=getattr(policy, part) == getattr(usual, part) and (part != "mode" or not policy.stated),
        )
        for part, say in PARTS.items()
    )


class PartSource(StrEnum):
    """Who said a part of a policy."""

    OWN = "own"
    NAMED = "named"
    """The policy that the item follows."""
    DEFAULT = "default"
    """Nobody."""


@dataclass(frozen=True, kw_only=True)
class SourcedPart:
    """A part in words, and who said it."""

    part: str
    says: str
    source: PartSource


def explain_sources(
    policy: Policy,
    *,
    kind: Kind,
    life: timedelta | None = None,
    original: str | None = None,
    follows: NamedPolicy | None = None,
) -> tuple[SourcedPart, ...]:
    """As `explain_policy`, with who said each part. `follows`: the named policy, where there is one."""
    named = None if follows is None else build_policy(None, follows.parts)

    def find(one: PolicyPart) -> PartSource:
        if one.is_default:
            return PartSource.DEFAULT
        is_of_named = named is not None and getattr(policy, one.part) == getattr(named, one.part)
        return PartSource.NAMED if is_of_named else PartSource.OWN

    parts = explain_policy(policy, kind=kind, life=life, original=original)
    return tuple(SourcedPart(part=one.part, says=one.says, source=find(one)) for one in parts)


def explain_named(policy: NamedPolicy) -> tuple[SourcedPart, ...]:
    """Each part that a named policy can have, as it would be of an item that follows it."""
    parts = explain_sources(build_policy(None, policy.parts), kind=Kind.SECRET)
    return tuple(one for one in parts if one.part not in ("named", "copy_of"))


def _say_mode(told: _Told) -> str:
    if not told.policy.stated:
        return "nobody has said how it is replaced: its owner is told in time, and nothing else happens"
    return {
        Mode.AUTO: "Nightkey replaces it by itself",
        Mode.APPROVE: "Nightkey replaces it as soon as somebody has approved that",
        Mode.NOTIFY: "its owner replaces it, and is told in time",
    }[told.policy.mode]


def _say_named(told: _Told) -> str:
    if told.policy.named is None:
        return "it follows no named policy"
    return f"it follows the policy {told.policy.named}, but for what it says of its own"


def _say_rotator(told: _Told) -> str:
    rotator = told.policy.rotator
    if rotator is not None:
        return f"a new value comes by the rotator {rotator}"
    if told.kind is Kind.API_KEY:
        return "it has no rotator; Nightkey makes its keys all the same"
    return "it has no rotator: a person gives each new value"


def _say_settings(told: _Told) -> str:
    names = sorted(told.policy.settings)
    if not names:
        return "its rotator has no settings"
    return f"its rotator has {say_count(len(names), 'setting')}: {', '.join(names)}"


def _say_target(told: _Told) -> str:
    if told.policy.target is None:
        return "the system that it opens is called as its rotator calls it"
    return f"the system that it opens is called {told.policy.target}"


def _say_copy(told: _Told) -> str:
    if told.policy.copy_of is None:
        return "it is a credential of its own, not a copy of another item's"
    return f"it is a copy of {told.original}: it is replaced with that, and by nobody else"


def _say_lifetime(told: _Told) -> str:
    if told.policy.lifetime is None:
        return "it says not for how long a new value works: whoever gives one says when it lapses"
    return f"a new value works for {say_exactly(told.policy.lifetime)}"


def _say_lead(told: _Told) -> str:
    lead, real = told.policy.lead, lead_of(told.policy, told.life)
    text = f"it is due {say_exactly(lead)} before it lapses"
    return text if real == lead else f"{text}, and {say_exactly(real)} before with the value of now"


def _say_spread(told: _Told) -> str:
    spread = spread_of(told.policy, told.life)
    if not spread:
        return "it is never due earlier than that"
    return f"it may be due up to {say_exactly(spread)} earlier, so that not all are due at once"


def _say_overlap(told: _Told) -> str:
    overlap = overlap_of(told.policy, told.life)
    if not overlap:
        return "the old value goes as soon as every workflow is proven on the new one"
    return f"the old value works on for {say_exactly(overlap)} at least, and until every workflow is proven"


def _say_windows(told: _Told) -> str:
    if not told.policy.windows:
        return "it may be replaced in any night"
    return f"it is replaced by itself only while this is open: {'; '.join(told.policy.windows)}"


def _say_freezes(told: _Told) -> str:
    if not told.policy.freezes:
        return "no freeze of its own keeps it as it is"
    return f"nothing of it changes during: {'; '.join(told.policy.freezes)}"


def _say_expiry_first(told: _Told) -> str:
    if told.policy.expiry_first:
        return "where it would lapse before it may be replaced, it is replaced all the same"
    return "it waits until it may be replaced, even where it lapses first"


def _say_canary(told: _Told) -> str:
    canary = told.policy.canary
    if canary is None:
        return "all its workflows move to a new value at once"
    first = "the workflow that runs soonest" if canary == CANARY_AUTO else f"workflow {canary}"
    return f"{first} moves first, and the others after its first good run"


def _say_four_eyes(told: _Told) -> str:
    if told.policy.four_eyes:
        return "whoever asks for its replacement needs somebody else who approves it"
    return "whoever asks for its replacement needs nobody else"


def _say_approval(told: _Told) -> str:
    return f"what waits for an approval is called off after {say_exactly(told.policy.approval)}"


def _say_pickup(told: _Told) -> str:
    return f"a key that was made for its owner waits {say_exactly(told.policy.pickup)} to be collected"


def _say_consumers(told: _Told) -> str:
    if told.policy.consumers is Consumers.NONE:
        return "it is replaced although nothing here may use it"
    return "it is replaced by itself only where something here uses it"


def _say_propagation(told: _Told) -> str:
    return f"the other side may take {say_exactly(told.policy.propagation)} to accept a new value"


def _say_answers(told: _Told) -> str:
    if told.policy.answers is None:
        return "the other side is believed after as many good answers in a row as its rotator asks for"
    return f"the other side is believed after {say_count(told.policy.answers, 'good answer')} in a row"


def _say_renew(told: _Told) -> str:
    if told.policy.renew:
        return "where the old value is gone and the new one refused, another is made without asking"
    return "where the old value is gone and the new one refused, a person is asked"


def _say_thresholds(told: _Told) -> str:
    days = [str(one) for one in thresholds_of(told.policy, told.life)]
    if not days:
        return "its owner is not told before it lapses"
    *first, last = days
    listed = f"{', '.join(first)} and {last}" if first else last
    return f"its owner is told {listed} days before it lapses"


def _say_urgent(told: _Told) -> str:
    return f"its owner is told {'even in' if told.policy.urgent else 'after'} their quiet hours"


def _say_idle(told: _Told) -> str:
    return f"a workflow that uses it and has not run for {say_exactly(told.policy.idle_after)} is told as idle"


PARTS: Final[Mapping[str, Callable[[_Told], str]]] = {
    "mode": _say_mode,
    "named": _say_named,
    "rotator": _say_rotator,
    "settings": _say_settings,
    "target": _say_target,
    "copy_of": _say_copy,
    "lifetime": _say_lifetime,
    "lead": _say_lead,
    "spread": _say_spread,
    "overlap": _say_overlap,
    "windows": _say_windows,
    "freezes": _say_freezes,
    "expiry_first": _say_expiry_first,
    "consumers": _say_consumers,
    "canary": _say_canary,
    "four_eyes": _say_four_eyes,
    "approval": _say_approval,
    "pickup": _say_pickup,
    "propagation": _say_propagation,
    "answers": _say_answers,
    "renew": _say_renew,
    "thresholds": _say_thresholds,
    "urgent": _say_urgent,
    "idle_after": _say_idle,
}
"""All parts of a policy; `stated` is told with its mode."""
