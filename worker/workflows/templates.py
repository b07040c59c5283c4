"""Rendering Liquid with limits: no loaders, bounded output and loops, nothing undefined passes for empty."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liquid import Environment, StrictUndefined
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.extra import JSON

from vaultcore.errors import Cause, CounterpartError, InvalidInputError
from vaultcore.references import bare_ids, find_uses, replace_bare_ids
from vaultcore.secret import Secret

OUTPUT_MAX = 1_048_576


class _LimitedEnvironment(Environment):
    output_stream_limit = OUTPUT_MAX
    loop_iteration_limit = 10_000
    context_depth_limit = 30
    local_namespace_limit = 1_048_576


_environment = _LimitedEnvironment(undefined=StrictUndefined, autoescape=False)
_environment.add_filter("json", JSON())


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What a template sees: `context` by name, and the values of items under `vault`."""

    context: Mapping[str, Any]
    values: Mapping[str, Secret]


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """The text, and whether a value went into it."""

    text: str
    template: str
    holds_value: bool


def render(template: str, scope: Scope, *, header: bool = False) -> Rendered:
    """Renders one text. In a header a bare `vlt_…` is replaced by its value, and a line break refused.

    Whatever goes wrong is a mistake of ours, told without a value.
    """
    wanted = {use.name or use.item_id or "" for use in find_uses(template, header=header)}
    missing = sorted(wanted - scope.values.keys())
    if missing:
        raise CounterpartError(f"item {missing[0]} does not exist", cause=Cause.MISTAKE)
    exposed = {name: scope.values[name].expose() for name in wanted}
    text = _render_text(template, {**scope.context, "vault": exposed})
    if header:
        if bare_ids(template):
            text = replace_bare_ids(text, exposed)
        if "\r" in text or "\n" in text or "\0" in text:
            raise CounterpartError("a header holds a line break", cause=Cause.MISTAKE)
    return Rendered(text=text, template=template, holds_value=bool(wanted))


def check_filters(template: str) -> None:
    """Refuses a template that uses a filter which does not exist; `InvalidInputError` names it."""
    if "|" not in template:
        return
    used = _environment.from_string(template).analyze(include_partials=False).filters
    unknown = sorted(set(used) - set(_environment.filters))
    if unknown:
        raise InvalidInputError(f"there is no filter {unknown[0]!r}")


def _render_text(template: str, context: Mapping[str, Any]) -> str:
    if "{{" not in template and "{%" not in template:
        return template
    problem = ""
    try:
        return _environment.from_string(template).render(**{str(k): v for k, v in context.items()})
    except ResourceLimitError:
        problem = "its output or its loops are larger than the limits"
    except LiquidError as error:
        problem = _explain(error)
    except (
        TypeError,
        ValueError,
        ArithmeticError,
        RecursionError,
        KeyError,
        AttributeError,
    ) as error:
        problem = f"a filter does not fit what it was given ({type(error).__name__})"
    raise CounterpartError(f"the template cannot be rendered: {problem}", cause=Cause.MISTAKE)


def _explain(error: LiquidError) -> str:
    """What was undefined, by name; of other errors their type, since their text may quote data."""
    first = str(error).split("\n", 1)[0]
    return first if "undefined" in first else type(error).__name__
