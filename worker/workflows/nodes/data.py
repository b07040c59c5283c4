"""Nodes that only change data: JSON parser, text transform, data mapper."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError
from worker.domain.json_paths import take_path
from worker.domain.strict_json import parse_json
from worker.workflows.bounds import OUTPUT_MAX
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome


class JsonParserFields(Fields):
    text: str = Field(description="a template that gives JSON")
    path: str = Field(
        default="", description="dotted, to the part that is wanted: items.0.id; empty: the whole"
    )


class JsonParser(OneWayOn):
    """Reads a text as JSON, and gives on all of it or a part.

    A text that is not JSON, and a path at which there is nothing, are mistakes.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "json_parser"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = JsonParserFields
    example: ClassVar[Mapping[str, Any]] = {"text": "{{ webhook_payload.document }}", "path": "order.id"}

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        text, problem = execution.render(fields.text), ""
        try:
            found = parse_json(text)
        except InvalidInputError as error:
            problem = str(error)
        if problem:
            raise TargetError(f"the text is not JSON that can be read: {problem}", cause=Cause.MISTAKE)
        return Outcome(output=take_path(found, fields.path))


class TextTransformFields(Fields):
    operation: Literal["upper", "lower", "trim", "replace", "split", "join", "template"] = Field(
        default="template", description="what is done to the text; template leaves it as it is"
    )
    text: str = Field(description="a template")
    search: str = Field(default="", description="replace: what is replaced, wherever it is; as it is written")
    replacement: str = Field(default="", description="replace: by what; as it is written")
    separator: str = Field(
        default=",", description="split: what is between the parts; join: what is put between the words"
    )

    @model_validator(mode="after")
    def _check(self) -> "TextTransformFields":
        if self.operation == "replace" and not self.search:
            raise ValueError("operation replace needs search")
        if self.operation in ("split", "join") and not self.separator:
            raise ValueError(f"operation {self.operation} needs separator")
        return self


class TextTransform(OneWayOn):
    """Changes a text: its case, its blanks, what it contains, or into parts and back.

    Its output is `{"text"}`, a list of texts after `split`. `join` takes the words of the text, which are
    separated by blanks. It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "text_transform"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = TextTransformFields
    example: ClassVar[Mapping[str, Any]] = {
        "operation": "replace",
        "text": "{{ webhook_payload.phone }}",
        "search": " ",
        "replacement": "",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        text = execution.render(fields.text)
        if _foresee(fields, text) > OUTPUT_MAX:
            raise TargetError(
                f"{fields.operation} makes more than {OUTPUT_MAX} characters of the text", cause=Cause.MISTAKE
            )
        changed: str | list[str]
        match fields.operation:
            case "upper":
                changed = text.upper()
            case "lower":
                changed = text.lower()
            case "trim":
                changed = text.strip()
            case "replace":
                changed = text.replace(fields.search, fields.replacement)
            case "split":
                changed = text.split(fields.separator)
            case "join":
                changed = fields.separator.join(text.split())
            case _:
                changed = text
        return Outcome(output={"text": changed})


def _foresee(fields: TextTransformFields, text: str) -> int:
    """How many characters there will be, at most."""
    match fields.operation:
        case "replace":
            return len(text) + text.count(fields.search) * len(fields.replacement)
        case "join":
            return len(text) + len(text.split()) * len(fields.separator)
        case _:
            return 0


class DataMapperFields(Fields):
    mapping: dict[str, Any] = Field(
        min_length=1, max_length=200, description="the output: JSON whose strings are templates"
    )


class DataMapper(OneWayOn):
    """Builds its output from what the nodes before it gave.

    Each string of `mapping`, however deep, is a template, and gives text; all else is given on as it is.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "data_mapper"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = DataMapperFields
    example: ClassVar[Mapping[str, Any]] = {
        "mapping": {
            "customer": {"name": "{{ webhook_payload.name | upcase }}"},
            "lines": ["{{ webhook_payload.amount }}", 0],
        }
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        return Outcome(output=execution.render_all(fields.mapping))
