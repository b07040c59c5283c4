"""Liquid text → the items that it names, by static analysis: nothing is rendered here. Pure.

`{{ vault.NAME }}`, `{{ vault['api-key:x'] }}`, `{{ vault["My App's key"] }}`, and in a header a bare
`vlt_…`. Text whose items cannot all be told in advance is refused: nobody could be warned before such an
item changes. `find_uses` is strict, for what is rendered here; `find_named` reads whatever there is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liquid import Environment
from liquid.exceptions import LiquidError
from liquid.static_analysis import TemplateAnalysis, Variable
from liquid.template import BoundTemplate

from vaultcore.errors import InvalidInputError
from vaultcore.markup import Piece, PieceKind, split_markup
from vaultcore.rules import check_written, is_item_id, is_written

VAULT = "vault"
TEXT_MAX = 100_000
"""Characters of one template."""

_LOADING_TAGS = ("include", "render", "extends", "block", "import", "macro", "call", "snippet")
_BARE_ID = re.compile(r"(?<![0-9A-Za-z_-])vlt_[0-9a-hjkmnp-tv-z]{26}(?![0-9A-Za-z_-])")
_LOOSE = re.compile(r"\bvault\.([^\"\[\]{}|%]{1,80}?)\s*(?:\||-?[%}]\})")
"""A name after `vault.`, with all that stands before the next filter or the end."""
_PLAIN = re.compile(
    r"""\{\{-?\s*vault(?:\.(?P<dotted>[A-Za-z_][0-9A-Za-z_-]*(?<!-))|\[(?P<quote>['"])(?P<quoted>[^'"\\]+)(?P=quote)\])\s*-?\}\}""",
    re.ASCII,
)
_PROBLEMS_MAX = 50
"""How many names of one text that no item can have are told."""
_PIECES_MAX = 2000
"""In how many pieces of a text the one that is no Liquid is looked for."""
_WRITTEN_OUT = re.compile(
    r"""(?<![\w'"-])(?:(?<!\.)|(?<=\.\.))vault\s*(?:\.\s*(?P<dotted>[A-Za-z_][\w-]*)|\[\s*(?P<quote>['"])(?P<quoted>[^"]{1,60}?)(?P=quote)\s*\])"""
    r"""|(?P<literal>'[^']*'|"[^"]*")|(?<![\w'"-])(?:(?<!\.)|(?<=\.\.))(?P<alone>vault)(?![\w'"-])"""
)
"""In markup that no parser of ours takes: an item as it is written out, a text in quotes, `vault` by itself."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """One item that a text names: by name or by id; the other is None."""

    name: str | None = None
    item_id: str | None = None

    @property
    def written(self) -> str:
        """The name or id, as the text has it."""
        return self.name or self.item_id or ""


class ClosedEnvironment(Environment):
    """Liquid without the tags that load another template."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in _LOADING_TAGS:
            self.tags.pop(tag, None)


_environment = ClosedEnvironment()


class UntoldError(InvalidInputError):
    """A text takes `vault` in a way from which the item cannot be told in advance."""


class ForeignError(InvalidInputError):
    """A template that another engine may well take, and that is not rendered here."""


class NoSuchNameError(InvalidInputError):
    """A text names an item by what no item's name can be."""


@dataclass(frozen=True, kw_only=True)
class Named:
    """What a text names: items, and the names that none can have, each with the reason."""

    uses: tuple[Use, ...] = ()
    impossible: tuple[str, ...] = ()


def find_uses(text: str, *, header: bool = False) -> tuple[Use, ...]:
    """The items that the text names, in order and without doubles.

    Raises `InvalidInputError`, one line with the position, for text that is no Liquid, that loads
    other templates, or that takes `vault` in a way from which the item cannot be told.
    """
    check_length(text)
    template, analysis = parse(expand_ids(text) if header else text, _environment)
    return uses_in(template, analysis)


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
    found += [Use(item_id=found_id) for part in shown for found_id in _BARE_ID.findall(part)]
    return Named(
        uses=tuple(dict.fromkeys(use for use in found if isinstance(use, Use))),
        impossible=tuple(dict.fromkeys(problem for problem in found if isinstance(problem, str))),
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


def expand_ids(text: str) -> str:
    """The text with each bare item id outside markup written as `{{ vault['vlt_…'] }}`.

    Only ids in the template itself are meant: one that arrives in data is never looked up.
    """
    if "vlt_" not in text:
        return text
    return "".join(
        _BARE_ID.sub(_as_markup, piece.text) if piece.kind is PieceKind.TEXT else piece.text
        for piece in split_markup(text)
    )


def parse(text: str, environment: Environment) -> tuple[BoundTemplate, TemplateAnalysis]:
    """The parsed template with what it names; `InvalidInputError` for what is no Liquid."""
    try:
        return _parse(text, environment)
    except Exception as error:  # noqa: BLE001  # whatever the parser stumbles over is no template
        problem = error
    at = _find_problem(text, problem, environment)
    where = _position(problem) or _line_and_column(text, at.start if at else 0)
    line = f"{where}: {_suggest_quotes(at.text if at else '') or _say(problem)}"
    raise ForeignError(line) if _has_other_tag(problem) else InvalidInputError(line)


def _parse(text: str, environment: Environment) -> tuple[BoundTemplate, TemplateAnalysis]:
    template = environment.from_string(text)
    return template, template.analyze(include_partials=False)


def check_length(text: str) -> None:
    """`InvalidInputError` for a template that is too long to be rendered."""
    if len(text) > TEXT_MAX:
        raise ForeignError(f"the template has {len(text)} characters: {TEXT_MAX} at most, so split it")


def uses_in(template: BoundTemplate, analysis: TemplateAnalysis) -> tuple[Use, ...]:
    """The items that a parsed template names, in order, without doubles; `InvalidInputError` as `find_uses`."""
    return tuple(dict.fromkeys(_read_variable(one, template) for one in _find_variables(template, analysis)))


def _find_variables(template: BoundTemplate, analysis: TemplateAnalysis) -> list[Variable]:
    """Where the template takes `vault`; `UntoldError` where it may do so under another name."""
    for found in analysis.variables.values():
        for variable in found:
            if not isinstance(variable.segments[0], str):
                where = _where(_source(template), variable)
                raise UntoldError(f"{where}: {variable} chooses a variable while it runs: write its name")
    named = sorted(analysis.variables.get(VAULT, []), key=lambda variable: variable.span.index)
    hidden = len(named) != len(analysis.globals.get(VAULT, []))
    if hidden or VAULT in analysis.locals:
        raise UntoldError(
            "line 1, column 1: the template makes a variable of its own named vault: choose another name"
        )
    return named


def _read_variable(variable: Variable, template: BoundTemplate) -> Use:
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
    raise UntoldError(f"{_where(_source(template), variable)}: {_one_line(problem)}")


def _read_name(name: str, template: BoundTemplate, variable: Variable) -> Use:
    if is_item_id(name):
        return Use(item_id=name)
    try:
        return Use(name=check_written(name))
    except InvalidInputError as error:
        problem = str(error)
    raise NoSuchNameError(f"{_where(_source(template), variable)}: {_one_line(problem)}")


def find_plain(text: str) -> tuple[Use, ...] | None:
    """The items of a text whose markup does nothing but to name one each, as most do; None: it does more, or
    another thing, or holds a bare id.
    """
    if "vlt_" in text or "{" not in text:
        return None
    found = _find_plain(list(split_markup(text)))
    return None if found is None else tuple(dict.fromkeys(found))


def _find_in_markup(text: str, pieces: list[Piece]) -> list[Use | str]:
    """Items, and in their place the reason where none can have that name."""
    plain = _find_plain(pieces)
    if plain is not None:
        return [*plain]
    found: list[Use | str] = []
    markup = [piece for piece in pieces if piece.kind in (PieceKind.OUTPUT, PieceKind.TAG)]
    if all(piece.kind is PieceKind.OUTPUT for piece in markup):  # none has a say in what another means
        markup = list({piece.text: piece for piece in reversed(markup)}.values())[::-1]
    try:
        template, analysis = _parse("".join(piece.text for piece in markup), _environment)
    except Exception:  # noqa: BLE001  # no Liquid of ours
        named = [piece for piece in markup if VAULT in piece.text]
    else:
        found = _find_in_template(text, template, analysis)
        # The analysis does not look into ranges.
        named = [piece for piece in markup if ".." in piece.text and VAULT in piece.text]
    return found + [one for piece in named for one in _find_written_out(text, piece)]


def _find_in_template(text: str, template: BoundTemplate, analysis: TemplateAnalysis) -> list[Use | str]:
    """What the markup of a text names; where something is wrong with that, by its place in the text."""
    try:
        found = _read_variables(_find_variables(template, analysis), template)
    except UntoldError:
        found = [""]
    if all(isinstance(one, Use) for one in found):
        return found
    template, analysis = _parse(text, _environment)
    return _read_variables(_find_variables(template, analysis), template)


def _read_variables(variables: list[Variable], template: BoundTemplate) -> list[Use | str]:
    found: list[Use | str] = []
    problems = 0
    for variable in variables:
        if problems >= _PROBLEMS_MAX and not _can_be_named(variable):
            continue
        try:
            found.append(_read_variable(variable, template))
        except NoSuchNameError as error:
            problems += 1
            found.append(str(error))
    return found


def _can_be_named(variable: Variable) -> bool:
    name = variable.segments[1] if len(variable.segments) == 2 else None
    return not isinstance(name, str) or is_item_id(name) or is_written(name)


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


def _find_written_out(text: str, piece: Piece) -> list[Use | str]:
    found: list[Use | str] = []
    for match in _WRITTEN_OUT.finditer(piece.text):
        if match["literal"] is not None:
            continue
        name = match["dotted"] or match["quoted"]
        if name is None:
            where = _line_and_column(text, piece.start + match.start())
            raise UntoldError(f"{where}: which item is meant cannot be told: write {{{{ vault['NAME'] }}}}")
        if is_item_id(name):
            found.append(Use(item_id=name))
            continue
        try:
            found.append(Use(name=check_written(name)))
        except InvalidInputError as error:
            where = _line_and_column(text, piece.start + match.start())
            found.append(f"{where}: {_one_line(str(error))}")
    return found


def _find_problem(text: str, problem: Exception, environment: Environment) -> Piece | None:
    """The piece of markup that is no Liquid: where the parser says, else the first that is none by itself."""
    tried = 0
    index = _index_of(problem)
    for piece in split_markup(text):
        if piece.kind not in (PieceKind.OUTPUT, PieceKind.TAG):
            continue
        if index is not None:
            if piece.start <= index < piece.start + len(piece.text):
                return piece
            continue
        tried += 1
        if tried > _PIECES_MAX:
            return None
        try:
            _parse(piece.text, environment)
        except Exception:  # noqa: BLE001  # as everywhere here
            return piece
    return None


def _index_of(problem: Exception) -> int | None:
    token = problem.token if isinstance(problem, LiquidError) and _position(problem) else None
    return None if token is None else token.start_index


def _has_other_tag(problem: Exception) -> bool:
    """The end of a tag that was never begun is no tag of another engine."""
    message = str(problem.message or "") if isinstance(problem, LiquidError) else ""
    return message.startswith("unexpected tag '") and not message.startswith("unexpected tag 'end")


def _say(problem: Exception) -> str:
    if not isinstance(problem, LiquidError):
        return f"the template cannot be read ({type(problem).__name__})"
    message = str(problem.message or type(problem).__name__)
    for tag in _LOADING_TAGS:
        if message == f"unexpected tag '{tag}'":
            return f"tag '{tag}' loads another template: write its text here"
    return _one_line(message)


def _suggest_quotes(markup: str) -> str | None:
    """How the item is written that this markup seems to mean; None: it is something else that is wrong."""
    found = _LOOSE.search(markup)
    name = "" if found is None else found[1].strip()
    try:
        check_written(name)
    except InvalidInputError:
        return None
    quote = '"' if "'" in name else "'"
    return f"a name with such characters is written in quotes: {{{{ {VAULT}[{quote}{name}{quote}] }}}}"


def _position(problem: Exception) -> str | None:
    if not isinstance(problem, LiquidError):
        return None
    try:
        context = problem.context()
    except ValueError:  # an error at the very end of the text
        return None
    return None if context is None else f"line {context[0]}, column {context[1] + 1}"


def _as_markup(found: re.Match[str]) -> str:
    return f"{{{{ {VAULT}['{found[0]}'] }}}}"


def _source(template: BoundTemplate) -> str:
    tokens: list[Any] = [node.token for node in template.nodes]
    return str(tokens[0].source) if tokens else ""


def _where(text: str, variable: Variable) -> str:
    return _line_and_column(text, variable.span.index)


def _line_and_column(text: str, index: int) -> str:
    return f"line {text.count(chr(10), 0, index) + 1}, column {index - text.rfind(chr(10), 0, index)}"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
