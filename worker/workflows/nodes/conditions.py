"""Conditions: each compares one rendered value, and leads on by the handle `true` or `false`, or by case."""

import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError
from worker.domain.strict_json import parse_json
from worker.workflows.nodes.base import Execution, Fields, Harmless, NodeKind, Outcome
from worker.workflows.nodes.readings import Text

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


_VALUE = "a template: what is looked at"


class TextFields(Fields):
    value: Text = Field(description=_VALUE)
    operator: Literal["equals", "not_equals", "contains", "not_contains"] = Field(
        default="equals", description="what must hold of the value"
    )
    expected: Text = Field(default="", description="a template: what the value is compared with")


class NumberFields(Fields):
    value: Text = Field(description=f"{_VALUE}, a number")
    operator: Operator = Field(default="equals", description="what must hold of the value")
    expected: Text = Field(description="a template: the number that it is compared with")


class DateFields(Fields):
    value: Text = Field(description=f"{_VALUE}, a date by ISO 8601; without a zone it is UTC")
    operator: Literal["before", "after", "equals"] = Field(
        default="before", description="what must hold of the value"
    )
    expected: Text = Field(description="a template: the date that it is compared with, as value")


class BooleanFields(Fields):
    value: Text = Field(description=f"{_VALUE}: true, yes, 1, or false, no, 0, or nothing, which is false")


class ArrayFields(Fields):
    value: Text = Field(description=f"{_VALUE}, an array as JSON: use the filter json")
    operator: Literal["contains", "not_contains", "is_empty", "is_not_empty"] = Field(
        default="contains", description="what must hold of the value"
    )
    expected: Text = Field(default="", description="a template: the text that it contains, or does not")


class SwitchFields(Fields):
    value: Text = Field(description=_VALUE)
    cases: dict[str, Text] = Field(
        min_length=1, max_length=50, description="for each handle the text that leads there, as it is written"
    )

    @field_validator("cases")
    @classmethod
    def _check_handles(cls, cases: dict[str, Text]) -> dict[str, str]:
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
    """Leads on by whether a status, or any text, is what is expected.

    Blanks around either do not count. Its branches are `true` and `false`.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "status_condition"
    Fields: ClassVar[type[Fields]] = TextFields
    example: ClassVar[Mapping[str, Any]] = {"value": "{{ webhook_payload.status }}", "expected": "200"}


class TagCondition(Condition):
    """Leads on by whether a text holds a tag, among others separated by commas or blanks.

    With `equals` and `not_equals` it is the whole text that is compared. Its branches are `true` and `false`.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "tag_condition"
    Fields: ClassVar[type[Fields]] = TextFields
    example: ClassVar[Mapping[str, Any]] = {
        "value": "{{ webhook_payload.tags }}",
        "operator": "contains",
        "expected": "urgent",
    }

    def compare(self, left: Any, operator: str, expected: str) -> bool:  # noqa: ANN401  # as read
        tags = str(left).replace(",", " ").split()
        return _COMPARE[operator](tags if "contains" in operator else left, expected.strip())


class NumberCondition(Condition):
    """Leads on by how a number compares with another.

    What is not a number, or not a finite one, is a mistake. Its branches are `true` and `false`.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "number_condition"
    Fields: ClassVar[type[Fields]] = NumberFields
    example: ClassVar[Mapping[str, Any]] = {
        "value": "{{ webhook_payload.amount }}",
        "operator": "greater_or_equal",
        "expected": "100",
    }

    def read(self, text: str) -> float:
        number: float = _read("a number", _parse_number, text)
        return number


class DateCondition(Condition):
    """Leads on by whether a date is before another, after it, or the same.

    A date may have a time, and a zone, which is UTC where it has none; what is not a date is a mistake. Its
    branches are `true` and `false`. It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "date_condition"
    Fields: ClassVar[type[Fields]] = DateFields
    example: ClassVar[Mapping[str, Any]] = {
        "value": "{{ webhook_payload.due }}",
        "operator": "before",
        "expected": "2027-01-01T00:00:00+01:00",
    }

    def read(self, text: str) -> datetime:
        date: datetime = _read("a date", datetime.fromisoformat, text)
        return date if date.tzinfo else date.replace(tzinfo=UTC)


class BooleanCondition(Condition):
    """Leads on by whether a value is true.

    What is neither true nor false is a mistake. Its branches are `true` and `false`.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "boolean_condition"
    Fields: ClassVar[type[Fields]] = BooleanFields
    example: ClassVar[Mapping[str, Any]] = {"value": "{{ webhook_payload.paid }}"}

    def compare(self, left: Any, operator: str, expected: str) -> bool:  # noqa: ANN401, ARG002  # the contract's
        return bool(left)

    def read(self, text: str) -> bool:
        lowered = text.strip().lower()
        if lowered not in ("true", "false", "1", "0", "yes", "no", ""):
            raise TargetError("the condition's value is neither true nor false", cause=Cause.MISTAKE)
        return lowered in ("true", "1", "yes")


class ArrayCondition(Condition):
    """Leads on by what an array contains, or by whether it is empty.

    A part that is not text is compared as JSON. What is not an array is a mistake. Its branches are `true` and
    `false`. It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "array_condition"
    Fields: ClassVar[type[Fields]] = ArrayFields
    example: ClassVar[Mapping[str, Any]] = {
        "value": "{{ webhook_payload.items | json }}",
        "operator": "contains",
        "expected": "book",
    }

    def compare(self, left: Any, operator: str, expected: str) -> bool:  # noqa: ANN401  # as read
        parts = [part if isinstance(part, str) else json.dumps(part) for part in left]
        return _COMPARE[operator](parts, expected.strip())

    def read(self, text: str) -> list[Any]:
        found = _read("a JSON array", parse_json, text)
        if not isinstance(found, list):
            raise TargetError("the condition's value is not a JSON array", cause=Cause.MISTAKE)
        return found


class SwitchCondition(Condition):
    """Leads on by one of many branches: the first whose text is the value.

    Its branches are the names in `cases`, and `default` for any other value.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "switch_condition"
    Fields: ClassVar[type[Fields]] = SwitchFields
    example: ClassVar[Mapping[str, Any]] = {
        "value": "{{ webhook_payload.country }}",
        "cases": {"at_home": "DE", "next_door": "FR"},
    }

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
    except (ValueError, InvalidInputError):
        pass
    raise TargetError(f"the condition's value is not {what}", cause=Cause.MISTAKE)
