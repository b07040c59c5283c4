"""The items that any text names, whatever is to become of it, in Liquid of ours or of another engine. Pure.

What is rendered here is read strictly, by `vaultcore.references`; nothing that this finds is missed there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from liquid.static_analysis import TemplateAnalysis, Variable
from liquid.template import BoundTemplate

from vaultcore.errors import InvalidInputError
from vaultcore.liquid_text import VAULT, find_constants, on_one_line, parse_plainly, show_place
from vaultcore.markup import Piece, PieceKind, split_markup
from vaultcore.references import (
    BARE_ID,
    ENVIRONMENT,
    NoSuchNameError,
    UntoldError,
    Use,
    find_variables,
    read_variable,
)
from vaultcore.rules import check_written, is_item_id, is_written

_PLAIN = re.compile(
    r"""\{\{-?\s*vault(?:\.(?P<dotted>[A-Za-z_][0-9A-Za-z_-]*(?<!-))|\[(?P<quote>['"])(?P<quoted>[^'"\\]+)(?P=quote)\])\s*-?\}\}""",
    re.ASCII,
)
_PROBLEMS_MAX = 50
"""How many names of one text that no item can have are told."""
_WRITTEN_OUT = re.compile(
    r"""(?<![\w'"-])(?:(?<!\.)|(?<=\.\.))vault\s*(?:\.\s*(?P<dotted>[A-Za-z_][\w-]*)|\[\s*(?P<quote>\\?['"])(?P<quoted>[^"\\]{1,60}?)(?P=quote)\s*\])"""
    r"""|(?P<literal>'[^']*'|"[^"]*")|(?<![\w'"-])(?:(?<!\.)|(?<=\.\.))(?P<alone>vault)(?![\w'"-])"""
)
"""In markup that no parser of ours takes: an item as it is written out, a text in quotes, `vault` by itself."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a text names: items, and the names that none can have, each with the reason."""

    uses: tuple[Use, ...] = ()
    impossible: tuple[str, ...] = ()


def find_named(text: str) -> Named:
    """The items that any text names, whatever is to become of it: as `find_uses` does, and bare ids wherever
    they stand. Where it is no Liquid of ours it is read piece by piece.

    Raises `UntoldError` where an item cannot be told.
    """
    if VAULT not in text and "vlt_" not in text:
        return Named()
    pieces = list(split_markup(text))
    found: list[Use | str] = []
    if any(VAULT in piece.text for piece in pieces if piece.kind in (PieceKind.OUTPUT, PieceKind.TAG)):
        found += _find_in_markup(text, pieces)
    shown = [piece.text for piece in pieces if piece.kind is not PieceKind.KEPT]
    found += [Use(item_id=found_id) for part in shown for found_id in BARE_ID.findall(part)]
    return Named(
        uses=tuple(dict.fromkeys(use for use in found if isinstance(use, Use))),
        impossible=tuple(dict.fromkeys(problem for problem in found if isinstance(problem, str))),
    )


def find_plain(text: str) -> tuple[Use, ...] | None:
    """The items of a text whose markup does nothing but to name one each, as most do; None: it does more, or
    another thing, or holds a bare id.
    """
    if "vlt_" in text or "{" not in text:
        return None
    found = _find_plain(list(split_markup(text)))
    return None if found is None else tuple(dict.fromkeys(found))


def _find_plain(pieces: list[Piece]) -> list[Use] | None:
    found: list[Use] = []
    for piece in pieces:
        if piece.kind is PieceKind.TEXT:
            continue
        match = _PLAIN.fullmatch(piece.text) if piece.kind is PieceKind.OUTPUT else None
        if match is None:
            return None
        name = match["dotted"] or match["quoted"]
        try:
            found.append(Use(item_id=name) if is_item_id(name) else Use(name=check_written(name)))
        except InvalidInputError:
            return None
    return found


def _find_in_markup(text: str, pieces: list[Piece]) -> list[Use | str]:
    """Items, and in their place the reason where none can have that name."""
    plain = _find_plain(pieces)
    if plain is not None:
        return [*plain]
    found: list[Use | str] = []
    markup = [piece for piece in pieces if piece.kind in (PieceKind.OUTPUT, PieceKind.TAG)]
    alone = all(piece.kind is PieceKind.OUTPUT for piece in markup)
    if alone:  # none has a say in what another means
        markup = _each_once(markup)
    try:
        template, analysis = parse_plainly("".join(piece.text for piece in markup), ENVIRONMENT)
    except Exception:  # noqa: BLE001  # no Liquid of ours
        named = _each_once([piece for piece in markup if VAULT in piece.text])
    else:
        found = _find_in_template(text, markup if alone else None, template, analysis)
        # The analysis does not look into ranges.
        named = [piece for piece in markup if ".." in piece.text and VAULT in piece.text]
    return found + [one for piece in named for one in _find_written_out(text, piece)]


def _each_once(pieces: list[Piece]) -> list[Piece]:
    """Where each text first stands."""
    first: dict[str, Piece] = {}
    for piece in pieces:
        first.setdefault(piece.text, piece)
    return list(first.values())


def _find_in_template(
    text: str, pieces: list[Piece] | None, template: BoundTemplate, analysis: TemplateAnalysis
) -> list[Use | str]:
    """What the markup of a text names; where something is wrong with that, by its place in the text. `pieces`,
    where each of them stands for itself.
    """
    found: list[Use | str] = []
    untold: UntoldError | None = None
    try:
        found = _read_variables(template, analysis)
    except UntoldError as error:
        untold = error
    if untold is None and all(isinstance(one, Use) for one in found):
        return found
    if pieces is not None:
        return [one for one in found if isinstance(one, Use)] + _locate(text, pieces)
    try:
        whole = parse_plainly(text, ENVIRONMENT)
    except Exception:  # noqa: BLE001  # with what stands beside the markup it is none: told by its place in that
        whole = None
    if whole is not None:
        return _read_variables(*whole)
    if untold is not None:
        raise untold
    return found


def _locate(text: str, pieces: list[Piece]) -> list[Use | str]:
    """The names that none can have, by their places; `UntoldError` for the first item that cannot be told."""
    problems: list[Use | str] = []
    for piece in pieces:
        if len(problems) >= _PROBLEMS_MAX:
            break
        line = text.count("\n", 0, piece.start)
        column = piece.start - text.rfind("\n", 0, piece.start) - 1
        placed = "\n" * line + " " * column + piece.text
        problems += [
            one for one in _read_variables(*parse_plainly(placed, ENVIRONMENT)) if isinstance(one, str)
        ]
    return problems


def _read_variables(template: BoundTemplate, analysis: TemplateAnalysis) -> list[Use | str]:
    found: list[Use | str] = []
    problems = 0
    constants: Mapping[str, frozenset[str] | None] | None = None
    for variable in find_variables(template, analysis):
        chosen = _chosen_by(variable)
        if chosen is not None:
            constants = find_constants(template) if constants is None else constants
            names = constants.get(chosen)
            if names is not None and all(is_item_id(name) or is_written(name) for name in names):
                found += [Use(item_id=n) if is_item_id(n) else Use(name=n) for n in sorted(names)]
                continue
        if problems >= _PROBLEMS_MAX and not _can_be_named(variable):
            continue
        try:
            found.append(read_variable(variable, template))
        except NoSuchNameError as error:
            problems += 1
            found.append(str(error))
    return found


def _chosen_by(variable: Variable) -> str | None:
    """Of `vault[name]` the variable that holds the name."""
    match variable.segments:
        case [_, [str() as name]]:
            return name
    return None


def _can_be_named(variable: Variable) -> bool:
    name = variable.segments[1] if len(variable.segments) == 2 else None
    return not isinstance(name, str) or is_item_id(name) or is_written(name)


def _find_written_out(text: str, piece: Piece) -> list[Use | str]:
    found: list[Use | str] = []
    problems = 0
    for match in _WRITTEN_OUT.finditer(piece.text):
        if match["literal"] is not None:
            continue
        name = match["dotted"] or match["quoted"]
        if name is None:
            where = show_place(text, piece.start + match.start())
            raise UntoldError(f"{where}: which item is meant cannot be told: write {{{{ vault['NAME'] }}}}")
        if is_item_id(name):
            found.append(Use(item_id=name))
            continue
        try:
            found.append(Use(name=check_written(name)))
        except InvalidInputError as error:
            problems += 1
            if problems > _PROBLEMS_MAX:
                continue
            where = show_place(text, piece.start + match.start())
            found.append(f"{where}: {on_one_line(str(error))}")
    return found
