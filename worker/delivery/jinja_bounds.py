"""Jinja that comes to an end: what a template may do, and how often, in the process that renders it.

Whoever may write a template of notices decides what they say, and no more: not that the process hangs, or that
its memory is gone. What one call would make in one go is refused before; what goes on and on is counted.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import wraps
from types import BuiltinMethodType
from typing import Any, Final

from jinja2 import nodes, pass_context
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

STEPS_MAX: Final = 1_000_000
"""Parts of a template that are rendered, those in loops and macros each time, and the characters of it all."""
PARTS_MAX: Final = 10_000
"""Of the text of a template, as it is read: making Python of each takes some 30 microseconds."""
SECONDS_MAX: Final = 2.0
"""Of work: time spent waiting for the processor does not count."""
MADE_MAX: Final = 1_000_000
"""Characters, or parts of lists, that one expression makes."""
RANGE_MAX: Final = 10_000
DIGITS_MAX: Final = 4300
_ARGUMENTS_MAX: Final = 1000
_UNBOUNDED_FILTERS: Final = ("format", "pprint", "random", "striptags", "urlize", "xmlattr")
_KEPT_FILTERS: Final = frozenset({"bounded", "d", "default", "joined", "step"})
_METHODS: Final = frozenset(
    "capitalize count endswith get index isdigit items keys lower lstrip removeprefix removesuffix rstrip "
    "split splitlines startswith strip swapcase title upper values".split()
)
"""Of texts, numbers, lists and objects."""
_ATOMS: Final = frozenset({str, int, float, bool, type(None), datetime})
"""What most data is: it has no parts."""
_PLAIN: Final = (str, bytes, int, float, list, tuple, set, frozenset, dict)


class TemplateBoundError(TemplateRuntimeError):
    """A limit was reached; the message says which, of the template as subject."""


class _Spending:
    def __init__(self) -> None:
        self._left = STEPS_MAX
        self._began = time.thread_time()

    def spend(self, steps: int) -> None:
        self._left -= steps
        if self._left < 0:
            raise TemplateBoundError(f"it renders more than {STEPS_MAX} parts and characters")
        if time.thread_time() - self._began > SECONDS_MAX:
            raise TemplateBoundError(f"it takes more than {SECONDS_MAX:g} seconds")


_spending: ContextVar[_Spending | None] = ContextVar("spending", default=None)


@contextmanager
def bounded() -> Iterator[None]:
    """What is rendered inside has these limits all together."""
    token = _spending.set(_Spending())
    try:
        yield
    finally:
        _spending.reset(token)


def spend(steps: int) -> None:
    spending = _spending.get()
    if spending is not None:
        spending.spend(steps)


class _Namespace(Namespace):
    """Does not write out what is in it, which may be itself in many places."""

    def __repr__(self) -> str:
        return "<namespace>"


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox in which nothing is made that is larger than a notice can be."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401  # Jinja's
        super().__init__(extensions=[_Short], **kwargs)
        for name in _UNBOUNDED_FILTERS:
            del self.filters[name]
        for name, apply in list(self.filters.items()):
            if name not in _KEPT_FILTERS:
                self.filters[name] = _bound_filter(name, apply)
        self.filters |= {"bounded": check_size, "joined": _join, "step": _step}
        self.globals["range"] = _make_range
        self.globals["dict"] = lambda *args, **kwargs: check_size(dict(*args, **kwargs))
        self.globals["namespace"] = _Namespace
        del self.globals["lipsum"]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401  # whatever a template has
        if isinstance(obj, _PLAIN) and callable(value) and attr not in _METHODS:
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:  # noqa: ANN401  # as above
        """It is no method that is let through: a width may be any number."""

    def call(self, context: Context, called: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as above
        spend(1)
        if isinstance(called, BuiltinMethodType) and measure(args) > _ARGUMENTS_MAX:
            raise TemplateBoundError(f"it gives more than {_ARGUMENTS_MAX} characters to {called.__name__}")
        return super().call(context, called, *args, **kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401  # as above
        spend(1)
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or (operator in ("*", "%") and not numbers):
            raise SecurityError("the operators * and % are for numbers here, and ** is not there")
        if operator == "+" and not numbers and measure(left) + measure(right) > MADE_MAX:
            raise TemplateBoundError(f"it makes more than {MADE_MAX} characters")
        return check_size(super().call_binop(context, operator, left, right))

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401  # Jinja's
        """Jinja's hook between reading a template and making Python of it."""
        return super()._generate(_Counting().visit(source), *args, **kwargs)


class _Short(Extension):
    """Reads no more parts of a template than Python is made of in a moment."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        for number, token in enumerate(stream):
            if number >= PARTS_MAX:
                raise TemplateBoundError(
                    f"it has more than {PARTS_MAX} parts: names, signs and texts between them"
                )
            yield token


class _Counting(NodeTransformer):
    """Counts each rendering of a body, by what is in it, and measures what expressions put together."""

    def _count(self, node: Any) -> Any:  # noqa: ANN401  # any node with a body
        weight = 1 + sum(_weigh(part) for child in node.body for part in (child, *child.find_all(nodes.Node)))
        self.generic_visit(node)
        step = nodes.Filter(nodes.Const(weight), "step", [], [], None, None, lineno=node.lineno)
        node.body.insert(0, nodes.ExprStmt(step, lineno=node.lineno))
        return node

    visit_Template = visit_For = visit_Macro = visit_CallBlock = visit_Block = _count  # noqa: N815  # Jinja's names

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802  # Jinja's names
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno)
        joined: nodes.Node = nodes.Filter(parts, "joined", [], [], None, None, lineno=node.lineno)
        return joined

    def _measure(self, node: Any) -> Any:  # noqa: ANN401  # any node that makes something
        self.generic_visit(node)
        if getattr(node, "ctx", "load") != "load":
            return node  # names that are assigned to
        return nodes.Filter(node, "bounded", [], [], None, None, lineno=node.lineno)

    visit_List = visit_Tuple = visit_Dict = _measure  # noqa: N815  # Jinja's names


def _weigh(node: nodes.Node) -> int:
    return 1 + (len(node.data) if isinstance(node, nodes.TemplateData) else 0)


@pass_context  # so that it is never done ahead
def _step(_context: Context, weight: int) -> str:
    spend(weight)
    return ""


def _make_range(*ends: int) -> range:
    made = range(*ends)
    if made and abs(made[-1] - made[0]) // abs(made.step) >= RANGE_MAX:
        raise TemplateBoundError(f"it makes a range of more than {RANGE_MAX} numbers")
    return made


def _join(parts: list[object]) -> str:
    check_size(parts)
    return "".join(map(str, parts))


def _bound_filter(name: str, apply: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, given no more than it can multiply: by the largest number or the longest text beside."""

    @wraps(apply)  # with the marks that Jinja reads
    def bound(*given: Any, **named: Any) -> Any:  # noqa: ANN401  # as the filter
        data = [part for part in given if not isinstance(part, Context) and not _is_ours(part)]
        spend(1)
        factors = [abs(n) if isinstance(n, int) else len(n) for n in (*data[1:], *named.values()) if _counts(n)]
        if sum(measure(part) for part in data[:1]) * max([1, *factors]) > 10 * MADE_MAX:
            raise TemplateBoundError(f"it gives too much to the filter {name}")
        made = check_size(apply(*given, **named))
        spend(measure(made))
        return made

    return bound


def _counts(part: object) -> bool:
    return isinstance(part, int | str) and not isinstance(part, bool)


def _is_ours(part: object) -> bool:
    """What Jinja gives to a filter by its mark, before the value."""
    return isinstance(part, nodes.EvalContext | BoundedEnvironment)


def check_size(made: Any) -> Any:  # noqa: ANN401  # whatever a template makes
    """The same, unless it is too large."""
    if isinstance(made, int):
        if made.bit_length() > DIGITS_MAX * 3.3:
            raise TemplateBoundError(f"it makes a number of more than {DIGITS_MAX} digits")
    elif measure(made) > MADE_MAX:
        raise TemplateBoundError(f"it makes more than {MADE_MAX} characters")
    return made


def measure(data: object) -> int:
    """Its characters, and the parts of lists and objects; what lies behind `MADE_MAX` is not looked at. It is
    counted as often as it stands there, as whoever writes it out would.
    """
    if type(data) in _ATOMS:
        return len(data) if isinstance(data, str) else 1
    size = 0
    level: list[object] = [data]
    while level and size <= MADE_MAX:
        below: list[object] = []
        for part in level:
            size += len(part) if isinstance(part, str) else 1
            if type(part) in _ATOMS:
                continue
            if isinstance(part, Mapping):
                below += [*part.keys(), *part.values()]
            elif isinstance(part, list | tuple | set | frozenset):
                below += part
            if len(below) > MADE_MAX:
                return MADE_MAX + 1
        level = below
    return size
