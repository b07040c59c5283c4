"""Nodes that only change data: JSON parser, text transform, data mapper."""

import json
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from vaultcore.errors import Cause, CounterpartError
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome
from worker.workflows.paths import take_path


class JsonParserFields(Fields):
    """`text` renders to JSON; `path`, dotted, takes a part of it: `items.0.id`."""

    text: str
    path: str = ""


class JsonParser(OneWayOn):
    component_id: ClassVar[str] = "json_parser"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = JsonParserFields

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        text = execution.render(fields.text)
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
            broken = True
        else:
            broken = False
        if broken:
            raise CounterpartError("the text is no JSON", cause=Cause.MISTAKE)
        return Outcome(output=take_path(found, fields.path))


class TextTransformFields(Fields):
    """`operation` upper, lower, trim; `replace` takes `search` and `replacement`; `split` and `join` a
    `separator`; `template` gives the rendered text as it is.
    """

    operation: Literal["upper", "lower", "trim", "replace", "split", "join", "template"] = "template"
    text: str
    search: str = ""
    replacement: str = ""
    separator: str = ","

    @model_validator(mode="after")
    def _check(self) -> "TextTransformFields":
        if self.operation == "replace" and not self.search:
            raise ValueError("operation replace needs search")
        if self.operation in ("split", "join") and not self.separator:
            raise ValueError(f"operation {self.operation} needs separator")
        return self


class TextTransform(OneWayOn):
    component_id: ClassVar[str] = "text_transform"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = TextTransformFields

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        text = execution.render(fields.text)
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


class DataMapperFields(Fields):
    """`mapping`: each key of the output, and the template (or structure of templates) that makes it."""

    mapping: dict[str, Any] = Field(min_length=1, max_length=200)


class DataMapper(OneWayOn):
    component_id: ClassVar[str] = "data_mapper"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = DataMapperFields

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        return Outcome(output=execution.render_all(fields.mapping))
