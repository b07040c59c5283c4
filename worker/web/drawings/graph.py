"""A workflow as a drawing: layers from left to right, under each node the items that it uses. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from worker.web.drawings.layers import find_layers
from worker.web.drawings.marks import cut, draw_state
from worker.wording.item_states import Tone

NODES_MAX: Final = 200
"""More are not drawn: nobody would read it. The text beside the drawing says how many are left out."""
_EDGES_MAX: Final = 800
_ITEMS_MAX: Final = 4
_WIDTH, _HEAD, _LINE, _FOOT = 204, 46, 22, 6
_GAP_X, _GAP_Y, _EDGE = 56, 18, 12
_NAME_MAX, _ITEM_MAX = 24, 21


@dataclass(frozen=True, kw_only=True)
class DrawnItem:
    """`state`: which its shape tells; `words` say it. `link`: None where it leads nowhere."""

    name: str
    state: Tone
    words: str
    link: str | None


@dataclass(frozen=True, kw_only=True)
class DrawnNode:
    """`kind`: what it is, in a word or two."""

    id: str
    kind: str
    items: tuple[DrawnItem, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Box:
    x: float
    y: float
    height: float


def draw_workflow(name: str, nodes: Sequence[DrawnNode], edges: Sequence[tuple[str, str]]) -> Markup:
    """As large as it must be to be read; who shows it lets it scroll."""
    drawn = {one.id: one for one in nodes[:NODES_MAX]}
    joined = [one for one in dict.fromkeys(edges) if one[0] in drawn and one[1] in drawn][:_EDGES_MAX]
    boxes = _place(find_layers(list(drawn), joined), drawn)
    width = max(box.x for box in boxes.values()) + _WIDTH + _EDGE if boxes else 0
    height = max(box.y + box.height for box in boxes.values()) + _EDGE * 2 if boxes else 0
    parts = [_draw_edge(boxes[source], boxes[target]) for source, target in joined]
    parts += [_draw_node(drawn[one], box) for one, box in boxes.items()]
    return Markup(
        '<svg class="drawing graph" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="group" '
        'aria-labelledby="graph-title graph-desc"><title id="graph-title">Workflow {name}</title>'
        '<desc id="graph-desc">{said}</desc>{parts}</svg>'
    ).format(
        w=f"{width:g}",
        h=f"{height:g}",
        name=name,
        said=_say(nodes, drawn, joined),
        parts=Markup("").join(parts),
    )


def _say(nodes: Sequence[DrawnNode], drawn: Mapping[str, DrawnNode], edges: Sequence[tuple[str, str]]) -> str:
    """What the drawing shows: each node with where it leads and what it uses."""
    leads: dict[str, list[str]] = {one: [] for one in drawn}
    for source, target in edges:
        leads[source].append(target)
    sentences = []
    for one in drawn.values():
        uses = ", ".join(f"{item.name} ({item.words})" for item in one.items)
        parts = [f"leads to {', '.join(leads[one.id])}"] if leads[one.id] else []
        parts += [f"uses {uses}"] if uses else []
        sentences.append(f"{one.id} ({one.kind})" + (f" {' and '.join(parts)}" if parts else ""))
    left = len(nodes) - len(drawn)
    return "; ".join(sentences) + (f"; {left:,} more nodes are not drawn" if left else "")


def _place(layers: Sequence[Sequence[str]], drawn: Mapping[str, DrawnNode]) -> dict[str, _Box]:
    heights = {one.id: _height(one) for one in drawn.values()}
    columns = [sum(heights[one] for one in layer) + _GAP_Y * (len(layer) - 1) for layer in layers]
    tallest = max(columns, default=0)
    boxes = {}
    for number, (layer, column) in enumerate(zip(layers, columns, strict=True)):
        y = _EDGE + (tallest - column) / 2
        for one in layer:
            boxes[one] = _Box(x=_EDGE + number * (_WIDTH + _GAP_X), y=y, height=heights[one])
            y += heights[one] + _GAP_Y
    return boxes


def _height(node: DrawnNode) -> int:
    lines = min(len(node.items), _ITEMS_MAX) + (len(node.items) > _ITEMS_MAX)
    return _HEAD + lines * _LINE + (_FOOT if lines else 0)


def _draw_edge(source: _Box, target: _Box) -> Markup:
    """From the right of one to the left of the other; what leads back goes below both."""
    x, y = source.x + _WIDTH, source.y + _HEAD / 2
    to_x, to_y = target.x, target.y + _HEAD / 2
    if to_x > x:
        middle = (x + to_x) / 2
        way = f"M{x:g} {y:g}C{middle:g} {y:g} {middle:g} {to_y:g} {to_x - 5:g} {to_y:g}"
    else:
        low = max(source.y + source.height, target.y + target.height) + _GAP_Y
        way = f"M{x:g} {y:g}C{x + 40:g} {low:g} {to_x - 40:g} {low:g} {to_x - 5:g} {to_y:g}"
    arrow = f"M{to_x - 6:g} {to_y - 4:g}L{to_x:g} {to_y:g}L{to_x - 6:g} {to_y + 4:g}Z"
    return Markup('<path d="{way}" class="strong"/><path d="{arrow}" class="head"/>').format(
        way=way, arrow=arrow
    )


def _draw_node(node: DrawnNode, box: _Box) -> Markup:
    parts = [
        Markup(
            '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="8" class="box"/>'
            '<text x="{text_x}" y="{name_y}"><title>{id}</title>{name}</text>'
            '<text x="{text_x}" y="{kind_y}" class="quiet"><title>{kind}</title>{short}</text>'
        ).format(
            x=f"{box.x:g}",
            y=f"{box.y:g}",
            w=_WIDTH,
            h=f"{box.height:g}",
            text_x=f"{box.x + 12:g}",
            name_y=f"{box.y + 19:g}",
            kind_y=f"{box.y + 37:g}",
            id=node.id,
            name=cut(node.id, _NAME_MAX),
            kind=node.kind,
            short=cut(node.kind, _NAME_MAX),
        )
    ]
    for place, item in enumerate(node.items[:_ITEMS_MAX]):
        parts.append(_draw_item(item, box.x + 18, box.y + _HEAD + place * _LINE + 11))
    left = len(node.items) - _ITEMS_MAX
    if left > 0:
        y = box.y + _HEAD + _ITEMS_MAX * _LINE + 15
        parts.append(
            Markup('<text x="{x}" y="{y}" class="quiet">+{left} more</text>').format(
                x=f"{box.x + 30:g}", y=f"{y:g}", left=left
            )
        )
    return Markup("<g>{parts}</g>").format(parts=Markup("").join(parts))


def _draw_item(item: DrawnItem, x: float, y: float) -> Markup:
    drawn = Markup('{mark}<text x="{x}" y="{y}" class="item"><title>{whole}</title>{name}</text>').format(
        mark=draw_state(item.state, x, y),
        x=f"{x + 12:g}",
        y=f"{y + 4.5:g}",
        whole=f"{item.name}: {item.words}",
        name=cut(item.name, _ITEM_MAX),
    )
    if item.link is None:
        return drawn
    return Markup('<a href="{link}">{drawn}</a>').format(link=item.link, drawn=drawn)
