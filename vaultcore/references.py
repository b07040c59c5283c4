"""Liquid text → the items that it names, by static analysis: nothing is rendered here. Pure.

`{{ vault.NAME }}`, `{{ vault['api-key:x'] }}`, `{{ vault["My App's key"] }}`, and in a header a bare
`vlt_…`. Text whose items cannot all be told in advance is refused: nobody could be warned before such an
item changes.
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
from vaultcore.rules import check_written, is_item_id

VAULT = "vault"
TEXT_MAX = 100_000
"""Characters of one template."""

_LOADING_TAGS = ("include", "render", "extends", "block", "import", "macro", "call", "snippet")
_BARE_ID = re.compile(r"(?<![0-9A-Za-z_-])vlt_[0-9a-hjkmnp-tv-z]{26}(?![0-9A-Za-z_-])")
_LOOSE = re.compile(r"\bvault\.([^\"\[\]{}|%]{1,80}?)\s*(?:\||-?[%}]\})")
"""A name after `vault.`, with all that stands before the next filter or the end."""
_MARKUP = re.compile(r"\{%-?\s*raw\s*-?%\}.*?\{%-?\s*endraw\s*-?%\}|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


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


def find_uses(text: str, *, header: bool = False) -> tuple[Use, ...]:
    """The items that the text names, in order and without doubles.

    Raises `InvalidInputError`, one line with the position, for text that is no Liquid, that loads
    other templates, or that takes `vault` in a way from which the item cannot be told.
    """
    template = parse(expand_ids(text) if header else text, _environment)
    return uses_in(template, analyze(template))


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
    done, parts = 0, []
    for markup in _MARKUP.finditer(text):
        parts += [_BARE_ID.sub(_as_markup, text[done : markup.start()]), markup[0]]
        done = markup.end()
    return "".join([*parts, _BARE_ID.sub(_as_markup, text[done:])])


def parse(text: str, environment: Environment) -> BoundTemplate:
    """The parsed template; `InvalidInputError` for what is no Liquid."""
    if len(text) > TEXT_MAX:
        raise InvalidInputError(f"the template has {len(text)} characters: {TEXT_MAX} at most, so split it")
    problem = _problem_in(text, environment)
    if problem is None:
        return environment.from_string(text)
    found = next((m for m in _MARKUP.finditer(text) if _problem_in(m[0], environment)), None)
    where = _position(problem) or _line_and_column(text, found.start() if found else 0)
    raise InvalidInputError(f"{where}: {_suggest_quotes(found[0] if found else '') or _say(problem)}")


def analyze(template: BoundTemplate) -> TemplateAnalysis:
    return template.analyze(include_partials=False)


def uses_in(template: BoundTemplate, analysis: TemplateAnalysis) -> tuple[Use, ...]:
    """As `find_uses`, of a template that was parsed before."""
    text = _source(template)
    every = [variable for found in analysis.variables.values() for variable in found]
    for variable in every:
        if not isinstance(variable.segments[0], str):
            raise InvalidInputError(
                f"{_where(text, variable)}: {variable} chooses a variable while it runs: write its name"
            )
    named = sorted(analysis.variables.get(VAULT, []), key=lambda variable: variable.span.index)
    hidden = len(named) != len(analysis.globals.get(VAULT, []))
    if hidden or VAULT in analysis.locals:
        raise InvalidInputError(
            "line 1, column 1: the template makes a variable of its own named vault: choose another name"
        )
    return tuple(dict.fromkeys(_use_of(variable, text) for variable in named))


def _use_of(variable: Variable, text: str) -> Use:
    where = _where(text, variable)
    match variable.segments:
        case [_, str() as name]:
            problem = ""
        case [_]:
            name, problem = "", "vault is taken whole: name one item, {{ vault.NAME }}"
        case [_, str() as name, *_]:
            problem = f"vault.{name} has nothing inside: an item is one value"
        case _:
            name, problem = "", (f"{variable} chooses an item while it runs: name it, {{{{ vault['NAME'] }}}}")
    if not problem:
        if is_item_id(name):
            return Use(item_id=name)
        try:
            return Use(name=check_written(name))
        except InvalidInputError as error:
            problem = str(error)
    raise InvalidInputError(f"{where}: {_one_line(problem)}")


def _problem_in(text: str, environment: Environment) -> Exception | None:
    try:
        analyze(environment.from_string(text))
    except Exception as error:  # noqa: BLE001  # whatever the parser stumbles over is no template
        return error
    return None


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
    before = text[:index]
    return f"line {before.count(chr(10)) + 1}, column {index - before.rfind(chr(10))}"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]
