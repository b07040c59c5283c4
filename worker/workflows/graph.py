"""The shape of a workflow: one trigger, edges that lead somewhere, no circle, nothing out of reach. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

EdgeRow = tuple[str, str, str, str | None]
"""(id, source, target, handle)"""


def check_graph(
    *,
    triggers: Sequence[str],
    handles: Mapping[str, tuple[str, ...] | None],
    edges: Sequence[EdgeRow],
) -> Iterator[str]:
    """Each problem as a sentence. `handles` are those that edges may leave a node by; "" is none."""
    if len(triggers) != 1:
        yield f"field nodes: a workflow has one trigger, and this has {len(triggers)}"
    yield from _check_edges(handles, edges)
    known = [(s, t) for _, s, t, _ in edges if s in handles and t in handles]
    yield from _check_order(handles, known)
    if len(triggers) == 1:
        reached = _reach(triggers[0], known)
        for node in handles:
            if node not in reached:
                yield f"node {node}: no edge leads to it from the trigger"


def _check_edges(handles: Mapping[str, tuple[str, ...] | None], edges: Sequence[EdgeRow]) -> Iterator[str]:
    seen: set[str] = set()
    for edge_id, source, target, handle in edges:
        if edge_id in seen:
            yield f"edge {edge_id}, field id: two edges have it"
        seen.add(edge_id)
        for end, node in (("source", source), ("target", target)):
            if node not in handles:
                yield f"edge {edge_id}, field {end}: there is no node {node}"
        allowed = handles.get(source)
        if allowed is not None and (handle or "") not in allowed:
            named = ", ".join(h or "none" for h in allowed)
            yield f"edge {edge_id}, field sourceHandle: {source} is left by {named}, not by {handle or 'none'}"
    for node, allowed in handles.items():
        if allowed and "error" in allowed:
            leaves = {handle for _, source, _, handle in edges if source == node}
            if "error" not in leaves:
                yield f"node {node}, field data.onError: branch needs an edge whose sourceHandle is error"


def _check_order(handles: Mapping[str, object], known: Sequence[tuple[str, str]]) -> Iterator[str]:
    sorter: TopologicalSorter[str] = TopologicalSorter({node: set() for node in handles})
    for source, target in known:
        sorter.add(target, source)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
    else:
        return
    yield f"field edges: they lead in a circle: {circle}"


def _reach(start: str, known: Sequence[tuple[str, str]]) -> set[str]:
    reached, ahead = {start}, [start]
    while ahead:
        node = ahead.pop()
        for source, target in known:
            if source == node and target not in reached:
                reached.add(target)
                ahead.append(target)
    return reached
