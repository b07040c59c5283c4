"""A policy from what somebody wrote: option by option, over what was there, with defaults that fit. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import isfinite
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.model import Consumers, Kind, Mode, Policy
from vaultcore.rules import default_lead, kind_of, parse_duration
from worker.domain.windows import parse_window, show_window

_LIFETIME = timedelta(days=90)
_DAYS_MAX = 100 * 366
_ANSWERS_MAX = 20
_DEPTH_MAX = 50
"""Objects and lists inside one another."""
_PARTS_MAX = 10_000
"""Values, objects and lists in settings, all together: one that is shared counts wherever it stands."""
_SHOWN_MAX = 40
_LISTED_MAX = 20

OF_TARGET = frozenset({"rotator", "settings", "target", "copy_of", "consumers", "renew", "four_eyes"})
"""Parts that say where the value is sent, or what must be shown and agreed to before that."""


@dataclass(frozen=True, kw_only=True)
class PolicyChange:
    """What somebody wants of a policy: `parts` take the place of those that were there, as a file has them.

    Of the rotator's settings, `unset` (dotted) are taken away first, then `assigned` (nested) are put over
    what is left; what is not named stays. `whole`: the parts are all of it, so that what is not among them is
    the default, and `named` is the named policy that it follows from now on.
    """

    parts: Mapping[str, Any] = field(default_factory=dict)
    assigned: Mapping[str, Any] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    whole: bool = False
    named: str | None = None

    @property
    def redirects(self) -> bool:
        """Whether it says where the value is sent, or what must be agreed to before that."""
        return bool(OF_TARGET & self.parts.keys() or self.assigned or self.unset)


def change_policy(base: Policy | None, change: PolicyChange, *, default_rotator: str | None = None) -> Policy:
    """`base` (or the default policy) as the change wants it; nothing wanted: unchanged."""
    if change.whole:
        policy = build_policy(None, change.parts, default_rotator=default_rotator)
        return replace(policy, named=change.named)
    given = dict(change.parts)
    under = given.get("settings", {} if base is None else base.settings)
    if (change.assigned or change.unset) and isinstance(under, Mapping):  # what is none is refused below
        left = {**under}
        for key in change.unset:
            left = _take_away(left, key.split("."), key)
        given["settings"] = _merge(left, change.assigned, "")
    return build_policy(base, given, default_rotator=default_rotator)


def _take_away(settings: Mapping[str, Any], path: list[str], key: str) -> dict[str, Any]:
    first, *rest = path
    inner = settings.get(first)
    if first not in settings or (rest and not isinstance(inner, Mapping)):
        known = _list(settings) or "none"
        raise InvalidInputError(f"--unset {show_name(key)}: there is no such setting; here there are {known}")
    left = {name: value for name, value in settings.items() if name != first}
    if rest and isinstance(inner, Mapping):
        left = {**settings, first: _take_away(inner, rest, key)}
    return left


def _merge(under: Mapping[str, Any], over: Mapping[str, Any], path: str) -> dict[str, Any]:
    """`over` on top of `under`, part by part; parts of a list are named by their number, from 0."""
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value, f"{path}{show_name(key)}.")
        elif isinstance(old, list) and isinstance(value, Mapping):
            merged[key] = _merge_list(old, value, f"{path}{show_name(key)}")
        else:
            merged[key] = value
    return merged


def _merge_list(under: list[Any], over: Mapping[str, Any], path: str) -> list[Any]:
    numbered = {str(number): part for number, part in enumerate(under)}
    strange = sorted(set(over) - set(numbered))
    if strange:
        named = f"{path}.{show_name(strange[0])}"
        raise InvalidInputError(
            f"--set {named}: {path} is a list of {len(under)}, so name one by its number, from 0"
        )
    return list(_merge(numbered, over, f"{path}.").values())


def build_policy(
    base: Policy | None, given: Mapping[str, Any], *, default_rotator: str | None = None
) -> Policy:
    """`base` (or the default policy) with what was given; nothing given: unchanged.

    A lead that nobody chose, or that fits no longer, follows the lifetime, and an overlap that was not given
    never exceeds the lead. What Nightkey replaces has a lifetime, 90 days if none was given: a replacement that
    never lapsed would never be due again. Contradictions among what was given are left to
    `vaultcore.rules.check_policy`.
    """
    doubled = [name for name, now in FORMER_NAMES.items() if name in given and now in given]
    if doubled:
        raise InvalidInputError(f"{doubled[0]} is called {FORMER_NAMES[doubled[0]]} now: give one of them")
    given = {FORMER_NAMES.get(name, name): value for name, value in given.items()}
    unknown = set(given) - set(_READ)
    if unknown:
        raise InvalidInputError(f"{_list(unknown)} is not part of a policy: it has {', '.join(_READ)}")
    start = base or Policy()
    if not given:
        return start
    changed = {"stated": True} | {name: _READ[name](name, given[name]) for name in given}
    if changed.get("mode") in (Mode.AUTO, Mode.APPROVE) and start.rotator is None and "rotator" not in given:
        changed["rotator"] = default_rotator
    if "lead" not in changed and "lifetime" in changed and not _keeps_lead(start, changed["lifetime"]):
        changed["lead"] = _whole(default_lead(changed["lifetime"]))
    policy = replace(start, **changed)
    if policy.mode is not Mode.NOTIFY and policy.lifetime is None:
        policy = replace(policy, lifetime=max(_LIFETIME, 3 * policy.lead))
    if "overlap" not in changed and policy.overlap > policy.lead:
        policy = replace(policy, overlap=_whole(policy.lead / 2))
    return policy


def _whole(duration: timedelta) -> timedelta:
    """In seconds, as it is stored."""
    return timedelta(seconds=duration // timedelta(seconds=1))


def _keeps_lead(start: Policy, lifetime: timedelta | None) -> bool:
    """Somebody chose the lead, since it is not what followed from the lifetime, and it fits the new one."""
    chosen = start.lead != _whole(default_lead(start.lifetime))
    fits = lifetime is None or start.lead + (start.spread or timedelta(0)) < lifetime
    return chosen and fits


def find_default_rotator(name: str) -> str | None:
    """What replaces an item of that name, unless somebody says otherwise."""
    return "workflow-api-key" if kind_of(name) is Kind.API_KEY else None


def check_part(name: str, given: object) -> None:
    """One part of a policy by itself: `InvalidInputError` where it cannot be meant."""
    _READ[name](name, given)


def _parse_duration(_: str, given: object) -> timedelta:
    return parse_duration(str(given))


def _parse_length(name: str, given: object) -> timedelta | None:
    """One that there may be none of."""
    return None if given is None else _parse_duration(name, given)


def _parse_mode(_: str, given: object) -> Mode:
    try:
        return Mode(str(given))
    except ValueError:
        told = f"mode {str(given)[:40]!r} does not exist: choose auto, approve or notify"
        raise InvalidInputError(told) from None


def _parse_consumers(_: str, given: object) -> Consumers:
    try:
        return Consumers(str(given))
    except ValueError:
        told = 'consumers is "required", or "none" if nothing here needs to read the value'
        raise InvalidInputError(told) from None


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
    if given is None or (isinstance(given, str) and 0 < len(given) <= 200 and given.isprintable()):
        return given or None
    raise InvalidInputError(f"{name} is a name of 1 to 200 printable characters")


def _check_settings(_: str, given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InvalidInputError("settings is an object: the rotator's settings by name")
    for number, (path, value) in enumerate(_walk(given, "settings", depth=0)):
        if number >= _PARTS_MAX:
            raise InvalidInputError(f"settings have more than {_PARTS_MAX} parts: that cannot be intended")
        if isinstance(value, float) and not isfinite(value):
            raise InvalidInputError(f"{path} is {value}: write a number that is finite")
        if not isinstance(value, Mapping | list | tuple | str | int | float | None):
            raise InvalidInputError(f"{path} is a {type(value).__name__}: write it as text, in quotes")
    return given


def _walk(given: object, path: str, *, depth: int) -> Iterator[tuple[str, object]]:
    """Every part of it, with where it stands: lists and objects before what is in them."""
    if depth > _DEPTH_MAX:
        raise InvalidInputError("settings are nested too deeply")
    yield path, given
    if isinstance(given, Mapping):
        for name, part in given.items():
            yield from _walk(part, f"{path}.{show_name(name)}", depth=depth + 1)
    elif isinstance(given, list | tuple):
        for number, part in enumerate(given):
            yield from _walk(part, f"{path}[{number}]", depth=depth + 1)


def show_name(name: object) -> str:
    """A name that somebody wrote, for a message on one line."""
    text = str(name)
    return text if len(text) <= _SHOWN_MAX and text.isprintable() else repr(text[:_SHOWN_MAX])


def _list(names: Collection[str]) -> str:
    more = f" and {len(names) - _LISTED_MAX} more" if len(names) > _LISTED_MAX else ""
    return ", ".join(map(show_name, sorted(names)[:_LISTED_MAX])) + more


def _parse_thresholds(_: str, given: object) -> tuple[int, ...]:
    if isinstance(given, list) and given and all(type(days) is int for days in given):
        if max(given) > _DAYS_MAX:
            raise InvalidInputError(f"thresholds of more than {_DAYS_MAX} days cannot be intended")
        return tuple(sorted(set(given), reverse=True))
    raise InvalidInputError("thresholds is a list of whole days before expiry, such as [30, 14, 7]")


def _parse_answers(_: str, given: object) -> int | None:
    if given is None:
        return None
    if type(given) is int and 1 <= given <= _ANSWERS_MAX:
        return given
    raise InvalidInputError(f"answers is a whole number of good answers in a row, 1 to {_ANSWERS_MAX}")


_READ: dict[str, Callable[[str, object], Any]] = {
    "mode": _parse_mode,
    "rotator": _check_rotator,
    "settings": _check_settings,
    "lifetime": _parse_length,
    "lead": _parse_duration,
    "spread": _parse_length,
    "overlap": _parse_duration,
    "idle_after": _parse_duration,
    "thresholds": _parse_thresholds,
    "windows": _check_windows,
    "freezes": _check_windows,
    "expiry_first": _check_switch,
    "canary": _check_text,
    "four_eyes": _check_switch,
    "approval": _parse_duration,
    "pickup": _parse_duration,
    "urgent": _check_switch,
    "propagation": _parse_duration,
    "answers": _parse_answers,
    "renew": _check_switch,
    "target": _check_text,
    "consumers": _parse_consumers,
    "copy_of": _check_text,
}
"""How each part of a policy is read from what somebody wrote."""
PART_NAMES: tuple[str, ...] = tuple(_READ)
"""As they are written, in the order in which one asks."""
FORMER_NAMES = {"claim": "pickup", "settle": "propagation", "counterpart": "target"}
"""Parts that had another name: files of then are read, too."""
