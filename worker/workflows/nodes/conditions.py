"""Conditions: each compares one rendered value, and leads on by the handle `true` or `false`, or by case."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from vaultcore.errors import Cause, CounterpartError
from worker.workflows.nodes.base import Execution, Fields, Harmless, NodeKind, Outcome

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda left, right: bool(left == right),
    "not_equals": lambda left, right: bool(left != right),
    "greater": lambda left, right: bool(left > right),
    "greater_or_equal": lambda left, right: bool(left >= right),
    "less": lambda left, right: bool(left < right),
    "less_or_equal": lambda left, right: bool(left <= right),
    "before": lambda left, right: bool(left < right),
    "after": lambda left, right: bool(left > right),
    "contains": lambda left, right: right in left,
    "not_contains": lambda left, right: right not in left,
    "is_empty": lambda left, _: len(left) == 0,
    "is_not_empty": lambda left, _: len(left) > 0,
}
Operator = Literal["equals", "not_equals", "greater", "greater_or_equal", "less", "less_or_equal"]


class TextFields(Fields):
    """`value` and `expected` are templates."""

    value: str
    operator: Literal["equals", "not_equals", "contains", "not_contains"] = "equals"
    expected: str = ""


class NumberFields(Fields):
    value: str
    operator: Operator = "equals"
    expected: str


class DateFields(Fields):
    """Dates are ISO 8601; without a zone they are UTC."""

    value: str
    operator: Literal["before", "after", "equals"] = "before"
    expected: str


class BooleanFields(Fields):
    value: str


class ArrayFields(Fields):
    """`value` renders to JSON: use the `json` filter, as in `{{ fetch.body.items | json }}`."""

    value: str
    operator: Literal["contains", "not_contains", "is_empty", "is_not_empty"] = "contains"
    expected: str = ""


class SwitchFields(Fields):
    """`cases` maps a handle to the text that leads there; anything else leads to `default`."""

    value: str
    cases: dict[str, str] = Field(min_length=1, max_length=50)

    @field_validator("cases")
    @classmethod
    def _check_handles(cls, cases: dict[str, str]) -> dict[str, str]:
        if taken := {"", "default", "error"} & cases.keys():
            raise ValueError(f"{min(taken)!r} cannot be the name of a case: it is a way on of its own")
        return cases


class Condition(Harmless):
    """One comparison; a subclass says how texts are read."""

    kind: ClassVar[NodeKind] = NodeKind.CONDITION
    value_fields: ClassVar[frozenset[str]] = frozenset()

    def handles(self, fields: Any) -> tuple[str, ...]:  # noqa: ANN401, ARG002  # the contract's
        return ("true", "false")

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        left = self.read(execution.render(fields.value))
        expected = execution.render(getattr(fields, "expected", ""))
        holds = self.compare(left, getattr(fields, "operator", "equals"), expected)
        return Outcome(output={"result": holds}, handle="true" if holds else "false")

    def compare(self, left: Any, operator: str, expected: str) -> bool:  # noqa: ANN401  # as read
        return _COMPARE[operator](left, self.read(expected))

    def read(self, text: str) -> Any:  # noqa: ANN401  # what the comparison is between
        return text.strip()


class StatusCondition(Condition):
    """Whether a status is what is expected: text, such as `{{ fetch.status_code }}` and `200`."""

    component_id: ClassVar[str] = "status_condition"
    Fields: ClassVar[type[Fields]] = TextFields


class TagCondition(Condition):
    """Whether a text holds a tag, among others separated by commas or blanks."""

    component_id: ClassVar[str] = "tag_condition"
    Fields: ClassVar[type[Fields]] = TextFields

    def compare(self, left: Any, operator: str, expected: str) -> bool:  # noqa: ANN401  # as read
        tags = str(left).replace(",", " ").split()
        return _COMPARE[operator](tags if "contains" in operator else left, expected.strip())


class NumberCondition(Condition):
    component_id: ClassVar[str] = "number_condition"
    Fields: ClassVar[type[Fields]] = NumberFields

    def read(self, text: str) -> float:
        number: float = _read("a number", _parse_number, text)
        return number


class DateCondition(Condition):
    component_id: ClassVar[str] = "date_condition"
    Fields: ClassVar[type[Fields]] = DateFields

    def read(self, text: str) -> datetime:
        date: datetime = _read("a date", datetime.fromisoformat, text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)


class BooleanCondition(Condition):
    component_id: ClassVar[str] = "boolean_condition"
    Fields: ClassVar[type[Fields]] = BooleanFields

    def compare(self, left: Any, operator: str, expected: str) -> bool:  # noqa: ANN401, ARG002  # the contract's
        return bool(left)

    def read(self, text: str) -> bool:
        lowered = text.strip().lower()
        if lowered not in ("true", "false", "1", "0", "yes", "no", ""):
            raise CounterpartError("the condition's value is neither true nor false", cause=Cause.MISTAKE)
        return lowered in ("true", "1", "yes")


class ArrayCondition(Condition):
    component_id: ClassVar[str] = "array_condition"
    Fields: ClassVar[type[Fields]] = ArrayFields

    def compare(self, left: Any, operator: str, expected: str) -> bool:  # noqa: ANN401  # as read
        parts = [part if isinstance(part, str) else json.dumps(part) for part in left]
        return _COMPARE[operator](parts, expected.strip())

    def read(self, text: str) -> list[Any]:
        found = _read("a JSON array", json.loads, text)
        if not isinstance(found, list):
            raise CounterpartError("the condition's value is no JSON array", cause=Cause.MISTAKE)
        return found


class SwitchCondition(Condition):
    component_id: ClassVar[str] = "switch_condition"
    Fields: ClassVar[type[Fields]] = SwitchFields

    def handles(self, fields: Any) -> tuple[str, ...]:  # noqa: ANN401  # the contract's
        return (*fields.cases, "default")

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        value = execution.render(fields.value).strip()
        handle = next((name for name, text in fields.cases.items() if text == value), "default")
        return Outcome(output={"result": handle}, handle=handle)


def _parse_number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _read(what: str, parse: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401  # what parse gives
    try:
        return parse(text.strip())
    except (ValueError, RecursionError):
        pass
    raise CounterpartError(f"the condition's value is not {what}", cause=Cause.MISTAKE)
