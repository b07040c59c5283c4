"""Rendering Liquid with limits: no loaders, bounded output and loops, nothing undefined passes for empty."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from liquid import StrictDefaultUndefined
from liquid.exceptions import (
    ContextDepthError,
    LiquidError,
    LoopIterationLimitError,
    ResourceLimitError,
    UndefinedError,
    UnknownFilterError,
)
from liquid.extra import JSON
from liquid.static_analysis import TemplateAnalysis, Variable
from liquid.template import BoundTemplate

from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.liquid_text import VAULT, ClosedEnvironment, ForeignError, check_length, parse, show_place
from vaultcore.markup import PieceKind, split_markup
from vaultcore.named import find_plain
from vaultcore.references import Use, expand_ids, uses_in
from vaultcore.secret import Secret
from worker.workflows.bounds import (
    LOOPS_MAX,
    OUTPUT_MAX,
    RANGE_MAX,
    BoundedContext,
    BoundError,
    bound_ranges,
    find_long_range,
)

PAYLOAD: Final = "webhook_payload"
"""By which name a run sees what it was started with."""
DEPTH_MAX: Final = 30
WHOLE_FILTERS: Final = frozenset(
    "append base64_encode base64_url_safe_encode downcase escape json lstrip prepend rstrip strip upcase "
    "url_encode".split()
)
"""What may be done to a value in a template: the result holds all of it, in a form that masking knows."""
WHOLE_TAGS: Final = frozenset("assign capture comment echo raw".split())


class _LimitedEnvironment(ClosedEnvironment):
    """As the analysis reads it, with limits, and with `json` for lists and objects inside text."""

    output_stream_limit = OUTPUT_MAX
    loop_iteration_limit = LOOPS_MAX
    context_depth_limit = DEPTH_MAX
    local_namespace_limit = OUTPUT_MAX

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.add_filter("json", JSON())


# An undefined variable is an error, except before the filter `default`, which is there for it.
_environment = _LimitedEnvironment(undefined=StrictDefaultUndefined, autoescape=False)

_DEFAULT = re.compile(r"\|\s*default\b")
_TO_VAULT = re.compile(r"\.\.[\s'\"]{0,20}vault\b")
_VAULT_TO = re.compile(r"\bvault\b")

Path = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a template sees: `context` by name, and the values of items under `vault`."""

    context: Mapping[str, Any]
    values: Mapping[str, Secret]


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The text, and where it came from.

    `holds_value` says that the template names an item, `used` which ones were really looked up, as
    written; `reads` are the paths of all other variables, as far as they are fixed.
    """

    text: str
    template: str
    holds_value: bool
    used: frozenset[str] = frozenset()
    reads: tuple[Path, ...] = ()


class _Exposed:
    """What `vault` is while a template renders: no mapping, so that it cannot be taken whole."""

    def __init__(self, values: Mapping[str, Secret], wanted: set[str]) -> None:
        self._values, self._wanted = values, wanted
        self.used: set[str] = set()

    def __getitem__(self, name: object) -> str:
        if not isinstance(name, str) or name not in self._wanted:
            raise KeyError(name)
        self.used.add(name)
        return self._values[name].expose()


def check(text: str, *, header: bool = False) -> tuple[Use, ...]:
    """The items that the template names, as `find_uses`; a filter that does not exist is refused too.

    A template that names an item must leave its value whole: what cuts it up, or chooses by it, could bring
    parts of it out that no masking finds again. `ForeignError` where another engine may do what we do not.
    """
    if "{" not in text and not (header and "vlt_" in text):
        return ()
    plain = find_plain(text)
    if plain is not None:
        return plain
    check_length(text)
    template, analysis = parse(expand_ids(text) if header else text, _environment)
    for name in analysis.filters:
        if name not in _environment.filters:
            raise ForeignError(f"there is no filter {name[:50]!r}")
    long = find_long_range(template) if ".." in text else None
    if long is not None:
        where = show_place(text, long.token.start_index)
        raise ForeignError(f"{where}: {long} is a range of more than {RANGE_MAX} numbers")
    uses = uses_in(template, analysis)
    if uses:
        _check_wholeness(analysis)
    if _makes_range(text):  # which the analysis does not look into
        raise ForeignError("a range may not be made of a vault item: its value is text")
    return uses


def find_reads(text: str, *, header: bool = False) -> tuple[Path, ...]:
    """The paths of what the template needs beside vault items, as far as they are fixed and each once.

    Variables of its own are left out, and what stands before the filter `default`: that may be missing.
    """
    text = expand_ids(text) if header else text
    return _reads_in(text) if "{" in text else ()


@lru_cache(maxsize=256)
def _reads_in(text: str) -> tuple[Path, ...]:
    """Each step of a rotation asks this of the same few templates, many times over."""
    _, analysis = parse(text, _environment)
    optional = list(_with_default(text))
    starts = [start for start, _ in optional]

    def may_be_missing(variable: Variable) -> bool:
        at = bisect_right(starts, variable.span.index) - 1
        return at >= 0 and variable.span.index < optional[at][1]

    needed = {
        root: [each for each in found if not may_be_missing(each)] for root, found in analysis.globals.items()
    }
    return tuple(dict.fromkeys(_fixed_paths(needed)))


def find_all_reads(text: str) -> tuple[Path, ...]:
    """As `find_reads`, with what may be missing, too."""
    if "{" not in text:
        return ()
    _, analysis = parse(text, _environment)
    return tuple(dict.fromkeys(_fixed_paths(analysis.globals)))


def _with_default(text: str) -> Iterator[tuple[int, int]]:
    """Where outputs and tags stand that have the filter `default`, in order."""
    if _DEFAULT.search(text) is None:
        return
    for piece in split_markup(text):
        if piece.kind in (PieceKind.OUTPUT, PieceKind.TAG) and _DEFAULT.search(piece.text):
            yield piece.start, piece.start + len(piece.text)


def check_reads(
    text: str, seen: Mapping[str, frozenset[str] | None], *, header: bool = False
) -> tuple[Path, ...]:
    """What the template needs, as `find_reads`; `InvalidInputError` for what will not be there.

    `seen` is what will be, by first name: the names inside, or None for any.
    """
    paths = find_reads(text, header=header)
    for path in paths:
        first, inside = str(path[0]), seen.get(str(path[0]), frozenset())
        if first not in seen or (inside is not None and len(path) > 1 and path[1] not in inside):
            raise InvalidInputError(
                f"{'.'.join(map(str, path))[:100]} will not be there: this template sees {_list_names(seen)}"
            )
    return paths


def _makes_range(text: str) -> bool:
    """`(1..vault.NAME)` or `(vault.NAME..9)`; in one pass, however long the text is."""
    if ".." not in text or VAULT not in text:
        return False
    if _TO_VAULT.search(text):
        return True
    for part in re.split(r"[|%}]", text):
        last = part.rfind("..")
        if last != -1 and _VAULT_TO.search(part, 0, last):
            return True
    return False


def _list_names(seen: Mapping[str, frozenset[str] | None]) -> str:
    names = [
        name
        for first, inside in seen.items()
        for name in ([first] if inside is None else [f"{first}.{each}" for each in sorted(inside)])
    ]
    return ", ".join([*names, f"{VAULT}.NAME"])


def _check_wholeness(analysis: TemplateAnalysis) -> None:
    for what, used, allowed in (
        ("filter", analysis.filters, WHOLE_FILTERS),
        ("tag", analysis.tags, WHOLE_TAGS),
    ):
        for name in used:
            if name not in allowed:
                raise ForeignError(
                    f"{what} {name!r} may not stand in a template that names a vault item, since parts of "
                    f"its value could not be masked: there are {', '.join(sorted(allowed))}"
                )
    for root, variables in analysis.variables.items():
        for variable in variables:
            chosen = any(isinstance(segment, list) for segment in variable.segments)
            if chosen or (root in analysis.locals and "size" in variable.segments):
                raise ForeignError(
                    f"{variable} may not stand in a template that names a vault item, since what measures "
                    "a value, or chooses by it, could not be masked: write a fixed path"
                )


def render(text: str, scope: Scope, *, header: bool = False) -> Rendered:
    """Renders one text. In a header a bare `vlt_…` is replaced by its value, and a line break refused.

    Whatever goes wrong is a mistake of ours, told without a value.
    """
    if "{" not in text and "vlt_" not in text:
        return _in_header(Rendered(text=text, template=text, holds_value=False), header=header)
    problem, wanted = "", set[str]()
    try:
        template, analysis = parse(expand_ids(text) if header else text, _environment)
        wanted = {use.written for use in uses_in(template, analysis)}
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        raise TargetError(f"the template cannot be read: {problem}", cause=Cause.MISTAKE)
    missing = sorted(wanted - scope.values.keys())
    if missing:
        raise TargetError(
            f"item {missing[0]} has no value for this run: it does not exist, or is not a secret",
            cause=Cause.MISTAKE,
        )
    vault = _Exposed(scope.values, wanted)
    shown = _render(template, analysis, {**scope.context, VAULT: vault} if wanted else scope.context)
    rendered = Rendered(
        text=shown,
        template=text,
        holds_value=bool(wanted),
        used=frozenset(vault.used),
        reads=tuple(_fixed_paths(analysis.variables)),
    )
    return _in_header(rendered, header=header)


def _in_header(rendered: Rendered, *, header: bool) -> Rendered:
    if header and any(c in rendered.text for c in "\r\n\0"):
        raise TargetError("a header holds a line break", cause=Cause.MISTAKE)
    return rendered


def _render(template: BoundTemplate, analysis: TemplateAnalysis, context: Mapping[str, Any]) -> str:
    bound_ranges(template)
    rendering = BoundedContext(template, globals=context)
    buffer = rendering.get_buffer()
    problem = ""
    try:
        template.render_with_context(rendering, buffer)
        return buffer.getvalue()
    except UndefinedError as error:
        name = _name_undefined(error, analysis)
        problem = f"{name} is undefined"
        if PAYLOAD not in context and re.match(rf"{PAYLOAD}\b", name):
            problem += (
                ": this run was given none (workflow run --payload FILE gives one, and sample_context a test)"
            )
    except BoundError as error:
        problem = f"it {error.what}"
    except LoopIterationLimitError:
        problem = f"it loops more than {LOOPS_MAX} times"
    except ContextDepthError:
        problem = f"its loops are more than {DEPTH_MAX} deep"
    except ResourceLimitError:
        problem = f"it makes more than {OUTPUT_MAX} bytes"
    except UnknownFilterError:
        problem = "it uses a filter that does not exist"
    except LiquidError as error:
        problem = f"a tag or filter does not fit what it was given ({type(error).__name__})"
    except Exception as error:  # noqa: BLE001  # filters raise what Python does; its text may quote data
        problem = f"a tag or filter does not fit what it was given ({type(error).__name__})"
    raise TargetError(f"the template cannot be rendered: {problem}", cause=Cause.MISTAKE)


def _name_undefined(error: UndefinedError, analysis: TemplateAnalysis) -> str:
    """The variable as the template has it: the library's text would quote keys that are data."""
    index = -1 if error.token is None else error.token.start_index
    for variables in analysis.variables.values():
        for variable in variables:
            if variable.span.index == index:
                return str(variable)
    return "a variable"


def _fixed_paths(found: Mapping[str, list[Variable]]) -> Iterator[Path]:
    for root, variables in found.items():
        if root == VAULT:
            continue
        for variable in variables:
            path: list[str | int] = []
            for segment in variable.segments:
                if isinstance(segment, list):
                    break
                path.append(segment)
            yield tuple(path)
