"""Where the nodes of a graph stand when it is drawn in layers, left to right. Pure; a circle breaks nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

_SWEEPS: Final = 4
Edge = tuple[str, str]


def find_layers(nodes: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Each node behind all that lead to it, edges that close a circle left aside; within a layer near what
    leads to it. The same graph is laid out in the same way each time.
    """
    forward = leave_out_circles(nodes, edges)
    depths = _find_depths(nodes, forward)
    layers: list[list[str]] = [[] for _ in range(max(depths.values(), default=-1) + 1)]
    for node in nodes:
        layers[depths[node]].append(node)
    before, behind = _neighbours(forward)
    for sweep in range(_SWEEPS):
        if sweep % 2 == 0:
            for layer, neighbour in zip(layers[1:], layers[:-1], strict=True):
                _arrange(layer, neighbour, before)
        else:
            for layer, neighbour in zip(layers[-2::-1], layers[:0:-1], strict=True):
                _arrange(layer, neighbour, behind)
    return layers


def leave_out_circles(nodes: Sequence[str], edges: Sequence[Edge]) -> list[Edge]:
    """The edges between these nodes without those that lead back to where a walk came from."""
    known = set(nodes)
    following: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        if source in known and target in known and source != target:
            following[source].append(target)
    kept: list[Edge] = []
    open_now: set[str] = set()
    seen: set[str] = set()
    for start in nodes:
        if start in seen:
            continue
        seen.add(start)
        open_now.add(start)
        walk = [(start, iter(following[start]))]
        while walk:
            node, ahead = walk[-1]
            target = next(ahead, node)  # none leads from a node to itself
            if target == node:
                open_now.discard(node)
                walk.pop()
            elif target not in open_now:
                kept.append((node, target))
                if target not in seen:
                    seen.add(target)
                    open_now.add(target)
                    walk.append((target, iter(following[target])))
    return kept


def _find_depths(nodes: Sequence[str], forward: Sequence[Edge]) -> dict[str, int]:
    """The longest way to each, from a node to which none leads."""
    _, behind = _neighbours(forward)
    waits = dict.fromkeys(nodes, 0)
    for _, target in forward:
        waits[target] += 1
    depths = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if waits[node] == 0]
    for node in ready:
        for target in behind[node]:
            depths[target] = max(depths[target], depths[node] + 1)
            waits[target] -= 1
            if waits[target] == 0:
                ready.append(target)
    return depths


def _neighbours(edges: Sequence[Edge]) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    before: dict[str, list[str]] = defaultdict(list)
    behind: dict[str, list[str]] = defaultdict(list)
    for source, target in edges:
        before[target].append(source)
        behind[source].append(target)
    return before, behind


def _arrange(layer: list[str], neighbour: Sequence[str], edges: Mapping[str, list[str]]) -> None:
    """In the order of the middle of what each is joined to; what is joined to nothing there keeps its place."""
    places = {node: place for place, node in enumerate(neighbour)}
    wanted = {}
    for place, node in enumerate(layer):
        joined = [places[one] for one in edges[node] if one in places]
        wanted[node] = sum(joined) / len(joined) if joined else float(place)
    layer.sort(key=wanted.__getitem__)
