"""A document as SDX has it: its own shape, read for what is needed, with all that it holds beside that.

In the vendor's examples a node's `type` repeats its component's id, in the builder it is a kind: both are read.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from worker.workflows.remarks import OUTSIDE, Remark, Weight

NODES_MAX: Final = 20_000
EDGES_MAX: Final = 100_000
NODE_ID_MAX: Final = 100
_SAID: Final = {
    "extra_forbidden": "there is no such field",
    "missing": "it is required, and missing",
    "model_type": "it should be an object {…}",
    "dict_type": "it should be an object {…}",
    "list_type": "it should be a list […]",
    "string_type": "it should be text",
    "too_short": "there is nothing in it",
}
"""A validator's messages as a person reads them, by their kind."""
DRAWN: Final = frozenset(
    "width height selected dragging dragHandle draggable selectable connectable deletable focusable hidden "
    "measured resizing positionAbsolute style className zIndex sourcePosition targetPosition ariaLabel extent "
    "initialWidth initialHeight label".split()
)
"""Fields by which the builder draws a node: they mean nothing for a run."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class Node(_Part):
    id: str = Field(min_length=1, max_length=NODE_ID_MAX)
    type: str | None = None
    position: Any = None
    data: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, given: object) -> object:
        return _without_nulls(given, "data")

    @field_validator("id")
    @classmethod
    def _check_id(cls, node_id: str) -> str:
        if not node_id.isprintable() or node_id != node_id.strip():
            raise ValueError("use characters that can be shown, and no blank at an end")
        if node_id in ("vault", OUTSIDE):
            raise ValueError("templates would take it for something else: choose another")
        return node_id

    @property
    def component_id(self) -> str:
        """As the node has it: in `data`, else in `type`."""
        named = self.data.get("componentId")
        return named if isinstance(named, str) and named else self.type or ""


class Edge(_Part):
    id: str | None = None
    source: str
    target: str
    source_handle: str | None = Field(default=None, alias="sourceHandle")

    @property
    def shown(self) -> str:
        return self.id or f"{self.source} → {self.target}"


class Document(_Part):
    """Ours are `sample_context`, `critical` and `runs`: what tests run with, who comes last, where it runs."""

    id: str | None = Field(default=None, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")
    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")
    description: Any = None
    nodes: list[Node] = Field(min_length=1, max_length=NODES_MAX)
    edges: list[Edge] = Field(default_factory=list, max_length=EDGES_MAX)
    is_active: bool = True
    schedule_type: str | None = None
    schedule_value: str | None = None
    next_run_at: Any = None
    webhook_url: Any = None
    authorization: Any = None
    authorization_id: Any = None
    created_at: Any = None
    updated_at: Any = None
    sample_context: dict[str, Any] = Field(default_factory=dict)
    critical: bool = False
    runs: Literal["here", "elsewhere"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, given: object) -> object:
        return _without_nulls(given, "edges", "sample_context", "is_active", "critical")


def _without_nulls(given: object, *names: str) -> object:
    """Null is as if the field were left out."""
    if not isinstance(given, dict):
        return given
    return {name: part for name, part in given.items() if part is not None or name not in names}


def read_document(raw: object) -> Document | list[Remark]:
    """The document, or all that is wrong with its shape."""
    try:
        return Document.model_validate(raw)
    except ValidationError as error:
        return [_explain(one, raw) for one in error.errors(include_url=False, include_input=False)]


def find_unknown(document: Document) -> Iterator[Remark]:
    """What is kept of it without being known."""
    for name in document.model_extra or {}:
        yield Remark(weight=Weight.KEPT, where=f"field {name}", what="it means nothing here")
    for node in document.nodes:
        for name in node.model_extra or {}:
            if name not in DRAWN:
                where = f"node {node.id}, field {name}"
                what = "it means nothing here"
                yield Remark(weight=Weight.KEPT, where=where, what=what, node_id=node.id)


def _explain(problem: Any, raw: object) -> Remark:  # noqa: ANN401  # pydantic's ErrorDetails
    """A problem of the document's own shape, with the node's id where it lies inside one."""
    loc = list(problem["loc"])
    if len(loc) > 1 and loc[0] in ("nodes", "edges") and isinstance(loc[1], int):
        what = "node" if loc[0] == "nodes" else "edge"
        entry = raw[loc[0]][loc[1]] if isinstance(raw, dict) else None
        name = entry.get("id") if isinstance(entry, dict) else None
        shown = str(name)[:NODE_ID_MAX] if name else f"number {loc[1] + 1}"
        rest = ".".join(str(part) for part in loc[2:])
        return wrong(f"{what} {shown}" + (f", field {rest}" if rest else ""), say(problem))
    where = ".".join(str(part) for part in loc)
    return wrong(f"field {where}" if where else "the document", say(problem))


def wrong(where: str, what: str, node_id: str | None = None) -> Remark:
    return Remark(weight=Weight.WRONG, where=where, what=what, node_id=node_id)


def say(problem: Any) -> str:  # noqa: ANN401  # pydantic's ErrorDetails
    """A validator's message as the rest of a sentence."""
    said = _SAID.get(problem["type"])
    if said is not None:
        return said
    text: str = problem["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
