"""A workflow's definition in SDX's own shape: read, checked whole, with every problem named where it is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from graphlib import TopologicalSorter
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vaultcore.errors import ConfigurationError, InvalidInputError
from vaultcore.references import Use
from worker.workflows.graph import check_graph
from worker.workflows.nodes.base import Component, Fields, NodeKind
from worker.workflows.nodes.catalog import component_ids, explain_missing, find_component
from worker.workflows.schedule import next_run
from worker.workflows.strict_json import parse_json
from worker.workflows.uses import find_node_uses

_NODE_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_OURS = frozenset({"uiId", "componentId", "onError"})
_PROBLEMS_MAX = 50
_RESERVED = frozenset({"vault", "webhook_payload", "rotation"})


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Position(_Strict):
    x: float
    y: float


class Node(_Strict):
    id: str
    type: Literal["trigger", "action", "condition"]
    position: Position | None = None
    data: dict[str, Any]


class Edge(_Strict):
    id: str
    source: str
    target: str
    source_handle: str | None = Field(default=None, alias="sourceHandle")
    target_handle: str | None = Field(default=None, alias="targetHandle")
    type: str | None = None


class Document(_Strict):
    """The file. `sample_context` and `critical` are ours: what tests run with, and who comes last."""

    id: str | None = Field(default=None, pattern=r"^fl_[0-9a-hjkmnp-tv-z]{26}$")
    name: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")
    description: str | None = None
    nodes: list[Node] = Field(min_length=1, max_length=500)
    edges: list[Edge] = Field(default_factory=list, max_length=2000)
    is_active: bool = True
    schedule_type: str = "manual"
    schedule_value: str | None = None
    next_run_at: str | None = None
    webhook_url: str | None = None
    authorization: Any = None
    created_at: str | None = None
    updated_at: str | None = None
    sample_context: dict[str, Any] = Field(default_factory=dict)
    critical: bool = False


@dataclass(frozen=True, kw_only=True)
class NodeUse:
    """A node names an item."""

    node_id: str
    use: Use


@dataclass(frozen=True)
class Definition:
    """A checked definition. Whatever it is asked for can no longer fail."""

    document: Document

    @property
    def id(self) -> str | None:
        return self.document.id

    @property
    def name(self) -> str:
        return self.document.name

    def named(self, name: str) -> "Definition":
        """The same under this name: the spelling of it that is kept."""
        return Definition(self.document.model_copy(update={"name": name}))

    @property
    def is_active(self) -> bool:
        return self.document.is_active

    @property
    def schedule_type(self) -> str:
        return self.document.schedule_type

    @property
    def schedule_value(self) -> str | None:
        return self.document.schedule_value

    @property
    def sample_context(self) -> Mapping[str, Any]:
        return self.document.sample_context

    @cached_property
    def nodes(self) -> dict[str, Node]:
        return {node.id: node for node in self.document.nodes}

    def node_ids(self) -> tuple[str, ...]:
        return tuple(self.nodes)

    def trigger_id(self) -> str:
        return next(node.id for node in self.document.nodes if node.type == "trigger")

    def component(self, node_id: str) -> Component:
        return _component(self.nodes[node_id])

    def fields(self, node_id: str) -> Fields:
        node = self.nodes[node_id]
        return self.component(node_id).Fields.model_validate(_own_fields(node))

    def goes_on_after_error(self, node_id: str) -> bool:
        return self.nodes[node_id].data.get("onError") == "branch"

    def order(self) -> tuple[str, ...]:
        """The nodes, each behind every node that leads to it."""
        sorter: TopologicalSorter[str] = TopologicalSorter({node_id: set() for node_id in self.nodes})
        for edge in self.document.edges:
            sorter.add(edge.target, edge.source)
        return tuple(sorter.static_order())

    def following(self, node_id: str, handle: str | None) -> list[str]:
        """The nodes that an edge of that handle leads to, in the order of the file."""
        return [
            edge.target
            for edge in self.document.edges
            if edge.source == node_id and (edge.source_handle or None) == handle
        ]

    def uses(self) -> tuple[NodeUse, ...]:
        """Every item that a node names, by static analysis."""
        return tuple(
            dict.fromkeys(
                NodeUse(node_id=node.id, use=use)
                for node in self.document.nodes
                for _, use in find_node_uses(_own_fields(node), _component(node))
            )
        )

    def stored(self) -> dict[str, Any]:
        return self.document.model_dump(mode="json", by_alias=True, exclude_none=True)


def load_definition(text: str, *, source: str) -> Definition:
    """Reads and checks a file's text. `InvalidInputError` holds every problem, a line each, naming
    the file, the node and the field.
    """
    problem = ""
    try:
        raw = parse_json(text)
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        raise InvalidInputError(f"{source}: {problem}")
    return _check(raw, source)


def chain_nodes(name: str, nodes: list[dict[str, Any]]) -> Definition:
    """A definition of actions that follow each other, from their `data`, each with an `id` or numbered.

    `InvalidInputError` as `load_definition`'s, with the list's name for the file.
    """
    ids = [str(data.get("id") or f"{name}_{number}") for number, data in enumerate(nodes, start=1)]
    datas = [{key: part for key, part in data.items() if key != "id"} for data in nodes]
    raw = {
        "name": name,
        "nodes": [
            {"id": f"{name}_start", "type": "trigger", "data": {"componentId": "manual_trigger"}},
            *({"id": i, "type": "action", "data": data} for i, data in zip(ids, datas, strict=True)),
        ],
        "edges": [
            {"id": f"e{number}", "source": source, "target": target}
            for number, (source, target) in enumerate(pairwise([f"{name}_start", *ids]))
        ],
    }
    return _check(raw, name)


def parse_stored(stored: Mapping[str, Any]) -> Definition:
    """A definition that was checked when it was stored."""
    return Definition(Document.model_validate(stored))


def _check(raw: object, source: str) -> Definition:
    try:
        document = Document.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = [_explain(problem, raw) for problem in found]
    else:
        problems = list(_find_problems(document))
        if not problems:
            return Definition(document)
    raise InvalidInputError("\n".join(f"{source}: {_on_one_line(p)}" for p in problems[:_PROBLEMS_MAX]))


def _on_one_line(problem: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in problem)


def _find_problems(document: Document) -> Iterator[str]:
    yield from _check_schedule(document)
    seen: set[str] = set()
    for node in document.nodes:
        if not _NODE_ID.fullmatch(node.id) or node.id in _RESERVED:
            yield (
                f"node {node.id[:70]!r}, field id: use letters, digits, _ and -, not beginning with a "
                f"digit, and none of {', '.join(sorted(_RESERVED))}"
            )
        if node.id in seen:
            yield f"node {node.id}, field id: two nodes have it"
        seen.add(node.id)
        yield from (f"node {node.id}, {problem}" for problem in _check_node(node))
    handles = {node.id: _handles(node) for node in document.nodes}
    yield from check_graph(
        triggers=[node.id for node in document.nodes if node.type == "trigger"],
        handles=handles,
        edges=[(e.id, e.source, e.target, e.source_handle or None) for e in document.edges],
    )


def _check_schedule(document: Document) -> Iterator[str]:
    problem = ""
    try:
        next_run(document.schedule_type, document.schedule_value, datetime(2026, 1, 1, tzinfo=UTC))
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        yield f"field schedule_value: {problem}"


def _check_node(node: Node) -> Iterator[str]:
    component_id = node.data.get("componentId")
    component = find_component(component_id)
    if component is None:
        yield (
            f"field data.componentId: unknown component {str(component_id)[:50]!r}: "
            f"there are {', '.join(component_ids())}"
        )
        return
    missing = explain_missing(component)
    if missing is not None:
        yield f"field data.componentId: {missing}"
    if component.kind.value != node.type:
        yield f"field type: {component_id} is of type {component.kind.value}, not {node.type}"
    if node.data.get("onError") not in (None, "stop", "branch"):
        yield "field data.onError: use stop or branch"
    try:
        component.Fields.model_validate(_own_fields(node))
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            yield f"field data.{_explain_field(problem)}"
        return
    yield from _check_uses(node, component)


def _check_uses(node: Node, component: Component) -> Iterator[str]:
    problem = ""
    try:
        list(find_node_uses(_own_fields(node), component))
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        yield f"field data.{problem}"


def _handles(node: Node) -> tuple[str, ...] | None:
    """The handles that edges may leave by; None: unknown, since the node itself is wrong."""
    component = find_component(node.data.get("componentId"))
    if component is None:
        return None
    try:
        own = component.handles(component.Fields.model_validate(_own_fields(node)))
    except ValidationError:
        return None
    error = ("error",) if node.data.get("onError") == "branch" else ()
    if component.kind is NodeKind.CONDITION:
        return own + error
    return ("", *error)


def _component(node: Node) -> Component:
    """Of a definition that was checked; `ConfigurationError` if it was uninstalled since."""
    component_id = node.data.get("componentId")
    component = find_component(component_id)
    if component is None:
        raise ConfigurationError(f"node {node.id}: component {component_id} is no longer installed")
    return component


def _own_fields(node: Node) -> dict[str, Any]:
    return {name: value for name, value in node.data.items() if name not in _OURS}


def _explain(problem: Any, raw: object) -> str:  # noqa: ANN401  # pydantic's ErrorDetails
    """A problem of the document's own shape, with the node's id where it lies inside one."""
    where = list(problem["loc"])
    if len(where) > 1 and where[0] in ("nodes", "edges") and isinstance(where[1], int):
        what = "node" if where[0] == "nodes" else "edge"
        entry = raw[where[0]][where[1]] if isinstance(raw, dict) else None
        name = entry.get("id") if isinstance(entry, dict) else None
        rest = ".".join(str(part) for part in where[2:])
        return f"{what} {name or f'number {where[1] + 1}'}, field {rest or 'itself'}: {_say(problem)}"
    return f"field {'.'.join(str(part) for part in where) or 'itself'}: {_say(problem)}"


def _explain_field(problem: Any) -> str:  # noqa: ANN401  # pydantic's ErrorDetails
    field = ".".join(str(part) for part in problem["loc"])
    return f"{field}: {_say(problem)}" if field else _say(problem)


def _say(problem: Any) -> str:  # noqa: ANN401  # pydantic's ErrorDetails
    if problem["type"] == "extra_forbidden":
        return "there is no such field"
    text: str = problem["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
