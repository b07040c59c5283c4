"""What rendering one template may cost, beside what the library limits itself: loops all together, ranges, what
a filter is given and makes, and time.

A filter is one call into Python, and nothing can stop it: what it would make is foreseen from what it is given.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from liquid import RenderContext
from liquid.ast import Node
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.exceptions import ResourceLimitError
from liquid.expression import Expression
from liquid.filter import flatten
from liquid.limits import to_int
from liquid.template import BoundTemplate
from liquid.token import Token

from vaultcore.liquid_text import walk_nodes

OUTPUT_MAX: Final = 1_048_576
LOOPS_MAX: Final = 10_000
RANGE_MAX: Final = 100_000
SECONDS_MAX: Final = 3.0
"""Of work: waiting for the processor is none."""
GIVEN_MAX: Final = 16 * OUTPUT_MAX
"""Characters that a filter is given, or gives, all together; each part of a list or object counts as some."""
UNIQ_MAX: Final = 5000
DATE_MAX: Final = 500
HTML_MAX: Final = 20_000
INDENT_MAX: Final = 10
DIGITS_MAX: Final = 4300
_PART: Final = 16
_STEPS_BETWEEN: Final = 64
_SHALLOW: Final = frozenset({"at_least", "at_most", "default", "first", "last", "size"})
"""Filters that do not look into what they are given."""


class BoundError(ResourceLimitError):
    """A limit was reached. `what` says which, of the template as subject, and quotes nothing."""

    def __init__(self, what: str) -> None:
        super().__init__(what, token=None)
        self.what = what


class BoundedContext(RenderContext):
    """Renders within these limits."""

    __slots__ = ("_began", "_loops_left", "_steps")

    def __init__(self, template: BoundTemplate, *, globals: Mapping[str, object]) -> None:  # noqa: A002  # the library's
        super().__init__(template, globals=globals)
        self._began = time.thread_time()
        self._loops_left = LOOPS_MAX
        self._steps = 0

    @contextmanager
    def loop(self, namespace: Mapping[str, object], forloop: Any) -> Iterator[RenderContext]:  # noqa: ANN401  # two kinds
        self._loops_left -= forloop.length
        if self._loops_left < 0:
            raise BoundError(f"loops more than {LOOPS_MAX} times")
        forloop.it = self._watch(forloop.it)
        with super().loop(namespace, forloop) as context:
            yield context

    def _watch(self, parts: Iterator[object]) -> Iterator[object]:
        for part in parts:
            self._check_time()
            yield part

    def get(self, path: list[object], **kwargs: Any) -> object:  # noqa: ANN401  # as the library has them
        self._step()
        return super().get(path, **kwargs)

    def assign(self, key: str, val: Any) -> None:  # noqa: ANN401  # whatever a template makes
        self._step()
        super().assign(key, val)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        self._check_time()
        apply = super().filter(name, token)

        def bounded(left: object, *args: object, **kwargs: object) -> object:
            if name in _SHALLOW:
                return apply(left, *args, **kwargs)
            foresee(name, left, [*args, *kwargs.values()])
            made = apply(left, *args, **kwargs)
            _check_made(made)
            return made

        return bounded

    def _step(self) -> None:
        self._steps += 1
        if self._steps % _STEPS_BETWEEN == 0:
            self._check_time()

    def _check_time(self) -> None:
        if time.thread_time() - self._began > SECONDS_MAX:
            raise BoundError(f"takes more than {SECONDS_MAX:g} seconds")


def foresee(name: str, left: object, args: list[object]) -> None:
    """`BoundError` for a filter that would take too long, or make too much, of what it is given."""
    given = measure([left, *args])
    if given > GIVEN_MAX:
        raise BoundError(f"gives more than {GIVEN_MAX} characters to the filter {name}")
    match name, args:
        case "replace", [old, *_]:
            new = str(args[1]) if len(args) > 1 else ""
            text = left if isinstance(left, str) else str(left)
            made = len(text) + text.count(str(old)) * len(new)
        case "join", [separator, *_]:
            made = given + (len(left) if isinstance(left, list | range) else 1) * len(str(separator))
        case "json", [indent, *_]:
            if not isinstance(indent, int) or indent > INDENT_MAX:
                raise BoundError(f"indents JSON by more than {INDENT_MAX} characters")
            made = measure(left, indent=indent)
        case _:
            made = 0
    if made > GIVEN_MAX:
        raise BoundError(f"makes more than {OUTPUT_MAX} bytes")
    length = len(left) if isinstance(left, str | list | tuple) else 0
    if name == "uniq" and isinstance(left, list | tuple) and len(flatten(left)) > UNIQ_MAX:
        raise BoundError(f"gives more than {UNIQ_MAX} parts to the filter uniq")
    if name == "date" and given - 3 * _PART > DATE_MAX:
        raise BoundError(f"gives more than {DATE_MAX} characters to the filter date")
    if name == "strip_html" and length > HTML_MAX:
        raise BoundError(f"gives more than {HTML_MAX} characters to the filter strip_html")


def _check_made(made: object) -> None:
    if isinstance(made, str):
        if len(made) > OUTPUT_MAX:
            raise BoundError(f"makes more than {OUTPUT_MAX} bytes")
    elif isinstance(made, int):
        if made.bit_length() > DIGITS_MAX * 3.3:
            raise BoundError(f"makes a number of more than {DIGITS_MAX} digits")
    elif measure(made) > GIVEN_MAX:
        raise BoundError(f"makes more than {OUTPUT_MAX} bytes")


def measure(data: object, *, indent: int = 0) -> int:
    """About how many characters it comes to: each part of a list or object counts for some more, and for
    what JSON indents it by. What lies behind `GIVEN_MAX` is not looked at.
    """
    size, depth = 0, 0
    level: list[object] = [data]
    while level and size <= GIVEN_MAX:
        below: list[object] = []
        for part in level:
            size += _PART + depth * indent
            if isinstance(part, str):
                size += len(part)
            elif isinstance(part, Mapping):
                size += sum(len(key) for key in part if isinstance(key, str))
                below.extend(part.values())
            elif isinstance(part, list | tuple):
                below.extend(part)
            elif isinstance(part, range):
                size += len(part) * _PART
            if size + len(below) * _PART > GIVEN_MAX:
                return GIVEN_MAX + 1
        level = below
        depth += 1
    return size


class _RangeStart(Expression):
    """Keeps what it came to, for the end: were it evaluated again there, ranges in ranges would take 2 to the
    power of their depth.
    """

    __slots__ = ("_start", "came_to")

    def __init__(self, start: Expression) -> None:
        super().__init__(start.token)
        self._start = start
        self.came_to: object = None

    def evaluate(self, context: RenderContext) -> object:
        self.came_to = self._start.evaluate(context)
        return self.came_to

    def children(self) -> list[Expression]:
        return [self._start]


class _RangeEnd(Expression):
    """The end of a range, which may not be too far from its start."""

    __slots__ = ("_end", "_start")

    def __init__(self, start: _RangeStart, end: Expression) -> None:
        super().__init__(end.token)
        self._start, self._end = start, end

    def evaluate(self, context: RenderContext) -> object:
        end = self._end.evaluate(context)
        if _as_number(end) - _as_number(self._start.came_to) >= RANGE_MAX:
            raise BoundError(f"makes a range of more than {RANGE_MAX} numbers")
        return end

    def children(self) -> list[Expression]:
        return [self._end]


def _as_number(found: object) -> int:
    """As a range takes its ends."""
    try:
        return to_int(found)
    except (TypeError, ValueError):
        return 0


def bound_ranges(template: BoundTemplate) -> None:
    """Gives each range of a template its limit."""
    for found in list(_find_ranges(template)):
        found.start = start = _RangeStart(found.start)
        found.stop = _RangeEnd(start, found.stop)


def find_long_range(template: BoundTemplate) -> RangeLiteral | None:
    """One with fixed ends that is too long."""
    for found in _find_ranges(template):
        match found.start, found.stop:
            case IntegerLiteral(value=start), IntegerLiteral(value=end) if end - start >= RANGE_MAX:
                return found
    return None


def _find_ranges(template: BoundTemplate) -> Iterator[RangeLiteral]:
    for node in walk_nodes(template):
        yield from _ranges_of(node)


def _ranges_of(node: Node) -> Iterator[RangeLiteral]:
    todo = list(node.expressions())
    while todo:
        expression = todo.pop()
        if isinstance(expression, RangeLiteral):
            yield expression
        todo += expression.children()
