"""A workflow's definition: a document as it was given, and what it means here."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from vaultcore.errors import ConfigurationError, InvalidInputError
from vaultcore.references import Use
from worker.domain.strict_json import parse_json
from worker.workflows.document import Document, Edge, Node, find_unknown, read_document
from worker.workflows.graph import ERROR, check_graph, reach, sort
from worker.workflows.judging import JudgedNode, find_triggers, goes_on, judge_node, own_fields
from worker.workflows.nodes.base import Component, Fields, NodeKind
from worker.workflows.nodes.catalog import find_component
from worker.workflows.nodes.starting import StartingFields
from worker.workflows.remarks import OUTSIDE, Remark, Weight, of_weight
from worker.workflows.schedule import next_run
from worker.workflows.uses import FoundUse, TextTrouble, find_all_uses, find_data_paths

_PROBLEMS_MAX = 50
_BYTE_ORDER_MARK = "\ufeff"
_SCHEDULE_MAX = 100
_PARTS = frozenset({"nodes", "edges"})
_NOTES = frozenset({"name", "description", "sample_context"})
"""Fields of the document that no engine renders."""


@dataclass(frozen=True, kw_only=True)
class NodeUse:
    """A node names an item. `mentioned`: nothing looks it up there when the workflow runs."""

    node_id: str
    use: Use
    mentioned: bool = False


@dataclass(frozen=True)
class Definition:
    """A definition in which nothing is wrong. `text` is the document as it was given. What runs here, and why
    not, is worked out when it is asked for.
    """

    text: str
    document: Document = field(compare=False)
    kept_name: str = field(default="", compare=False)

    @property
    def id(self) -> str | None:
        """As the document has it, which need not be an id of ours."""
        return self.document.id

    @property
    def name(self) -> str:
        return self.kept_name or self.document.name

    def named(self, name: str) -> "Definition":
        """The same under this name: the spelling of it that is kept."""
        return replace(self, kept_name=name)

    @property
    def is_active(self) -> bool:
        return self.document.is_active

    @property
    def schedule_type(self) -> str:
        """As far as it is one of ours; `manual` otherwise."""
        return "manual" if self._schedule_remark else self.document.schedule_type or "manual"

    @property
    def schedule_value(self) -> str | None:
        return None if self.schedule_type == "manual" else self.document.schedule_value

    @property
    def sample_context(self) -> Mapping[str, Any]:
        return self.document.sample_context

    @property
    def critical(self) -> bool:
        return self.document.critical

    @cached_property
    def nodes(self) -> dict[str, Node]:
        return {node.id: node for node in self.document.nodes}

    def node_ids(self) -> tuple[str, ...]:
        return tuple(self.nodes)

    @cached_property
    def _triggers(self) -> list[str]:
        return find_triggers(self.document)

    def trigger_id(self) -> str:
        return self._triggers[0]

    def component(self, node_id: str) -> Component:
        """`ConfigurationError` if it is none of ours, or was uninstalled."""
        node = self.nodes[node_id]
        component = find_component(node.component_id)
        if component is None:
            raise ConfigurationError(f"node {node.id}: component {node.component_id} is not installed")
        return component

    def reads_beside(self, node_id: str) -> bool:
        component = find_component(self.nodes[node_id].component_id) if node_id in self.nodes else None
        return component is not None and component.reads_beside

    def fields(self, node_id: str) -> Fields:
        component = self.component(node_id)
        return component.Fields.model_validate(own_fields(self.nodes[node_id], component))

    def goes_on_after_error(self, node_id: str) -> bool:
        return goes_on(self.nodes[node_id]) and bool(self._leads[node_id].get(ERROR))

    def order(self) -> tuple[str, ...]:
        """The nodes, each behind every node that leads to it; of a definition that runs here."""
        return tuple(sort(self.nodes, self.document.edges).static_order())

    @cached_property
    def _leads(self) -> Mapping[str, Mapping[str, list[str]]]:
        """Where each node leads, by handle. A handle of one that does not branch says nothing."""
        leads: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for edge in self.document.edges:
            leads[edge.source][self._handle(edge)].append(edge.target)
        return leads

    def _handle(self, edge: Edge) -> str:
        handle = edge.source_handle or ""
        component = find_component(self.nodes[edge.source].component_id)
        if handle != ERROR and component is not None and component.kind is not NodeKind.CONDITION:
            return ""
        return handle

    def following(self, node_id: str, handle: str | None) -> list[str]:
        """The nodes that an edge of that handle leads to, in the order of the document."""
        return self._leads[node_id].get(handle or "", [])

    # What it means here

    @cached_property
    def _judged(self) -> dict[str, JudgedNode]:
        return {node.id: judge_node(node) for node in self.document.nodes}

    @cached_property
    def remarks(self) -> tuple[Remark, ...]:
        """All that is to be said of it."""
        return tuple(_find_remarks(self.document, self._judged, self._triggers, self._schedule_remark))

    @cached_property
    def away(self) -> tuple[Remark, ...]:
        """Why it cannot run here; empty: it can."""
        return tuple(of_weight(self.remarks, Weight.ELSEWHERE))

    def why_untested(self, node_id: str) -> str | None:
        """Why a node of a workflow that runs elsewhere cannot be tested here; None: it can."""
        all_judged = self.__dict__.get("_judged")
        judged = judge_node(self.nodes[node_id]) if all_judged is None else all_judged[node_id]
        if judged.component is None or judged.fields is None:
            return "it cannot run here" if judged.away is None else judged.away.what
        for path in find_data_paths(own_fields(judged.node, judged.component)):
            if not _holds(self.sample_context, path):
                return f"it needs {'.'.join(map(str, path))[:100]}, which sample_context does not have"
        return None

    def starts(self) -> tuple[str, ...]:
        """The workflows that nodes which run here start, by name or id, each once."""
        fields = [judged.fields for judged in self._judged.values()]
        return tuple(dict.fromkeys(one.workflow_id for one in fields if isinstance(one, StartingFields)))

    def uses(self, *, here: bool) -> tuple[NodeUse, ...]:
        """Every item that the document names, by static analysis. `here`: it runs here, so that what no field
        of ours looks up, or stands where no run comes, is only mentioned; of what another engine does with its
        nodes nobody knows that.
        """
        reached = reach(self.trigger_id(), self.document.edges) if here else self.nodes.keys()
        found: dict[tuple[str, Use], bool] = {}
        for node_id, one in self._find(here=here):
            mentioned = one.mentioned
            if node_id != OUTSIDE:
                mentioned = here and (one.mentioned or node_id not in reached)
            key = (node_id, one.use)
            found[key] = mentioned and found.get(key, True)
        return tuple(NodeUse(node_id=n, use=use, mentioned=m) for (n, use), m in found.items())

    def _find(self, *, here: bool) -> Iterator[tuple[str, FoundUse]]:
        for node_id, judged in self._judged.items():
            yield from ((node_id, one) for one in judged.found)
        for one in _find_outside(self.document, here=here):
            if isinstance(one, FoundUse):
                yield OUTSIDE, one

    @cached_property
    def _schedule_remark(self) -> Remark | None:
        return _check_schedule(self.document)


def load_definition(text: str, *, source: str, strict: bool = False) -> Definition:
    """Reads and checks a document's text. `InvalidInputError` holds all that is wrong, a line each, naming the
    file, the node and the field; `strict`: all that is to be said of it.
    """
    problem = "" if text.strip() else "it is empty"
    try:
        raw = parse_json(text.removeprefix(_BYTE_ORDER_MARK), unique=True)
    except InvalidInputError as error:
        problem = problem or str(error)
    if problem:
        raise InvalidInputError(f"{source}: {problem}")
    return _check(text, raw, source, strict=strict)


def chain_nodes(name: str, nodes: list[dict[str, Any]]) -> Definition:
    """A definition of actions that follow each other, from their `data`, each with an `id` or numbered. All of
    it must run here.

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
    return _check(json.dumps(raw), raw, name, strict=True)


def define_node(node: Mapping[str, Any]) -> tuple[Definition, str]:
    """A definition of this node alone, behind a trigger where it is none; and its id.

    `InvalidInputError` as `load_definition`'s, with `node` for the file.
    """
    given = {**node}
    found = read_document({"name": "node", "nodes": [given]})
    if isinstance(found, list):
        raise _refuse(found, "node")
    (one,) = found.nodes
    component = find_component(one.component_id)
    if component is None:
        raise InvalidInputError(f"node: {one.component_id[:60]!r} is no component that is installed here")
    nodes, edges = [given], list[dict[str, str]]()
    if component.kind is not NodeKind.TRIGGER:
        start = "start" if one.id != "start" else "begin"
        nodes = [{"id": start, "type": "trigger", "data": {"componentId": "manual_trigger"}}, given]
        edges = [{"source": start, "target": one.id}]
    raw = {"name": "node", "nodes": nodes, "edges": edges}
    return _check(json.dumps(raw), raw, "node", strict=False), one.id


def parse_stored(text: str) -> Definition:
    """A definition that was checked when it was stored."""
    return Definition(text, Document.model_validate(json.loads(text.removeprefix(_BYTE_ORDER_MARK))))


def _refuse(remarks: Iterable[Remark], source: str) -> InvalidInputError:
    return InvalidInputError("\n".join(f"{source}: {remark}" for remark in list(remarks)[:_PROBLEMS_MAX]))


def _check(text: str, raw: object, source: str, *, strict: bool) -> Definition:
    document = read_document(raw)
    if isinstance(document, list):
        raise _refuse(document, source)
    definition = Definition(text, document)
    refused = [r for r in definition.remarks if strict or r.weight is Weight.WRONG]
    if refused:
        raise _refuse(refused, source)
    return definition


def _find_remarks(
    document: Document, judged: Mapping[str, JudgedNode], triggers: list[str], schedule: Remark | None
) -> Iterator[Remark]:
    if schedule is not None:
        yield schedule
    yield from find_unknown(document)
    for one in _find_outside(document, here=False):
        if isinstance(one, TextTrouble):
            yield Remark(weight=one.weight, where=f"field {one.path}", what=one.what)
    seen: set[str] = set()
    for node in document.nodes:
        if node.id in seen:
            yield Remark(weight=Weight.WRONG, where=f"node {node.id}, field id", what="two nodes have it")
        seen.add(node.id)
        yield from judged[node.id].remarks
    yield from check_graph(
        triggers=triggers,
        exits={node_id: one.exits for node_id, one in judged.items()},
        edges=document.edges,
    )


def _find_outside(document: Document, *, here: bool) -> Iterator[FoundUse | TextTrouble]:
    """What is named beside the nodes: by edges, by fields of the document."""
    for number, edge in enumerate(document.edges):
        for name, part in edge:
            yield from find_all_uses(part, mentioned=here, path=f"edges.{number}.{name}")
    for name, part in document:
        if name not in _PARTS:
            yield from find_all_uses({name: part}, mentioned=here or name in _NOTES, noted=name in _NOTES)


def _check_schedule(document: Document) -> Remark | None:
    kind, value = document.schedule_type or "manual", document.schedule_value
    if kind == "manual":
        return None
    if value is not None and len(value) > _SCHEDULE_MAX:
        what = f"it has {len(value)} characters: {_SCHEDULE_MAX} at most"
        return Remark(weight=Weight.ELSEWHERE, where="field schedule_value", what=what)
    try:
        next_run(kind, value, datetime(2026, 1, 1, tzinfo=UTC))
    except InvalidInputError as error:
        return Remark(weight=Weight.ELSEWHERE, where="field schedule_value", what=str(error))
    return None


def _holds(context: Mapping[str, Any], path: tuple[str | int, ...]) -> bool:
    part: Any = context
    for segment in path:
        try:
            part = part[segment]
        except (LookupError, TypeError):
            return False
    return True
