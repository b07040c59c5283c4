"""`string_condition`: compares one text with another, as they stand."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from worker.workflows.nodes.base import Execution, Fields, Outcome
from worker.workflows.nodes.conditions import Condition
from worker.workflows.nodes.readings import Text, lacks

_HOLDS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "equals": lambda value, expected: value == expected,
    "not_equals": lambda value, expected: value != expected,
    "contains": lambda value, expected: expected in value,
    "not_contains": lambda value, expected: expected not in value,
    "starts_with": lambda value, expected: value.startswith(expected),
    "ends_with": lambda value, expected: value.endswith(expected),
    "is_empty": lambda value, _: not value.strip(),
    "is_not_empty": lambda value, _: bool(value.strip()),
}
_OF_ITSELF: Final = frozenset({"is_empty", "is_not_empty"})
_NEVER_OF_NOTHING: Final = frozenset({"contains", "not_contains", "starts_with", "ends_with"})
"""What any text does where it is compared with nothing: such a condition was not finished."""


class StringFields(Fields):
    value: Text = Field(description="a template: what is looked at")
    operator: Literal[
        "equals",
        "not_equals",
        "contains",
        "not_contains",
        "starts_with",
        "ends_with",
        "is_empty",
        "is_not_empty",
    ] = Field(default="equals", description="what must hold of the value")
    expected: Text | None = Field(
        default=None, description="a template: what the value is compared with; not for is_empty, is_not_empty"
    )
    ignore_case: bool = Field(default=False, description="whether capital and small letters are the same")

    @model_validator(mode="after")
    def _check(self) -> "StringFields":
        nothing = ("",) if self.operator in _NEVER_OF_NOTHING else ()
        if self.operator not in _OF_ITSELF and self.expected in (None, *nothing):
            raise lacks(f"operator {self.operator} needs expected")
        return self


class StringCondition(Condition):
    """Leads on by how a text compares with another.

    Blanks count, so that a text may begin with one; a text of blanks alone is empty all the same. Its branches
    are `true` and `false`. It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "string_condition"
    Fields: ClassVar[type[Fields]] = StringFields
    example: ClassVar[Mapping[str, Any]] = {
        "value": "{{ webhook_payload.name }}",
        "operator": "starts_with",
        "expected": "ad",
        "ignoreCase": True,
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        texts = [execution.render(fields.value), execution.render(fields.expected or "")]
        value, expected = map(str.casefold, texts) if fields.ignore_case else texts
        holds = _HOLDS[fields.operator](value, expected)
        return Outcome(output={"result": holds}, handle="true" if holds else "false")
