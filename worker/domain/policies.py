"""A policy from what somebody wrote: option by option, over what was there, with defaults that fit. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.model import Mode, Policy
from vaultcore.rules import default_lead, parse_duration
from worker.domain.windows import parse_window, show_window

_LIFETIME = timedelta(days=90)


def build_policy(
    base: Policy | None, given: Mapping[str, Any], *, default_rotator: str | None = None
) -> Policy:
    """`base` (or the default policy) with what was given; nothing given: unchanged.

    A lead that was not given follows the lifetime, and an overlap that was not given never exceeds
    the lead. What Nightkey replaces has a lifetime, 90 days if none was given: a replacement that
    never lapsed would never be due again. Contradictions among what was given are left to
    `vaultcore.rules.check_policy`.
    """
    unknown = sorted(set(given) - set(_READ))
    if unknown:
        raise InvalidInputError(f"{', '.join(unknown)} is not part of a policy: it has {', '.join(_READ)}")
    start = base or Policy()
    if not given:
        return start
    changed = {"stated": True} | {name: _READ[name](name, given[name]) for name in given}
    if changed.get("mode") in (Mode.AUTO, Mode.APPROVE) and start.rotator is None and "rotator" not in given:
        changed["rotator"] = default_rotator
    if "lead" not in changed and "lifetime" in changed:
        changed["lead"] = default_lead(changed["lifetime"])
    policy = replace(start, **changed)
    if policy.mode is not Mode.NOTIFY and policy.lifetime is None:
        policy = replace(policy, lifetime=max(_LIFETIME, 3 * policy.lead))
    if "overlap" not in changed and policy.overlap > policy.lead:
        policy = replace(policy, overlap=policy.lead / 2)
    return policy


def _parse_duration(_: str, given: object) -> timedelta:
    return parse_duration(str(given))


def _parse_mode(_: str, given: object) -> Mode:
    try:
        return Mode(str(given))
    except ValueError:
        pass
    raise InvalidInputError(f"mode {str(given)[:40]!r} does not exist: choose auto, approve or notify")


def _check_rotator(_: str, given: object) -> str | None:
    if given is None or isinstance(given, str):
        return given
    raise InvalidInputError('rotator is the name of one, such as "random"')


def _check_switch(name: str, given: object) -> bool:
    if isinstance(given, bool):
        return given
    raise InvalidInputError(f"{name} is true or false")


def _check_windows(name: str, given: object) -> tuple[str, ...]:
    if isinstance(given, list) and all(isinstance(text, str) for text in given):
        return tuple(show_window(parse_window(text)) for text in given)
    raise InvalidInputError(f'{name} is a list of texts such as "0 2 * * 1-5 for 4h in Europe/Zurich"')


def _check_text(name: str, given: object) -> str | None:
    if given is None or (isinstance(given, str) and 0 < len(given) <= 200):
        return given or None
    raise InvalidInputError(f"{name} is a name of 1 to 200 characters")


def _check_settings(_: str, given: object) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    raise InvalidInputError("settings is an object: the rotator's settings by name")


def _parse_thresholds(_: str, given: object) -> tuple[int, ...]:
    if isinstance(given, list) and given and all(type(days) is int for days in given):
        return tuple(sorted(set(given), reverse=True))
    raise InvalidInputError("thresholds is a list of whole days before expiry, such as [30, 14, 7]")


_READ: dict[str, Callable[[str, object], Any]] = {
    "mode": _parse_mode,
    "rotator": _check_rotator,
    "settings": _check_settings,
    "lifetime": _parse_duration,
    "lead": _parse_duration,
    "spread": _parse_duration,
    "overlap": _parse_duration,
    "idle_after": _parse_duration,
    "thresholds": _parse_thresholds,
    "windows": _check_windows,
    "freezes": _check_windows,
    "expiry_first": _check_switch,
    "canary": _check_text,
    "four_eyes": _check_switch,
    "approval": _parse_duration,
    "claim": _parse_duration,
    "urgent": _check_switch,
    "settle": _parse_duration,
    "counterpart": _check_text,
}
"""How each part of a policy is read from what somebody wrote."""
