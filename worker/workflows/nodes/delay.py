"""`delay`: what follows goes on later."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome

LONGEST = timedelta(minutes=15)


class DelayFields(Fields):
    duration: int = Field(ge=0, description="how long, as a whole number of units; 15 minutes at most")
    unit: Literal["seconds", "minutes", "hours", "days"] = Field(
        default="seconds", description="what duration counts"
    )

    @model_validator(mode="after")
    def _check(self) -> "DelayFields":
        if self.duration > LONGEST.total_seconds() or self.length > LONGEST:
            raise ValueError("duration: a delay is 15 minutes at most")
        return self

    @property
    def length(self) -> timedelta:
        return timedelta(**{self.unit: self.duration})


class Delay(OneWayOn):
    """Waits, 15 minutes at most; then what follows goes on, with the values that the run began with.

    No worker is held meanwhile. What the run needs is kept sealed, and whoever comes first when its time has
    come goes on with it: a worker of `nightkey up`, which looks every `ring_seconds` (60), or the next
    `nightkey night`. So a delay of seconds is as exact as that. A caller who waits for the answer of an
    `api_trigger` gets 202 with the run's id, and the hour that a run may take counts from its start: a delay
    that would end later fails at once.
    In a test, and in a controlled run, its time is skipped, and its output says so. It cannot stand in a
    workflow that an iterator runs.
    """

    component_id: ClassVar[str] = "delay"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = DelayFields
    stays_inside: ClassVar[bool] = True
    example: ClassVar[Mapping[str, Any]] = {"duration": 5, "unit": "minutes"}

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: `{"waited_seconds"}`, or `{"skipped_seconds"}` in a test."""
        length = DelayFields.model_validate(fields).length
        seconds = int(length.total_seconds())
        if execution.is_test:
            return Outcome(output={"skipped_seconds": seconds})
        return Outcome(output={"waited_seconds": seconds}, waits=length or None)
