"""Liquid text → the items that it names, by static analysis. Pure.

`{{ vault.NAME }}`, `{{ vault['api-key:x'] }}`, `{{ vault["My App's key"] }}`, and in a header a bare
`vlt_…`. Text whose items cannot all be told in advance is refused: nobody could be warned before such an
item changes. This is for what is rendered here; `vaultcore.named` reads whatever there is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from liquid.static_analysis import TemplateAnalysis, Variable
from liquid.template import BoundTemplate

from vaultcore.errors import InvalidInputError
from vaultcore.liquid_text import VAULT, ClosedEnvironment, check_length, locate, on_one_line, parse
from vaultcore.markup import PieceKind, split_markup
from vaultcore.rules import check_written, is_item_id

BARE_ID: Final = re.compile(r"(?<![0-9A-Za-z_-])vlt_[0-9a-hjkmnp-tv-z]{26}(?![0-9A-Za-z_-])")
ENVIRONMENT: Final = ClosedEnvironment()


@dataclass(frozen=True, kw_only=True)
class Use:
    """One item that a text names: by name or by id; the other is None."""

    name: str | None = None
    item_id: str | None = None

    @property
    def written(self) -> str:
        """The name or id, as the text has it."""
        return self.name or self.item_id or ""


class UntoldError(InvalidInputError):
    """A text takes `vault` in a way from which the item cannot be told in advance."""


class NoSuchNameError(InvalidInputError):
    """A text names an item by what no item's name can be."""


def find_uses(text: str, *, header: bool = False) -> tuple[Use, ...]:
    """The items that the text names, in order and without doubles.

    Raises `InvalidInputError`, one line with the position, for text that is no Liquid, that loads
    other templates, or that takes `vault` in a way from which the item cannot be told.
    """
    check_length(text)
    template, analysis = parse(expand_ids(text) if header else text, ENVIRONMENT)
    return uses_in(template, analysis)


def uses_in(template: BoundTemplate, analysis: TemplateAnalysis) -> tuple[Use, ...]:
    """The items that a parsed template names, in order, without doubles; `InvalidInputError` as `find_uses`."""
    return tuple(dict.fromkeys(read_variable(one, template) for one in find_variables(template, analysis)))


def find_variables(template: BoundTemplate, analysis: TemplateAnalysis) -> list[Variable]:
    """Where the template takes `vault`; `UntoldError` where it may do so under another name."""
    for found in analysis.variables.values():
        for variable in found:
            if not isinstance(variable.segments[0], str):
                where = locate(template, variable)
                raise UntoldError(f"{where}: {variable} chooses a variable while it runs: write its name")
    named = sorted(analysis.variables.get(VAULT, []), key=lambda variable: variable.span.index)
    hidden = len(named) != len(analysis.globals.get(VAULT, []))
    if hidden or VAULT in analysis.locals:
        raise UntoldError(
            "line 1, column 1: the template makes a variable of its own named vault: choose another name"
        )
    return named


def read_variable(variable: Variable, template: BoundTemplate) -> Use:
    problem = ""
    match variable.segments:
        case [_, str() as name]:
            return _read_name(name, template, variable)
        case [_]:
            problem = "vault is taken whole: name one item, {{ vault.NAME }}"
        case [_, str() as name, *_]:
            problem = f"vault.{name} has nothing inside: an item is one value"
        case _:
            problem = f"{variable} chooses an item while it runs: name it, {{{{ vault['NAME'] }}}}"
    raise UntoldError(f"{locate(template, variable)}: {on_one_line(problem)}")


def _read_name(name: str, template: BoundTemplate, variable: Variable) -> Use:
    if is_item_id(name):
        return Use(item_id=name)
    try:
        return Use(name=check_written(name))
    except InvalidInputError as error:
        problem = str(error)
    raise NoSuchNameError(f"{locate(template, variable)}: {on_one_line(problem)}")


def expand_ids(text: str) -> str:
    """The text with each bare item id outside markup written as `{{ vault['vlt_…'] }}`.

    Only ids in the template itself are meant: one that arrives in data is never looked up.
    """
    if "vlt_" not in text:
        return text
    return "".join(
        BARE_ID.sub(_as_markup, piece.text) if piece.kind is PieceKind.TEXT else piece.text
        for piece in split_markup(text)
    )


def texts_in(data: object) -> list[str]:
    """Every string inside a JSON-like structure, keys left out."""
    if isinstance(data, str):
        return [data]
    if isinstance(data, Mapping):
        return [text for part in data.values() for text in texts_in(part)]
    if isinstance(data, list | tuple):
        return [text for part in data for text in texts_in(part)]
    return []


def _as_markup(found: re.Match[str]) -> str:
    return f"{{{{ {VAULT}['{found[0]}'] }}}}"
