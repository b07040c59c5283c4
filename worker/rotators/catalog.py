"""Finds rotators by entry point, and checks settings against what each declares."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Final

from pydantic import ValidationError

from vaultcore.errors import ConfigurationError, InvalidInputError, NightkeyError
from vaultcore.model import Mode, Policy
from worker.domain.policies import show_name
from worker.rotators.base import Rotator, RotatorSettings, asks_nobody, sets_anew

GROUP = "nightkey.rotators"
_KEPT: Final = 128
"""Of how many policies the settings are kept: each step of a rotation asks for its own."""
ACCOUNT_MAX = 600
"""Characters that are kept of what an item changes."""


def rotator_names() -> list[str]:
    return sorted(_found())


def find_rotator(name: str) -> Rotator:
    """The rotator of that name, made anew; it holds no state between calls, and may lack a package."""
    if name not in _found():
        raise InvalidInputError(explain_unknown(name))
    try:
        made: Rotator = _load(name)()
    except ImportError as error:
        missing = error.name or "a package"
        raise ConfigurationError(f"rotator {name} cannot be loaded: {missing} is not installed") from None
    return made


def explain_unknown(name: str) -> str:
    return f"no rotator {name[:60]!r}: there are {', '.join(rotator_names())}"


def explain_missing(name: str) -> str | None:
    """What must be installed before it can work; None: nothing."""
    return _explain_missing(name, find_rotator(name).needs)


def _explain_missing(name: str, needs: tuple[str, str] | None) -> str | None:
    if needs is None or find_spec(needs[0]) is not None:
        return None
    return f"rotator {name} needs {needs[0]}: pip install 'nightkey[{needs[1]}]'"


def load_rotator(name: str) -> Rotator:
    """The rotator, ready to work; `ConfigurationError` if a package of its own is missing."""
    rotator = find_rotator(name)
    missing = _explain_missing(name, rotator.needs)
    if missing is not None:
        raise ConfigurationError(missing)
    return rotator


_OF_PARTS: Final = "it has parts: write it as an object in a file, --policy FILE"
_SAID: Final = {
    "extra_forbidden": "there is no such setting",
    "missing": "it is required, and missing",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "string_type": "write a text",
    "model_type": _OF_PARTS,
    "dict_type": _OF_PARTS,
}
"""A validator's messages as a person reads them, by their kind."""


def parse_settings(name: str, given: Mapping[str, Any]) -> RotatorSettings:
    """The settings, checked; the error names the rotator and the field, never what was given. Who asks for the
    same ones again is given the same object.
    """
    settings = load_rotator(name).Settings
    try:
        return _parse(settings, given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(show_name(part) for part in first["loc"])
        said = _SAID.get(first["type"], first["msg"]).removeprefix("Value error, ")
        problem = f"{field}: {said}" if field else said  # what fits no single one names it itself
    raise InvalidInputError(f"rotator {name}, setting {problem}")


def _parse(settings: type[RotatorSettings], given: Mapping[str, Any]) -> RotatorSettings:
    try:
        text = json.dumps(dict(given))
    except (TypeError, ValueError, RecursionError):  # it is no JSON, and so was not stored
        text = None
    return settings.model_validate(dict(given)) if text is None else _parse_kept(settings, text)


@lru_cache(maxsize=_KEPT)
def _parse_kept(settings: type[RotatorSettings], text: str) -> RotatorSettings:
    return settings.model_validate(json.loads(text))


def foreign_settings(name: str, given: Mapping[str, Any]) -> list[str]:
    """Which of these settings the rotator does not know, by name."""
    settings = load_rotator(name).Settings
    if settings.model_config.get("extra") != "forbid":
        return []
    known = {key for name, field in settings.model_fields.items() for key in (name, field.alias)}
    return sorted(set(given) - known)


def find_target(policy: Policy) -> str | None:
    """Whom an item's rotator talks to: as the policy names it, else as the rotator does. None: nobody, or
    its settings are wrong, which the rotation itself will say.
    """
    if policy.target is not None or policy.rotator is None:
        return policy.target
    try:
        rotator = load_rotator(policy.rotator)
        return rotator.target(parse_settings(policy.rotator, policy.settings))
    except NightkeyError:
        return None


def explain_overlap(policy: Policy) -> str | None:
    """Whether the old value works beside the new one until that is proven, as far as it can be known before the
    first rotation; None: nothing is replaced, nobody is asked, or its settings are wrong.
    """
    if policy.mode is Mode.NOTIFY or policy.rotator is None:
        return None
    try:
        rotator = load_rotator(policy.rotator)
        settings = parse_settings(policy.rotator, policy.settings)
    except NightkeyError:
        return None
    if asks_nobody(rotator, settings):
        return None
    if not rotator.overlaps(settings):
        return "the old value stops working when the new one is there"
    if rotator.issues:
        return "the old value works on beside the new one, as its policy says; it is asked after each issue"
    return "the old value works on beside the new one"


def explain_first(policy: Policy) -> str | None:
    """Why a value that another hand issued could not be retired, as far as that can be known before the first
    rotation; None: it can, nothing is replaced, or its settings are wrong.
    """
    if policy.mode is Mode.NOTIFY or policy.rotator is None or policy.copy_of is not None:
        return None
    try:
        explain = getattr(load_rotator(policy.rotator), "explain_first", None)
        said = None if explain is None else explain(parse_settings(policy.rotator, policy.settings))
    except NightkeyError:
        return None
    return None if said is None else str(said)


def can_set_anew(policy: Policy) -> bool:
    """Whether its rotator can put a new value in the place of one that is refused, by its settings."""
    if policy.mode is Mode.NOTIFY or policy.rotator is None or policy.copy_of is not None:
        return False
    try:
        return sets_anew(load_rotator(policy.rotator), parse_settings(policy.rotator, policy.settings))
    except NightkeyError:
        return False


def can_ask(policy: Policy) -> bool:
    """Whether its rotator could ask another side if a value works; True too where its settings are wrong, which
    the question itself will say.
    """
    if policy.rotator is None:
        return False
    try:
        return not asks_nobody(load_rotator(policy.rotator), parse_settings(policy.rotator, policy.settings))
    except NightkeyError:
        return True


def works_beside(policy: Policy, rotator: str) -> bool:
    """Whether the old value works beside the new one, as settings say it; True where they cannot be read."""
    try:
        return load_rotator(rotator).overlaps(parse_settings(rotator, policy.settings))
    except NightkeyError:
        return True


def find_accounts(policy: Policy) -> frozenset[str]:
    """What an item's rotator changes on the other side where that has room for one credential, with the name
    that the rotator has for that side: the policy's may stand for many servers. Nothing: there is no such
    thing, it cannot be told, or its settings are wrong.
    """
    if policy.rotator is None:
        return frozenset()
    try:
        rotator = load_rotator(policy.rotator)
        settings = parse_settings(policy.rotator, policy.settings)
        where = rotator.target(settings)
        name = getattr(rotator, "accounts", None)
        names = () if name is None else name(settings)
    except NightkeyError:
        return frozenset()
    if where is None:
        return frozenset()
    return frozenset(f"{where.lower()} {one}"[:ACCOUNT_MAX] for one in names)


@cache
def _load(name: str) -> Any:  # noqa: ANN401  # a class of anybody's
    return _found()[name].load()


@cache
def _found() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
