"""What the server draws: well-formed, named, no name taken for markup, and laid out so that it is read."""

import xml.etree.ElementTree as ET
from datetime import date, datetime
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from tests.unit.test_tracks import make, record
from worker.domain.saga import State, Step
from worker.domain.tracks import Dot, trace
from worker.web.drawings.graph import NODES_MAX, DrawnItem, DrawnNode, draw_workflow
from worker.web.drawings.layers import find_layers, leave_out_circles
from worker.web.drawings.marks import draw_dot, draw_state
from worker.web.drawings.month import DayCount, draw_month
from worker.web.drawings.track import draw_small_track, draw_tall_track, draw_track
from worker.wording.item_states import Tone

HOSTILE = "<script>alert(1)</script>\"' & {{ x }} " + "n" * 40
STOPS = trace(make(State.WATCHING), record(Step.CREATE, Step.INSTALL))


def parse(drawing: Markup) -> ET.Element:
    assert "style=" not in drawing
    return ET.fromstring(drawing)  # ours


def texts(drawing: Markup, tag: str = "text") -> list[str]:
    return ["".join(one.itertext()) for one in parse(drawing).iter(tag)]


def say_clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def test_each_drawing_is_whole_and_says_what_it_shows() -> None:
    for drawing in (
        draw_small_track(STOPS),
        draw_track(STOPS, HOSTILE, say_clock),
        draw_tall_track(STOPS, HOSTILE, say_clock),
    ):
        assert "watch waits" in "".join(texts(drawing, "title"))
    assert "02:01" in texts(draw_track(STOPS, "it", say_clock))
    assert "create: done 02:01" in "".join(texts(draw_track(STOPS, "it", say_clock), "desc"))
    item = DrawnItem(name=HOSTILE, state=Tone.WRONG, words="lapsed", link="/console/items/x?a=1&b=2")
    drawing = draw_workflow(HOSTILE, [DrawnNode(id=HOSTILE, kind=HOSTILE, items=(item,))], [(HOSTILE, HOSTILE)])
    assert f"{HOSTILE} (lapsed)" in "".join(texts(drawing, "desc"))
    assert not list(parse(drawing).iter("script"))


@pytest.mark.parametrize("marks", [tuple(Dot), tuple(Tone)])
def test_states_differ_by_shape_and_not_by_colour_alone(marks: tuple[Dot | Tone, ...]) -> None:
    drawn = {
        str(draw_dot(one, 10, 10, 5) if isinstance(one, Dot) else draw_state(one, 10, 10)) for one in marks
    }
    shapes = {one.replace("s-wrong", "").replace("s-rest", "").replace("s-accent", "") for one in drawn}
    assert len(drawn) == len(marks)
    assert len(shapes) >= len(marks) - 1  # failed and stopped are both crosses, and their words differ


NAMES = [f"n{number}" for number in range(12)]


@given(edges=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([*NAMES, "gone"])), max_size=60))
def test_layers_run_forward_whatever_the_edges_do(edges: list[tuple[str, str]]) -> None:
    layers = find_layers(NAMES, edges)
    assert sorted(node for layer in layers for node in layer) == sorted(NAMES)
    place = {node: number for number, layer in enumerate(layers) for node in layer}
    kept = leave_out_circles(NAMES, edges)
    assert all(place[source] < place[target] for source, target in kept)
    assert set(kept) <= set(edges)
    assert layers == find_layers(NAMES, edges)


def test_without_a_circle_no_edge_is_left_aside() -> None:
    edges = [("n0", "n1"), ("n0", "n2"), ("n1", "n3"), ("n2", "n3"), ("n0", "n3")]
    assert sorted(leave_out_circles(NAMES, edges)) == sorted(edges)
    assert [layer[:2] for layer in find_layers(NAMES[:4], edges)] == [["n0"], ["n1", "n2"], ["n3"]]


def test_a_long_chain_of_nodes_is_laid_out_without_a_deep_call() -> None:
    names = [f"n{number}" for number in range(5000)]
    assert len(find_layers(names, list(pairwise(names)))) == 5000


def test_forty_nodes_stand_apart() -> None:
    items = tuple(DrawnItem(name="x" * 50, state=Tone.WELL, words="lapses", link=None) for _ in range(6))
    names = [f"node-{number}" for number in range(40)]
    edges = [(names[number // 3], names[number]) for number in range(1, 40)] + [(names[39], names[0])]
    drawing = draw_workflow("w", [DrawnNode(id=one, kind="webhook", items=items) for one in names], edges)
    root = parse(drawing)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [
        tuple(float(one.attrib[name]) for name in ("x", "y", "width", "height"))
        for one in root.iter("rect")
        if one.attrib.get("class") == "box"
    ]
    assert len(boxes) == 40
    for x, y, w, h in boxes:
        assert x >= 0 and y >= 0 and x + w <= width and y + h <= height  # noqa: PT018  # one box
    for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
    assert texts(drawing).count("+2 more") == 40
    assert "x" * 50 + ": lapses" in texts(drawing, "title"), "what is cut is whole in its title"


def test_a_workflow_of_thousands_is_drawn_in_part_and_says_so() -> None:
    names = [f"n{number}" for number in range(NODES_MAX + 7)]
    drawing = draw_workflow("w", [DrawnNode(id=one, kind="webhook") for one in names], [])
    assert len(list(parse(drawing).iter("rect"))) == NODES_MAX
    assert "7 more nodes are not drawn" in "".join(texts(drawing, "desc"))
    parse(draw_workflow("empty", [], []))


def test_a_month_links_its_days() -> None:
    days = {date(2026, 12, 3): DayCount(due=2, lapse=1), date(2026, 12, 4): DayCount(due=0, lapse=0)}
    drawing = draw_month(2026, 12, days, today=date(2026, 12, 3), link=lambda day: f"/d/{day}?a&b")
    links = [one.attrib["href"] for one in parse(drawing).iter("a")]
    assert links == ["/d/2026-12-03?a&b"]
    assert "3 December: 2 items due, 1 item lapses" in texts(drawing, "title")
    assert parse(drawing).attrib["aria-label"] == "December 2026: 2 items due, 1 item lapses"
