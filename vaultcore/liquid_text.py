"""Liquid text, parsed or refused with the place where it is none. Nothing is rendered here. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from liquid import Environment, RenderContext
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions.filtered import FilteredExpression
from liquid.builtin.expressions.primitive import StringLiteral
from liquid.builtin.tags.assign_tag import AssignNode
from liquid.builtin.tags.capture_tag import CaptureNode
from liquid.exceptions import LiquidError
from liquid.static_analysis import TemplateAnalysis, Variable
from liquid.template import BoundTemplate

from vaultcore.errors import InvalidInputError
from vaultcore.markup import Piece, PieceKind, split_markup
from vaultcore.parse_limits import check_markup
from vaultcore.rules import check_written

VAULT = "vault"
TEXT_MAX = 100_000
"""Characters of one template."""

_LOADING_TAGS = ("include", "render", "extends", "block", "import", "macro", "call", "snippet")
_LOOSE = re.compile(r"\bvault\.([^\"\[\]{}|%]{1,80}?)\s*(?:\||-?[%}]\})")
"""A name after `vault.`, with all that stands before the next filter or the end."""
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z_][\w-]*")
_PIECES_MAX = 2000
"""In how many pieces of a text the one that is no Liquid is looked for."""


class ClosedEnvironment(Environment):
    """Liquid without the tags that load another template."""

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        for tag in _LOADING_TAGS:
            self.tags.pop(tag, None)


class ForeignError(InvalidInputError):
    """A template that another engine may well take, and that is not rendered here."""


def parse(text: str, environment: Environment) -> tuple[BoundTemplate, TemplateAnalysis]:
    """The parsed template with what it names; `InvalidInputError` for what is no Liquid."""
    try:
        return parse_plainly(text, environment)
    except Exception as error:  # noqa: BLE001  # whatever the parser stumbles over is no template
        problem = error
    at = _find_problem(text, problem, environment)
    where = _position(problem) or show_place(text, at.start if at else 0)
    line = f"{where}: {_suggest_quotes(at.text if at else '') or _say(problem)}"
    raise ForeignError(line) if _has_other_tag(problem) else InvalidInputError(line)


def parse_plainly(text: str, environment: Environment) -> tuple[BoundTemplate, TemplateAnalysis]:
    """As `parse`, with whatever the library raises."""
    check_markup(text)
    template = environment.from_string(text)
    return template, template.analyze(include_partials=False)


def find_constants(template: BoundTemplate) -> dict[str, frozenset[str] | None]:
    """The variables to which the template itself gives a text, and which texts; None: it gives others, too."""
    found: dict[str, frozenset[str] | None] = {}
    for node in walk_nodes(template):
        for name in node.block_scope():
            found[str(name)] = None
        for name in node.template_scope():
            text = _constant_of(node)
            before = found.get(str(name), frozenset())
            found[str(name)] = None if text is None or before is None else before | {text}
    return found


def walk_nodes(template: BoundTemplate) -> Iterator[Node]:
    """Each node of a template, in order, with those inside it."""
    return _walk(template.nodes, RenderContext(template))


def _walk(nodes: Iterable[Node], context: RenderContext) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk(node.children(context, include_partials=False), context)


def _constant_of(node: Node) -> str | None:
    if isinstance(node, AssignNode):
        given = node.expression
        if (
            isinstance(given, FilteredExpression)
            and isinstance(given.left, StringLiteral)
            and not given.filters
        ):
            return str(given.left.value)
    if isinstance(node, CaptureNode):
        parts = [part.text if isinstance(part, ContentNode) else None for part in node.block.nodes]
        if None not in parts:
            return "".join(str(part) for part in parts)
    return None


def check_length(text: str) -> None:
    """`InvalidInputError` for a template that is too long to be rendered."""
    if len(text) > TEXT_MAX:
        raise ForeignError(f"the template has {len(text)} characters: {TEXT_MAX} at most, so split it")


def source_of(template: BoundTemplate) -> str:
    """The text that was parsed."""
    tokens: list[Any] = [node.token for node in template.nodes]
    return str(tokens[0].source) if tokens else ""


def locate(template: BoundTemplate, variable: Variable) -> str:
    """Where a parsed template has a variable."""
    return show_place(source_of(template), variable.span.index)


def show_place(text: str, index: int) -> str:
    """`line 2, column 5`, both counted from 1."""
    return f"line {text.count(chr(10), 0, index) + 1}, column {index - text.rfind(chr(10), 0, index)}"


def on_one_line(text: str) -> str:
    """The text without breaks and what cannot be shown, and not too long."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


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
            parse_plainly(piece.text, environment)
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
    return on_one_line(message)


def _suggest_quotes(markup: str) -> str | None:
    """How the item is written that this markup seems to mean; None: it is something else that is wrong."""
    found = _LOOSE.search(markup)
    name = "" if found is None else found[1].strip()
    if _NEEDS_NO_QUOTES.fullmatch(name) or "(" in name:  # something else is wrong
        return None
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
