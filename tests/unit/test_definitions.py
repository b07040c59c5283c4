"""A definition is taken whole, or refused with every problem where it is."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.references import Use
from worker.workflows.definition import load_definition, parse_stored
from worker.workflows.nodes.catalog import COMPONENTS
from worker.workflows.schedule import next_run
from worker.workflows.templates import check

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)  # a Wednesday


def node(node_id, component="data_mapper", **data):
    if component == "data_mapper" and not data:
        data = {"mapping": {"a": "b"}}
    kind = COMPONENTS[component].kind.value if component in COMPONENTS else "action"
    return {
        "id": node_id,
        "type": kind,
        "position": {"x": 0, "y": 0},
        "data": {"componentId": component, **data},
    }


def call(node_id="fetch", **data):
    return node(node_id, "webhook", **({"method": "GET", "url": "https://example.test/"} | data))


def edge(source, target, handle=None):
    made = {"id": f"{source}-{target}", "source": source, "target": target}
    return made if handle is None else {**made, "sourceHandle": handle}


def document(*nodes, edges=None, trigger=None, **more):
    nodes = [trigger or node("start", "manual_trigger"), *nodes]
    if edges is None:
        edges = [edge(a["id"], b["id"]) for a, b in pairwise(nodes)]
    return {"name": "nightly", "nodes": nodes, "edges": edges, **more}


def load(raw):
    return load_definition(json.dumps(raw), source="w.json")


def problems(raw):
    with pytest.raises(InvalidInputError) as caught:
        load(raw)
    return str(caught.value).split("\n")


def test_a_definition_in_the_products_shape_is_taken():
    raw = document(
        call(headers={"Authorization": "Bearer {{ vault.prod-crm-token }}"}, body="{{ vault.prod-other }}"),
        trigger=node("hook", "webhook_trigger", uiId="7", apiKey="{{ vault['api-key:crm'] }}"),
        id="fl_01hzy3v9k2m4n6p8q0r2s4t6v8",
        description="x",
        is_active=False,
        schedule_type="cron",
        schedule_value="0 9 * * *",
        webhook_url="https://x",
        authorization=None,
        critical=True,
        sample_context={"webhook_payload": {"a": 1}},
    )
    definition = load(raw)
    assert (definition.id, definition.name, definition.is_active) == (raw["id"], "nightly", False)
    assert (definition.trigger_id(), definition.node_ids()) == ("hook", ("hook", "fetch"))
    assert [(use.node_id, use.use) for use in definition.uses()] == [
        ("hook", Use(name="api-key:crm")),
        ("fetch", Use(name="prod-crm-token")),
        ("fetch", Use(name="prod-other")),
    ]
    assert parse_stored(json.loads(json.dumps(definition.stored()))) == definition


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (document(colour=1), "field colour: there is no such field"),
        (document(call(), call()), "node fetch, field id: two nodes have it"),
        (
            document(node("1st")),
            (
                "node '1st', field id: use letters, digits, _ and -, not beginning with a "
                "digit, and none of rotation, vault, webhook_payload"
            ),
        ),
        (
            document(node("vault")),
            (
                "node 'vault', field id: use letters, digits, _ and -, not beginning with a digit, "
                "and none of rotation, vault, webhook_payload"
            ),
        ),
        (
            document(node("two", "schedule_trigger"), edges=[]),
            "field nodes: a workflow has one trigger, and this has 2",
        ),
        (
            document(edges=[edge("start", "nowhere")]),
            "edge start-nowhere, field target: there is no node nowhere",
        ),
        (
            document(node("a"), node("b"), edges=[edge("start", "a"), edge("a", "b"), edge("b", "a")]),
            "field edges: they lead in a circle: a → b → a",
        ),
        (document(node("a"), edges=[]), "node a: no edge leads to it from the trigger"),
        (
            document(
                node("a", "boolean_condition", value="{{ x }}"),
                node("b"),
                edges=[edge("start", "a"), edge("a", "b", "maybe")],
            ),
            "edge a-b, field sourceHandle: a is left by true, false, not by maybe",
        ),
        (
            document(node("a"), node("b"), edges=[edge("start", "a"), edge("a", "b", "error")]),
            "edge a-b, field sourceHandle: a is left by none, not by error",
        ),
        (
            document(call(onError="branch")),
            "node fetch, field data.onError: branch needs an edge whose sourceHandle is error",
        ),
        (
            document(node("a", "ssh")),
            (
                "node a, field data.componentId: unknown component 'ssh': this release has "
                f"{', '.join(COMPONENTS)}"
            ),
        ),
        (document(call(colour="red")), "node fetch, field data.colour: there is no such field"),
        (
            document(call(timeout=301)),
            "node fetch, field data.timeout: input should be less than or equal to 300",
        ),
        (
            document(call(url="{{ x | }}")),
            "node fetch, field data.url: line 1, column 1: expected word, found end of expression",
        ),
        (document(call(url="{{ x | shout }}")), "node fetch, field data.url: there is no filter 'shout'"),
        (
            document(call(url="{{ vault }}")),
            (
                "node fetch, field data.url: line 1, column 4: vault is taken whole: name "
                "one item, {{ vault.NAME }}"
            ),
        ),
        (
            document(node("a", mapping={"b": "{{ vault.prod-x }}"})),
            (
                "node a, field data.mapping.b: a vault item may not be used here: only in "
                "nodes that call out, such as webhook"
            ),
        ),
        (
            document(call(headers={"X": "{{ vault['api-key:x'] }}"})),
            (
                "node fetch, field data.headers.X: api-key:x is a key for callers of ours, "
                "kept as a digest: a key to send to somebody else is an ordinary item"
            ),
        ),
        (
            document(trigger=node("hook", "webhook_trigger", apiKey="{{ vault.prod-x }}")),
            (
                "node hook, field data.apiKey: name exactly one key that callers present: "
                "{{ vault['api-key:NAME'] }}"
            ),
        ),
        (
            document(trigger=node("hook", "webhook_trigger", apiKey="wfk_abc")),
            (
                "node hook, field data.apiKey: name exactly one key that callers present: "
                "{{ vault['api-key:NAME'] }}"
            ),
        ),
        (
            document(schedule_type="hourly"),
            "field schedule_value: schedule_type is one of manual, interval, cron, daily, weekly, monthly",
        ),
        (
            document(schedule_type="cron", schedule_value="61 * * * *"),
            "field schedule_value: schedule_value of cron is a cron expression such as '0 9 * * *'",
        ),
    ],
)
def test_names_each_problem_where_it_is(raw, found):
    assert f"w.json: {found}" in problems(raw)


def test_says_every_problem_at_once():
    raw = document(node("a", "ssh"), call(url="{{ x"), edges=[edge("start", "gone")], schedule_type="daily")
    assert len(problems(raw)) >= 5


def test_says_the_line_of_text_that_is_no_json():
    with pytest.raises(InvalidInputError, match=r"^w\.json: line 2: no JSON: "):
        load_definition('{"name": "x",\n oops}', source="w.json")


def test_a_node_comes_behind_all_that_lead_to_it():
    raw = document(
        node("d"),
        node("c"),
        node("b"),
        edges=[edge("start", "d"), edge("start", "b"), edge("b", "c"), edge("c", "d")],
    )
    assert load(raw).order() == ("start", "b", "c", "d")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "nodes", "edges", "id", "data", "type", "x"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_taken_or_refused(raw):
    with pytest.raises(InvalidInputError, match=r"^w\.json: "):
        load(raw)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("manual", None, None),
        ("interval", "5 minutes", "2026-03-04T12:35"),
        ("interval", "1 day", "2026-03-05T12:30"),
        ("cron", "0 9 * * *", "2026-03-05T09:00"),
        ("daily", "12:30", "2026-03-05T12:30"),
        ("daily", "12:31", "2026-03-04T12:31"),
        ("weekly", "mon 09:00", "2026-03-09T09:00"),
        ("weekly", "WED 23:59", "2026-03-04T23:59"),
        ("monthly", "1 09:00", "2026-04-01T09:00"),
        ("monthly", "31 00:00", "2026-03-31T00:00"),
    ],
)
def test_next_run(kind, value, expected):
    found = next_run(kind, value, NOW)
    assert found == (expected and datetime.fromisoformat(f"{expected}+00:00"))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("manual", "09:00"),
        ("interval", None),
        ("interval", "0 minutes"),
        ("interval", "5 weeks"),
        ("interval", "-1 days"),
        ("cron", ""),
        ("cron", "0 0 30 2 *"),
        ("daily", "*:*/5"),
        ("daily", "24:00"),
        ("daily", "9"),
        ("daily", "mon 09:00"),
        ("weekly", "09:00"),
        ("weekly", "xyz 09:00"),
        ("weekly", "mon  09:00"),
        ("monthly", "0 09:00"),
        ("monthly", "32 09:00"),
        ("monthly", "* 09:00"),
        ("yearly", "x"),
    ],
)
def test_refuses_a_schedule_that_does_not_agree(kind, value):
    with pytest.raises(InvalidInputError):
        next_run(kind, value, NOW)


@pytest.mark.parametrize(
    ("template", "what"),
    [
        ("{{ vault.prod-x | slice: 0, 6 }}", "filter 'slice'"),
        ("{{ vault.prod-x | split: '' | join: '-' }}", "filter 'split'"),
        ("{{ vault.prod-x | replace: 'a', 'b' }}", "filter 'replace'"),
        ("{{ vault.prod-x | size }}", "filter 'size'"),
        ("{% if vault.prod-x contains 'a' %}yes{% endif %}", "tag 'if'"),
        ("{% assign v = vault.prod-x %}{% for c in v %}{{ c }}{% endfor %}", "tag 'for'"),
        ("{% case vault.prod-x %}{% when 'a' %}yes{% endcase %}", "tag 'case'"),
    ],
)
def test_a_template_that_could_bring_out_a_part_of_a_value_is_refused(template: str, what: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check(template)
    assert str(caught.value).startswith(what)
    assert "masked" in str(caught.value)


@pytest.mark.parametrize(
    "template",
    [
        "Bearer {{ vault.prod-x }}",
        "Basic {{ 'user:' | append: vault.prod-x | base64_encode }}",
        "{% assign pair = 'user:' | append: vault.prod-x %}Basic {{ pair | base64_encode }}",
        "{% if webhook_payload.a %}{{ webhook_payload.a | split: ',' | first }}{% endif %}",
    ],
)
def test_a_template_that_leaves_a_value_whole_is_taken(template: str) -> None:
    check(template)
