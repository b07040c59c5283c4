"""The contract of a node: one component, its fields, and what it does with them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import NoneType
from typing import Any, ClassVar, Final, Protocol, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator
from pydantic.alias_generators import to_camel

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.outbound import HttpClient, Network
from worker.workflows.bounds import OUTPUT_MAX
from worker.workflows.masking import Masker
from worker.workflows.others import Others
from worker.workflows.templates import Path, Rendered, Scope, render

RENDERED_MAX: Final = 16 * OUTPUT_MAX
"""Characters that all templates of one node make."""


class NodeKind(StrEnum):
    TRIGGER = "trigger"
    ACTION = "action"
    CONDITION = "condition"


class Fields(BaseModel):
    """A component's own fields in `data`, camel case as SDX has them: what else stands there is kept and told,
    and does not come here. Null is as if a field were left out, and a number is neither true nor false.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, given: Any) -> Any:  # noqa: ANN401  # JSON
        if not isinstance(given, Mapping):
            return given
        takes = {field.alias or name: field.annotation for name, field in cls.model_fields.items()}
        return {
            name: part
            for name, part in given.items()
            if part is not None or takes.get(name, Any) is Any or NoneType in get_args(takes[name])
        }

    @field_validator("*", mode="before")
    @classmethod
    def _tell_numbers(cls, given: Any, info: ValidationInfo) -> Any:  # noqa: ANN401  # JSON
        annotation = cls.model_fields[info.field_name or ""].annotation
        taken = {annotation, *get_args(annotation)}
        if isinstance(given, bool) and taken & {int, float} and bool not in taken:
            raise ValueError("a number is neither true nor false")
        return given


MASKED: Final = object()
"""Of what is shown of an output: what masking leaves of it."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a node came to. `handle` is the branch that a condition takes; `ends` stops the run there.

    `retry_at`: when another try can help at the earliest, where the other side says so.
    `unsaid`: nobody said why it ended, and `failure` says no more than that it did. `skipped` says why a test
    tried nothing. `waits`: what follows the node is due that much later. `shown` is what may be shown of the
    output, where a node knows that better than masking.
    """

    output: Any
    shown: Any = MASKED
    waits: timedelta | None = None
    handle: str | None = None
    ends: str | None = None
    failure: str | None = None
    unsaid: bool = False
    cause: Cause | None = None
    retry_at: datetime | None = None
    skipped: str | None = None


@dataclass(kw_only=True)
class Execution:
    """What a node runs with: what templates see, the ways out, and who masks what comes back.

    `is_test`: the run is a test, with a sample context. `shown` is the context masked. `beside` are the
    other versions that work now, of items that a node names which asks for them. `traced` is the context with
    another thing wherever a value lies that is to be proven, or what came of it. `used`, `tainted` and `tried`
    are what the node did: the items that it looked up, and whether anything that is masked, and that value,
    went into one of its fields; `rendered` are the characters of all of these. `run_seconds` are what is left
    to the whole run, `seconds` to this node, from `begun` on. By `others` it starts other workflows, where it
    may.
    """

    scope: Scope
    http: HttpClient
    network: Network
    masker: Masker
    seconds: float
    shown: Mapping[str, Any]
    beside: Mapping[str, tuple[Secret, ...]] = field(default_factory=dict)
    is_test: bool = False
    run_seconds: float = 0.0
    others: Others | None = None
    traced: Mapping[str, Any] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    tainted: bool = False
    tried: bool = False
    begun: float = field(default_factory=time.monotonic)
    rendered: int = 0

    def render(self, template: str, *, header: bool = False) -> str:
        """The rendered text, to be used and not to be kept: the masker learns what it must hide."""
        if time.monotonic() - self.begun > self.seconds:
            raise TargetError("it did not render its templates in its time", cause=Cause.MISTAKE)
        rendered: Rendered = render(template, self.scope, header=header)
        self.rendered += len(rendered.text)
        if self.rendered > RENDERED_MAX:
            raise TargetError(
                f"its templates make more than {RENDERED_MAX} characters together", cause=Cause.MISTAKE
            )
        self.used |= rendered.used
        if any(self._differs(path, self.traced) for path in rendered.reads):
            self.tried = True
        if rendered.holds_value or any(self._differs(path, self.shown) for path in rendered.reads):
            self.tainted = True
            self.masker.learn(rendered)
        return rendered.text

    def render_beside(self, template: str) -> list[str]:
        """The template once for each other version that works now of an item that it names."""
        texts = []
        for name in sorted(render(template, self.scope).used):
            for other in self.beside.get(name, ()):
                scope = replace(self.scope, values={**self.scope.values, name: other})
                rendered = render(template, scope)
                self.masker.learn(rendered)
                texts.append(rendered.text)
        return texts

    def _differs(self, path: Path, view: Any) -> bool:  # noqa: ANN401  # JSON, or a mark in its place
        """Whether what lies at the path, or as near to it as there is something, is another in the view."""
        real: Any = self.scope.context
        for segment in path:
            try:
                real, view = real[segment], view[segment]
            except (KeyError, IndexError, TypeError):
                break
        else:
            return bool(real != view)
        return real is not self.scope.context and bool(real != view)

    def render_all(self, data: Any) -> Any:  # noqa: ANN401  # JSON
        """Every string inside a JSON-like structure, rendered."""
        if isinstance(data, str):
            return self.render(data)
        if isinstance(data, Mapping):
            return {key: self.render_all(part) for key, part in data.items()}
        if isinstance(data, list):
            return [self.render_all(part) for part in data]
        return data


class Component(Protocol):
    """One kind of node, found by entry point `nightkey.nodes`. Its docstring is what `nightkey node show` says.

    `value_fields` names the fields in which a template may name vault items; `reads_beside` says that it is
    given the other versions of those, too, which work at the same time. `stays_inside` says that nothing
    leaves when it runs: its test asks nobody, and where a value is to be proven it is run. `needs` is a module
    that comes with an extra of ours, as (module, extra). `example` are fields that work as they stand.
    """

    component_id: ClassVar[str]
    kind: ClassVar[NodeKind]
    Fields: ClassVar[type[Fields]]
    value_fields: ClassVar[frozenset[str]]
    reads_beside: ClassVar[bool]
    stays_inside: ClassVar[bool]
    needs: ClassVar[tuple[str, str] | None]
    example: ClassVar[Mapping[str, Any]]

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # its own Fields
        """Executes the node; raises `TargetError` with a cause, or tells a failure in the outcome."""

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # its own Fields
        """Shows that the node would work, and leaves nothing behind: safe to repeat. `skipped` where that
        cannot be shown without doing it.
        """

    def handles(self, fields: Any) -> tuple[str, ...]:  # noqa: ANN401  # its own Fields
        """The branches that may lead on; empty: one way on, without a handle."""

    def idle_fields(self, fields: Any) -> frozenset[str]:  # noqa: ANN401  # its own Fields
        """Fields that it does not look at as the others stand, such as the body of a GET."""


class Harmless:
    """For components that reach nothing outside: their test is to run them."""

    value_fields: ClassVar[frozenset[str]] = frozenset()
    reads_beside: ClassVar[bool] = False
    stays_inside: ClassVar[bool] = False
    needs: ClassVar[tuple[str, str] | None] = None
    example: ClassVar[Mapping[str, Any]] = {}

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # its own Fields
        raise NotImplementedError

    def test(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # its own Fields
        return self.run(fields, execution)

    def idle_fields(self, fields: Any) -> frozenset[str]:  # noqa: ANN401, ARG002  # the contract's
        return frozenset()


class OneWayOn(Harmless):
    """For components that lead on in one way, without a handle."""

    def handles(self, fields: Any) -> tuple[str, ...]:  # noqa: ANN401, ARG002  # the contract's
        return ()
