"""Liquid text → the items that it names, by static analysis: nothing is ever rendered here. Pure.

`{{ vault.NAME }}`, `{{ vault['api-key:x'] }}`, and in a header a bare `vlt_…`. A template whose items
cannot be told in advance is refused, since nobody could be warned before such an item changes.
"""

import re
from dataclasses import dataclass

from liquid import Environment
from liquid.exceptions import LiquidError

from vaultcore.errors import InvalidInputError
from vaultcore.rules import check_name

_ROOT = "vault"
_LOADING_TAGS = frozenset({"include", "render", "extends", "block"})
_BARE_ID = re.compile(r"(?<![0-9A-Za-z_])vlt_[0-9a-hjkmnp-tv-z]{26}(?![0-9A-Za-z_])")
_TEXT_MAX = 100_000

_environment = Environment()


@dataclass(frozen=True, kw_only=True)
class Use:
    """One item that a text names: by name or by id, the other is None."""

    name: str | None = None
    item_id: str | None = None


def find_uses(text: str, *, header: bool = False) -> tuple[Use, ...]:
    """The items that the text names, in order and without doubles.

    Raises `InvalidInputError`, one line, for text that is no Liquid, that loads other templates,
    or that takes `vault` in a way from which the item cannot be told.
    """
    uses = [Use(name=name) for name in _named(text)]
    if header:
        uses += [Use(item_id=found) for found in bare_ids(text)]
    return tuple(dict.fromkeys(uses))


def bare_ids(text: str) -> list[str]:
    """Item ids that stand alone in the text."""
    return _BARE_ID.findall(text)


def replace_bare_ids(text: str, values: dict[str, str]) -> str:
    """The text with each id that is known replaced by its value."""
    return _BARE_ID.sub(lambda found: values.get(found[0], found[0]), text)


def _named(text: str) -> list[str]:
    if len(text) > _TEXT_MAX:
        raise InvalidInputError(f"the template is longer than {_TEXT_MAX} characters")
    if "{{" not in text and "{%" not in text:
        return []
    problem = ""
    try:
        analysis = _environment.from_string(text).analyze(include_partials=False)
    except (LiquidError, RecursionError) as error:
        problem = str(error).split("\n", 1)[0] or type(error).__name__
    if problem:
        raise InvalidInputError(f"the template is no Liquid: {problem}")
    loading = sorted(_LOADING_TAGS & set(analysis.tags))
    if loading:
        raise InvalidInputError(f"the template loads others ({loading[0]}): that is not allowed")
    return [_name_in(variable.segments) for variable in analysis.variables.get(_ROOT, [])]


def _name_in(segments: object) -> str:
    match segments:
        case [_, str() as name]:
            return check_name(name)
        case [_]:
            raise InvalidInputError(
                "the template takes all of vault, so its items cannot be told in advance: "
                "write {{ vault.NAME }}"
            )
        case [_, str() as name, *_]:
            raise InvalidInputError(
                f"the template looks inside vault.{name}: an item is one value, write {{{{ vault.{name} }}}}"
            )
        case _:
            raise InvalidInputError(
                "the template chooses an item while it runs, so it cannot be told in advance: "
                "write {{ vault['NAME'] }}"
            )
