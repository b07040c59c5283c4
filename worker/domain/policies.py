"""A policy from what somebody wrote: option by option, over what was there, with defaults that fit. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.model import Mode, Policy
from vaultcore.rules import default_lead, parse_duration

KEYS = ("mode", "rotator", "settings", "lifetime", "lead", "overlap", "idle_after", "thresholds")
_LIFETIME = timedelta(days=90)
_DURATIONS = ("lifetime", "lead", "overlap", "idle_after")


def build_policy(
    base: Policy | None, given: Mapping[str, Any], *, default_rotator: str | None = None
) -> Policy:
    """`base` (or the default policy) with what was given; nothing given: unchanged.

    A lead that was not given follows the lifetime, and an overlap that was not given never exceeds
    the lead. What Nightkey replaces has a lifetime, 90 days if none was given: a replacement that
    never lapsed would never be due again. Contradictions among what was given are left to
    `vaultcore.rules.check_policy`.
    """
    unknown = sorted(set(given) - set(KEYS))
    if unknown:
        raise InvalidInputError(f"{', '.join(unknown)} is not part of a policy: it has {', '.join(KEYS)}")
    start = base or Policy()
    if not given:
        return start
    changed: dict[str, Any] = {"stated": True}
    for name in _DURATIONS:
        if name in given:
            changed[name] = parse_duration(str(given[name]))
    if "mode" in given:
        changed["mode"] = _parse_mode(given["mode"])
    if "rotator" in given:
        changed["rotator"] = _check_rotator(given["rotator"])
    elif changed.get("mode") in (Mode.AUTO, Mode.APPROVE) and start.rotator is None:
        changed["rotator"] = default_rotator
    if "settings" in given:
        changed["settings"] = _check_settings(given["settings"])
    if "thresholds" in given:
        changed["thresholds"] = _parse_thresholds(given["thresholds"])
    if "lead" not in changed and "lifetime" in changed:
        changed["lead"] = default_lead(changed["lifetime"])
    policy = replace(start, **changed)
    if policy.mode is not Mode.NOTIFY and policy.lifetime is None:
        policy = replace(policy, lifetime=max(_LIFETIME, 3 * policy.lead))
    if "overlap" not in changed and policy.overlap > policy.lead:
        policy = replace(policy, overlap=policy.lead / 2)
    return policy


def _parse_mode(text: object) -> Mode:
    try:
        return Mode(str(text))
    except ValueError:
        pass
    raise InvalidInputError(f"mode {str(text)[:40]!r} does not exist: choose auto, approve or notify")


def _check_rotator(given: object) -> str | None:
    if given is None or isinstance(given, str):
        return given
    raise InvalidInputError('rotator is the name of one, such as "random"')


def _check_settings(given: object) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    raise InvalidInputError("settings is an object: the rotator's settings by name")


def _parse_thresholds(given: object) -> tuple[int, ...]:
    if isinstance(given, list) and given and all(type(days) is int for days in given):
        return tuple(sorted(set(given), reverse=True))
    raise InvalidInputError("thresholds is a list of whole days before expiry, such as [30, 14, 7]")
