"""What becomes of a document's nodes here: the component that runs each, its fields, and what is in the way.

A node that we do not know, or that asks for what we do not do, is no mistake: its workflow runs elsewhere.
Pure.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any, Final

from pydantic import ValidationError

from worker.workflows.document import Document, Node, say
from worker.workflows.graph import Exits
from worker.workflows.nodes.base import Component, Fields, NodeKind
from worker.workflows.nodes.catalog import explain_missing, find_component
from worker.workflows.remarks import Remark, Weight
from worker.workflows.uses import FoundUse, TextTrouble, find_all_uses, find_node_uses

_NOTES: Final = frozenset("uiId componentId description label notes operation".split())
"""Fields of any node's `data` by which people tell it from others, and which component it is."""
_ON_ERROR: Final = frozenset({"onError", "continue_on_error", "continueOnError"})
_TRIGGER = re.compile(r"(^|[_.\s-])trigger$", re.IGNORECASE)
_KINDS: Final = frozenset(kind.value for kind in NodeKind)
_ALIKE: Final = 0.6
_OF_KINDS: Final = "of_kinds"
_KIND_NAMES: Final = {
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "list[any]": "a list […]",
    "dict[str,any]": "an object {…}",
}
"""What a validator calls the kinds that a field may be of, and how they are told."""
_MARKUP = re.compile(r"\{\{|\{%")


@dataclass(frozen=True, kw_only=True)
class JudgedNode:
    """A node as it is understood here. `fields` is None where it cannot run here, and `remarks` say why."""

    node: Node
    component: Component | None
    fields: Fields | None
    found: tuple[FoundUse, ...]
    remarks: tuple[Remark, ...]

    @property
    def away(self) -> Remark | None:
        """The first reason why it cannot run here."""
        return next((remark for remark in self.remarks if remark.weight is Weight.ELSEWHERE), None)

    @property
    def exits(self) -> Exits | None:
        on_error = goes_on(self.node)
        if self.component is None or self.fields is None:
            return None
        if self.component.kind is NodeKind.CONDITION:
            return Exits(branches=self.component.handles(self.fields), on_error=on_error)
        return Exits(on_error=on_error)


def goes_on(node: Node) -> bool:
    """Whether it goes on by its error branch after a failure."""
    said = (node.data.get("continue_on_error"), node.data.get("continueOnError"))
    return True in said or node.data.get("onError") == "branch"


def judge_node(node: Node) -> JudgedNode:
    component = find_component(node.component_id)
    fields: Fields | None = None
    said: list[FoundUse | Remark] = [*_judge_common(node)]
    if component is None:
        said += _judge_unknown(node)
    else:
        own = own_fields(node, component)
        fields, problems = _read_fields(component, own)
        said += _judge_known(node, component, own, fields, problems)
    said += _judge_beside(node, component)
    remarks = tuple(one for one in said if isinstance(one, Remark))
    return JudgedNode(
        node=node,
        component=component,
        fields=fields if all(remark.weight is Weight.KEPT for remark in remarks) else None,
        found=tuple(dict.fromkeys(one for one in said if isinstance(one, FoundUse))),
        remarks=remarks,
    )


def find_triggers(document: Document) -> list[str]:
    """The nodes at which a run begins. Of components that we do not know it is told by type or name, and else
    the one node to which no edge leads is taken for it.
    """
    found = [node.id for node in document.nodes if _is_trigger(node)]
    if found:
        return found
    targets, sources = ({edge.target for edge in document.edges}, {edge.source for edge in document.edges})
    first = [node.id for node in document.nodes if node.id not in targets and _may_be_trigger(node)]
    leading = [node_id for node_id in first if node_id in sources]
    return next(([*some] for some in (first, leading) if len(some) == 1), [])


def own_fields(node: Node, component: Component) -> dict[str, Any]:
    """What of `data` is the component's own, by the names that it has for them."""
    names = field_names(component)
    return {names[name]: value for name, value in node.data.items() if name in names}


def field_names(component: Component) -> Mapping[str, str]:
    """How a field may be spelled, and its name: `testMethod` as `test_method`."""
    return _names_of(component.Fields)


@cache
def _names_of(fields: type[Fields]) -> Mapping[str, str]:
    names: dict[str, str] = {}
    for name, field in fields.model_fields.items():
        names[name] = names[field.alias or name] = field.alias or name
    return names


def _is_trigger(node: Node) -> bool:
    component = find_component(node.component_id)
    if component is not None:
        return component.kind is NodeKind.TRIGGER
    if node.type in _KINDS:
        return node.type == NodeKind.TRIGGER
    return bool(_TRIGGER.search(node.component_id))


def _may_be_trigger(node: Node) -> bool:
    return find_component(node.component_id) is None and node.type not in ("action", "condition")


def _judge_unknown(node: Node) -> Iterator[FoundUse | Remark]:
    named = node.component_id[:60]
    what = f"component {named} is not known here" if named else "it names no component"
    yield _remark(node, Weight.ELSEWHERE, "data.componentId", what)
    yield from _in_node(node, find_all_uses(_without_notes(node), mentioned=False))


def _judge_beside(node: Node, component: Component | None) -> Iterator[FoundUse | Remark]:
    """What stands beside the fields of the component: what people note, and what the builder draws."""
    outside = {"id": node.id, "type": node.type, "position": node.position, **(node.model_extra or {})}
    for one in find_all_uses(outside, mentioned=True):
        yield one if isinstance(one, FoundUse) else _remark(node, one.weight, one.path, one.what)
    notes = {name: part for name, part in node.data.items() if name in _NOTES - {"componentId"}}
    if component is not None:
        notes = {name: part for name, part in notes.items() if name not in field_names(component)}
    yield from _in_node(node, find_all_uses(notes, mentioned=True, noted=True))


def _judge_common(node: Node) -> Iterator[Remark]:
    named = node.data.get("componentId")
    if named is not None and not isinstance(named, str):
        yield _remark(node, Weight.WRONG, "data.componentId", "input should be a valid string")
    if node.data.get("onError") not in (None, "stop", "branch"):
        yield _remark(node, Weight.WRONG, "data.onError", "use stop or branch")
    for name in ("continue_on_error", "continueOnError"):
        if not isinstance(node.data.get(name), bool | None):
            yield _remark(node, Weight.WRONG, f"data.{name}", "input should be a valid boolean")


def _read_fields(component: Component, own: Mapping[str, Any]) -> tuple[Fields | None, list[Any]]:
    """The component's fields; or None, and what its validator says against them."""
    try:
        return component.Fields.model_validate(own), []
    except ValidationError as error:
        return None, [*error.errors(include_url=False)]


def _judge_known(
    node: Node, component: Component, own: Mapping[str, Any], fields: Fields | None, problems: Sequence[Any]
) -> Iterator[FoundUse | Remark]:
    missing = explain_missing(component)
    if missing is not None:
        yield _remark(node, Weight.ELSEWHERE, "data.componentId", missing)
    if node.type in _KINDS and node.type != component.kind.value:
        what = f"{component.component_id} is of kind {component.kind.value}, and is taken for that"
        yield _remark(node, Weight.KEPT, "type", what)
    unknown = _unknown_fields(node, component)
    yield from _find_twice(node, component)
    yield from _judge_fields(node, problems, unknown)
    idle = frozenset[str]() if fields is None else component.idle_fields(fields)
    yield from _in_node(node, find_node_uses(own, component, idle=idle))
    for name, part in unknown.items():
        inside = list(find_all_uses({name: part}, mentioned=False))
        matters = any(isinstance(one, FoundUse) for one in inside)
        if matters or component.kind is NodeKind.CONDITION:
            names = " and names a vault item" if matters else ""
            what = f"it is not known here{names}: without it this would do something else"
            yield _remark(node, Weight.ELSEWHERE, f"data.{name}", what)
        else:
            yield _remark(node, Weight.KEPT, f"data.{name}", "it means nothing here")
        yield from _in_node(node, inside)


def _judge_fields(node: Node, problems: Sequence[Any], unknown: Collection[str]) -> Iterator[Remark]:
    for field, problem in _by_field(problems):
        given = problem.get("input")
        away = (
            problem["type"] in ("literal_error", "extra_forbidden")
            or (problem["type"] == "missing" and bool(unknown))
            or (isinstance(given, str) and bool(_MARKUP.search(given)) and problem["type"] != "missing")
        )
        what = problem["msg"] if problem["type"] == _OF_KINDS else say(problem)
        if problem["type"] == "missing":
            meant = next((name for name in unknown if _is_slip(name, field)), None)
            away = away and meant is None
            what = f"it is required, and missing: is {meant} meant for it?" if meant else what
            if away:
                what = "it is needed, and other fields stand there that are not known here"
        path = f"data.{field}" if field else "data"
        yield _remark(node, Weight.ELSEWHERE if away else Weight.WRONG, path, what)


def _by_field(problems: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Each with the dotted name of its field; those of one field that is of none of several kinds, as one."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        *above, last = problem["loc"] or ("",)
        if above and last in _KIND_NAMES:
            field = ".".join(map(str, above))
            kinds.setdefault(field, []).append(_KIND_NAMES[str(last)])
        else:
            yield ".".join(map(str, problem["loc"])), problem
    for field, named in kinds.items():
        *some, other = dict.fromkeys(named)
        wanted = f"{', '.join(some)} or {other}" if some else other
        first = next(one for one in problems if ".".join(map(str, one["loc"][:-1])) == field)
        yield field, {**first, "type": _OF_KINDS, "msg": f"it should be {wanted}"}


def _is_slip(name: str, wanted: str) -> bool:
    """Whether who wrote the one may have meant the other: letters that changed places, or one too many."""
    is_near = abs(len(name) - len(wanted)) <= 1
    return is_near and SequenceMatcher(None, name.lower(), wanted.lower()).ratio() >= _ALIKE


def _find_twice(node: Node, component: Component) -> Iterator[Remark]:
    """Of a field that stands there in both spellings nobody knows which one counts."""
    names = field_names(component)
    given: dict[str, str] = {}
    for name in node.data.keys() & names.keys():
        other = given.setdefault(names[name], name)
        if other != name:
            yield _remark(node, Weight.WRONG, f"data.{name}", f"it is also given as {other}: leave one out")


def _unknown_fields(node: Node, component: Component) -> dict[str, Any]:
    known = _NOTES | _ON_ERROR | field_names(component).keys()
    return {name: part for name, part in node.data.items() if name not in known}


def _without_notes(node: Node) -> dict[str, Any]:
    return {name: part for name, part in node.data.items() if name not in _NOTES}


def _in_node(
    node: Node, found: Iterator[FoundUse | TextTrouble] | list[FoundUse | TextTrouble]
) -> Iterator[FoundUse | Remark]:
    for one in found:
        yield one if isinstance(one, FoundUse) else _remark(node, one.weight, f"data.{one.path}", one.what)


def _remark(node: Node, weight: Weight, field: str, what: str) -> Remark:
    return Remark(weight=weight, where=f"node {node.id}, field {field[:200]}", what=what, node_id=node.id)
