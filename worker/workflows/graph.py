"""The shape of a workflow: one trigger, edges that lead somewhere, what is out of reach. Pure, and linear."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from worker.workflows.document import Edge
from worker.workflows.remarks import Remark, Weight

ERROR = "error"
_LIKE_ERROR = frozenset("error errors on_error onerror on-error failure failed fail catch".split())


@dataclass(frozen=True, kw_only=True)
class Exits:
    """How a node is left. `branches` are its own handles, empty where one way leads on, whatever the handle
    says; `on_error`: it goes on after a failure.
    """

    branches: tuple[str, ...] = ()
    on_error: bool = False


def check_graph(
    *, triggers: Sequence[str], exits: Mapping[str, Exits | None], edges: Sequence[Edge]
) -> Iterator[Remark]:
    """`exits` of every node, by id; None where that is not known here."""
    if len(triggers) != 1:
        yield Remark(
            weight=Weight.WRONG,
            where="field nodes",
            what=f"a workflow has one trigger, and this has {len(triggers)}"
            + (f": {', '.join(triggers[:5])}" if triggers else ""),
        )
    yield from _check_ends(exits, edges)
    known = [edge for edge in edges if edge.source in exits and edge.target in exits]
    yield from _check_handles(exits, known)
    yield from _check_order(exits, known)
    if len(triggers) == 1:
        reached = reach(triggers[0], known)
        for node in exits:
            if node not in reached:
                what = "no edge leads to it from the trigger: it never runs"
                yield Remark(weight=Weight.KEPT, where=f"node {node}", what=what, node_id=node)


def reach(start: str, edges: Sequence[Edge]) -> set[str]:
    """The nodes to which edges lead from there."""
    following: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        following[edge.source].append(edge.target)
    reached, ahead = {start}, [start]
    while ahead:
        for target in following[ahead.pop()]:
            if target not in reached:
                reached.add(target)
                ahead.append(target)
    return reached


def _check_ends(exits: Mapping[str, object], edges: Sequence[Edge]) -> Iterator[Remark]:
    for edge in edges:
        for end, node in (("source", edge.source), ("target", edge.target)):
            if node not in exits:
                yield Remark(
                    weight=Weight.WRONG,
                    where=f"edge {edge.shown}, field {end}",
                    what=f"there is no node {node[:100]}",
                )


def _check_handles(exits: Mapping[str, Exits | None], edges: Sequence[Edge]) -> Iterator[Remark]:
    leaves: dict[str, set[str]] = defaultdict(set)
    for edge in edges:
        handle = edge.source_handle or ""
        leaves[edge.source].add(handle)
        left = exits[edge.source]
        if left is None or (handle == ERROR and left.on_error):
            continue
        where = f"edge {edge.shown}, field sourceHandle"
        if handle == ERROR:
            what = f"{edge.source} does not go on after a failure (continue_on_error): it is never taken"
            yield Remark(weight=Weight.KEPT, where=where, what=what)
        elif not left.branches and handle.lower() in _LIKE_ERROR:
            what = f"{handle} may be meant for failures: here that branch is named {ERROR}"
            yield Remark(weight=Weight.ELSEWHERE, where=where, what=what)
        elif left.branches and handle not in left.branches:
            named = ", ".join(left.branches)
            what = f"{edge.source} is left by {named}, not by {handle or 'none'}"
            yield Remark(weight=Weight.ELSEWHERE, where=where, what=what)
    for node, left in exits.items():
        if left is not None and left.on_error and ERROR not in leaves[node]:
            yield Remark(
                weight=Weight.KEPT,
                where=f"node {node}, field data",
                what="it goes on after a failure, but no edge leaves it by error: a failure ends the run",
                node_id=node,
            )


def _check_order(exits: Mapping[str, object], edges: Sequence[Edge]) -> Iterator[Remark]:
    try:
        sort(exits, edges).prepare()
    except CycleError as error:
        circle = error.args[1][::-1]
    else:
        return
    shown = " → ".join([*circle[:10], *(["…"] if len(circle) > 10 else [])])
    yield Remark(weight=Weight.ELSEWHERE, where="field edges", what=f"they form a circle: {shown}")


def sort(nodes: Mapping[str, object], edges: Sequence[Edge]) -> TopologicalSorter[str]:
    """Each node behind every node that leads to it."""
    sorter: TopologicalSorter[str] = TopologicalSorter({node: set() for node in nodes})
    for edge in edges:
        sorter.add(edge.target, edge.source)
    return sorter
