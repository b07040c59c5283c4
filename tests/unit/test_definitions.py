"""A definition is taken whole, or refused with every problem where it is."""

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.references import Use
from worker.workflows.definition import load_definition, parse_stored
from worker.workflows.nodes.catalog import component_ids, find_component
from worker.workflows.remarks import OUTSIDE
from worker.workflows.schedule import next_run
from worker.workflows.templates import check

NOW = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)  # a Wednesday


def node(node_id, component="data_mapper", **data):
    if component == "data_mapper" and not data:
        data = {"mapping": {"a": "b"}}
    kind = find_component(component).kind.value if component in component_ids() else "action"
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
    listed = [trigger or node("start", "manual_trigger"), *nodes]
    if edges is None:
        edges = [edge(a["id"], b["id"]) for a, b in pairwise(listed)]
    return {"name": "nightly", "nodes": listed, "edges": edges, **more}


def load(raw):
    return load_definition(json.dumps(raw), source="w.json")


def remarks(raw):
    return [f"{remark.weight}: {remark}" for remark in load(raw).remarks]


def problems(raw):
    with pytest.raises(InvalidInputError) as caught:
        load(raw)
    return str(caught.value).split("\n")


def test_a_definition_in_the_products_shape_is_taken():
    raw = document(
        call(
            method="POST",
            headers={"Authorization": "Bearer {{ vault.prod-crm-token }}"},
            body="{{ vault.prod-other }}",
        ),
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
    assert [(use.node_id, use.use, use.mentioned) for use in definition.uses(here=True)] == [
        ("hook", Use(name="api-key:crm"), False),
        ("fetch", Use(name="prod-crm-token"), False),
        ("fetch", Use(name="prod-other"), False),
    ]
    assert definition.remarks == ()
    assert parse_stored(definition.text) == definition


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (document(call(), call()), "node fetch, field id: two nodes have it"),
        (
            document(node("vault")),
            "node vault, field id: templates would take it for something else: choose another",
        ),
        (
            document(node("two", "schedule_trigger"), edges=[]),
            "field nodes: a workflow has one trigger, and this has 2: start, two",
        ),
        (
            document(edges=[edge("start", "nowhere")]),
            "edge start-nowhere, field target: there is no node nowhere",
        ),
        (
            document(call(timeout=301)),
            "node fetch, field data.timeout: input should be less than or equal to 300",
        ),
        (
            document(call(url="{{ x | }}")),
            "node fetch, field data.url: line 1, column 1: expected word, found end of expression",
        ),
        (
            document(call(url="{{ vault }}")),
            (
                "node fetch, field data.url: line 1, column 4: vault is taken whole: name "
                "one item, {{ vault.NAME }}"
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
            document(node("a", "telnet", deep=[{"{{ vault[x] }}": 1}])),
            (
                "node a, field data.deep.0: line 1, column 4: vault[x] chooses an item while it runs: "
                "name it, {{ vault['NAME'] }}"
            ),
        ),
        (
            document(call(), notes={"where": "{{ vault }}"}),
            "field notes.where: line 1, column 4: vault is taken whole: name one item, {{ vault.NAME }}",
        ),
        (
            document(call(continue_on_error="perhaps")),
            "node fetch, field data.continue_on_error: input should be a valid boolean",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_where_it_is(raw, found):
    assert f"w.json: {found}" in problems(raw)


OTHERWISE = "without it this would do something else"


CALLS_NOBODY: list[tuple[str, str, dict[str, Any]]] = [
    ("json_parser", "text", {"text": "{{ vault.prod-x }}"}),
    ("text_transform", "text", {"text": "{{ vault.prod-x }}"}),
    ("terminate", "message", {"message": "{{ vault.prod-x }}"}),
    ("status_condition", "value", {"value": "{{ vault.prod-x }}"}),
    ("number_condition", "expected", {"value": "1", "expected": "{{ vault.prod-x }}"}),
    ("switch_condition", "cases.a", {"value": "1", "cases": {"a": "{{ vault.prod-x }}"}}),
]
"""Components, and a field of each in which no item may stand."""


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (
            document(node("a"), node("b"), edges=[edge("start", "a"), edge("a", "b"), edge("b", "a")]),
            "field edges: they form a circle: a → b → a",
        ),
        (
            document(
                node("a", "boolean_condition", value="{{ x }}"),
                node("b"),
                edges=[edge("start", "a"), edge("a", "b", "maybe")],
            ),
            "edge a-b, field sourceHandle: a is left by true, false, not by maybe",
        ),
        (document(node("a", "telnet")), "node a, field data.componentId: component telnet is not known here"),
        (document(call(url="{{ x | shout }}")), "node fetch, field data.url: there is no filter 'shout'"),
        (
            document(call(url="{% render 'x' %}")),
            (
                "node fetch, field data.url: line 1, column 4: tag 'render' loads another template: "
                "write its text here"
            ),
        ),
        (
            document(call(method="TRACE")),
            "node fetch, field data.method: input should be 'GET', 'HEAD', 'POST', 'PUT', 'PATCH' or 'DELETE'",
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
            document(call(body={"{{ vault.prod-x }}": 1})),
            "node fetch, field data.body: a name of a field cannot be a template here",
        ),
        (
            document(call(auth={"bearer": "{{ vault.prod-x }}"})),
            f"node fetch, field data.auth: it is not known here and names a vault item: {OTHERWISE}",
        ),
        (
            document(node("a", "boolean_condition", value="{{ x }}", field="{{ y }}")),
            f"node a, field data.field: it is not known here: {OTHERWISE}",
        ),
        (
            document(node("a", "switch_condition", branches=[], value="x")),
            "node a, field data.cases: it is needed, and other fields stand there that are not known here",
        ),
        (
            document(call(timeout="{{ webhook_payload.seconds }}")),
            (
                "node fetch, field data.timeout: input should be a valid number, "
                "unable to parse string as a number"
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
        (
            document(call(headers={"X": "{{ vault.prod-x | slice: 0, 3 }}"})),
            (
                "node fetch, field data.headers.X: filter 'slice' may not stand in a template that names a "
                "vault item, since parts of its value could not be masked: there are append, "
                "base64_encode, base64_url_safe_encode, downcase, escape, json, lstrip, prepend, rstrip, "
                "strip, upcase, url_encode"
            ),
        ),
        *(
            (
                document(node("a", component, **fields)),
                (
                    f"node a, field data.{field}: a vault item may not be used here: only in "
                    "nodes that call out, such as webhook"
                ),
            )
            for component, field, fields in CALLS_NOBODY
        ),
    ],
)
def test_what_cannot_run_here_runs_elsewhere_and_is_refused_when_that_is_asked_for(raw, found):
    assert f"elsewhere: {found}" in remarks(raw)
    with pytest.raises(InvalidInputError) as caught:
        load_definition(json.dumps(raw), source="w.json", strict=True)
    assert f"w.json: {found}" in str(caught.value).split("\n")


MEANS_NOTHING = "it means nothing here"


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (document(colour=1), f"field colour: {MEANS_NOTHING}"),
        (document(call(colour="red")), f"node fetch, field data.colour: {MEANS_NOTHING}"),
        (document({**call(), "retries": 3}), f"node fetch, field retries: {MEANS_NOTHING}"),
        (document(node("a"), edges=[]), "node a: no edge leads to it from the trigger: it never runs"),
        (
            document(node("a"), node("b"), edges=[edge("start", "a"), edge("a", "b", "error")]),
            (
                "edge a-b, field sourceHandle: a does not go on after a failure (continue_on_error): "
                "it is never taken"
            ),
        ),
        (
            document(call(continue_on_error=True)),
            (
                "node fetch, field data: it goes on after a failure, but no edge leaves it by error: "
                "a failure ends the run"
            ),
        ),
        (
            document({**call(), "type": "condition"}),
            "node fetch, field type: webhook is of kind action, and is taken for that",
        ),
        (
            document(node("a", "telnet", script="login {{ vault.ab }}")),
            (
                "node a, field data.script: line 1, column 10: item name 'ab' has 2 characters: "
                "use 3 to 50, for example prod-ticketing-api-token"
            ),
        ),
    ],
)
def test_what_is_not_understood_is_kept_and_told(raw, found):
    assert f"kept: {found}" in remarks(raw)
    assert not [line for line in remarks(raw) if line.startswith("elsewhere")] or "telnet" in json.dumps(raw)


def test_what_builders_and_people_note_is_nothing_to_be_told():
    drawn = {"width": 150, "selected": False, "positionAbsolute": {"x": 1, "y": 2}}
    noted = {"uiId": "a1", "description": "asks", "label": "Ask", "notes": "by Ann", "operation": "get"}
    line = {**edge("start", "fetch", "out"), "animated": True, "style": {"stroke": "red"}, "type": "step"}
    assert remarks(document({**call(**noted), **drawn}, edges=[line])) == []


@pytest.mark.parametrize("value", ["manual_trigger", "trigger", None, "anything"])
def test_a_type_may_repeat_the_component_or_be_its_kind(value):
    definition = load(document(call(), trigger={**node("start", "manual_trigger"), "type": value}))
    assert definition.trigger_id() == "start"
    assert not definition.away


@pytest.mark.parametrize(
    ("trigger", "more"),
    [
        ({"id": "go", "type": "trigger", "data": {"componentId": "site_offline"}}, []),
        ({"id": "go", "type": "site_offline_trigger", "data": {}}, []),
        (
            {"id": "go", "type": "wan", "data": {"componentId": "wan"}},
            [{"id": "x", "type": "action", "data": {}}],
        ),
        ({"id": "go", "type": "site_added", "data": {"componentId": "site_added"}}, []),
    ],
)
def test_a_trigger_that_is_not_known_is_told_by_type_name_or_place(trigger, more):
    raw = document(call(), *more, trigger=trigger, edges=[edge("go", "fetch")])
    assert load(raw).trigger_id() == "go"


def test_a_handle_on_an_edge_that_does_not_branch_says_nothing():
    definition = load(document(call(), edges=[edge("start", "fetch", "output-1")]))
    assert definition.remarks == ()
    assert definition.following("start", None) == ["fetch"]


def test_what_nothing_here_looks_up_is_only_mentioned():
    item = "vlt_01hzy3v9k2m4n6p8q0r2s4t6v8"
    raw = document(
        call(
            description="with {{ vault.prod-noted }}",
            headers={"Authorization": item},
            body=f"about {item} and vlt_01hzy3v9k2m4n6p8q0r2s4t6v9",
        ),
        call("alone", url="https://x.test/{{ vault.prod-lost }}"),
        edges=[edge("start", "fetch")],
        sample_context={"token": "{{ vault.prod-sample }}"},
    )
    found = {(use.node_id, use.use.written): use.mentioned for use in load(raw).uses(here=True)}
    assert found == {
        ("fetch", item): False,
        ("fetch", "vlt_01hzy3v9k2m4n6p8q0r2s4t6v9"): True,
        ("fetch", "prod-noted"): True,
        ("alone", "prod-lost"): True,
        ("(document)", "prod-sample"): True,
    }
    elsewhere = {(use.node_id, use.use.written): use.mentioned for use in load(raw).uses(here=False)}
    assert elsewhere == dict.fromkeys(found, False) | {("(document)", "prod-sample"): True}


def test_the_body_of_a_call_without_one_is_not_looked_at():
    for method, mentioned in (("GET", True), ("DELETE", True), ("POST", False)):
        (use,) = load(document(call(method=method, body="{{ vault.prod-x }}"))).uses(here=True)
        assert use.mentioned is mentioned


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (
            document(call(url=None, ulr="https://x.test")),
            "node fetch, field data.url: it is required, and missing: is ulr meant for it?",
        ),
        (
            document(call(test_method="GET", testMethod="HEAD")),
            "it is also given as",
        ),
    ],
)
def test_a_slip_of_the_pen_is_refused(raw, found):
    assert found in problems(raw)[0]


def test_notes_that_nothing_renders_cannot_make_a_document_wrong():
    raw = document(call(description="as in {{ vault[name] }}", label="{{ vault }}"), description="{{ vault }}")
    assert load(raw).away == ()
    assert len(load(raw).remarks) == 3


def test_nulls_are_as_if_they_were_left_out():
    raw = document(call(), is_active=None, critical=None, sample_context=None, schedule_type=None)
    raw["nodes"][0] = {**raw["nodes"][0], "data": {**raw["nodes"][0]["data"], "continue_on_error": None}}
    definition = load(raw)
    assert (definition.is_active, definition.critical, definition.remarks) == (True, False, ())
    assert load(document(call(), {"id": "x", "type": "action", "data": None})).away


def test_a_branch_that_is_named_otherwise_than_ours_for_failures_is_not_taken_for_the_way_on():
    raw = document(call(), node("a"), edges=[edge("start", "fetch"), edge("fetch", "a", "on_error")])
    assert any("may be meant for failures" in remark for remark in remarks(raw))


def test_every_text_of_a_node_and_an_edge_is_looked_at():
    raw = document(
        {
            **call(),
            "label": "{{ vault.prod-a }}",
            "position": {"x": "{{ vault.prod-b }}"},
            "type": "{{ vault.prod-c }}",
        },
        edges=[{**edge("start", "fetch", "{{ vault.prod-d }}"), "id": "{{ vault.prod-e }}"}],
    )
    assert {use.use.written for use in load(raw).uses(here=True)} == {f"prod-{letter}" for letter in "abcde"}


def named(**changes):
    """A single call, with one node or edge of it spoiled."""
    raw = document(call())
    raw["nodes"][1] |= changes
    return raw


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ([], ["the document: it should be an object {…}"]),
        ({}, ["field name: it is required, and missing", "field nodes: it is required, and missing"]),
        (document(call(), name=""), ["field name: string should have at least 1 character"]),
        (
            document(call(), is_active="perhaps"),
            ["field is_active: input should be a valid boolean, unable to interpret input"],
        ),
        (named(id=7), ["node 7, field id: it should be text"]),
        (named(type=5), ["node fetch, field type: it should be text"]),
        (named(data=[]), ["node fetch, field data: it should be an object {…}"]),
        (
            document(call(), edges=["start-fetch"]),
            ["edge number 1: it should be an object {…}"],
        ),
        (
            document(call(), edges=[{"id": "e1", "source": "start"}]),
            ["edge e1, field target: it is required, and missing"],
        ),
        (
            document(call(), edges=[edge("start", "fetch"), edge("ghost", "fetch")]),
            ["edge ghost-fetch, field source: there is no node ghost"],
        ),
        (
            document(call(body=5)),
            ["node fetch, field data.body: it should be text, an object {…} or a list […]"],
        ),
        (document(call(onError="retry")), ["node fetch, field data.onError: use stop or branch"]),
        (
            document(node("a", "text_transform", text="x", operation="replace")),
            ["node a, field data: operation replace needs search"],
        ),
        (
            document(node("a", "switch_condition", value="x")),
            ["node a, field data.cases: it is required, and missing"],
        ),
        (
            document(call(url="{{ vault[x] }}")),
            [
                (
                    "node fetch, field data.url: line 1, column 4: vault[x] chooses an item while it runs: "
                    "name it, {{ vault['NAME'] }}"
                )
            ],
        ),
        (
            document(call(body={"a": [{"b": "x\n{{ vault.ab }}"}]})),
            [
                (
                    "node fetch, field data.body.a.0.b: line 2, column 4: item name 'ab' has 2 characters: "
                    "use 3 to 50, for example prod-ticketing-api-token"
                )
            ],
        ),
        *(
            (
                document(trigger=node("hook", "webhook_trigger", apiKey=text)),
                [
                    (
                        "node hook, field data.apiKey: name exactly one key that callers present: "
                        "{{ vault['api-key:NAME'] }}"
                    )
                ],
            )
            for text in (
                "",
                "x {{ vault['api-key:a'] }}",
                "{{ vault['api-key:a'] }}{{ vault['api-key:b'] }}",
                "{{ vault['vlt_01hzy3v9k2m4n6p8q0r2s4t6v8'] }}",
            )
        ),
        (
            named(id="a\nb\x1b[31m"),
            ["node a?b?[31m, field id: use characters that can be shown, and no blank at an end"],
        ),
    ],
)
def test_says_these_problems_and_no_others_a_line_each(raw, found):
    assert problems(raw) == [f"w.json: {problem}" for problem in found]


def test_says_every_problem_at_once():
    raw = document(
        node("a", "telnet", text="{{ vault }}"),
        call(url="{{ x"),
        node("c", "number_condition", value="1"),
        edges=[edge("start", "gone"), edge("start", "fetch"), edge("fetch", "c", "true")],
        schedule_type="daily",
    )
    assert problems(raw) == [
        (
            "w.json: node a, field data.text: line 1, column 4: vault is taken whole: "
            "name one item, {{ vault.NAME }}"
        ),
        "w.json: node fetch, field data.url: line 1, column 1: expected '}}', found end of file",
        "w.json: node c, field data.expected: it is required, and missing",
        "w.json: edge start-gone, field target: there is no node gone",
    ]


def test_of_very_many_problems_the_first_fifty_are_said():
    assert len(problems(document(*(call(f"n{number}", url=5) for number in range(90)), edges=[]))) == 50


@pytest.mark.parametrize("depth", [90, 110, 300, 900])
@pytest.mark.parametrize("place", ["sample_context", "mapping"])
def test_what_is_nested_too_deeply_to_be_handled_is_refused(depth, place):
    deep = json.loads("[" * depth + '"{{ x }}"' + "]" * depth)
    raw = document(node("a", mapping={"b": deep if place == "mapping" else 1}), sample_context={"b": deep})
    if depth > 100:
        assert problems(raw) == ["w.json: nested too deeply"]
    else:
        definition = load(raw)
        assert parse_stored(definition.text) == definition


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "w.json: it is empty"),
        (" \n", "w.json: it is empty"),
        ('{"a": ' + "9" * 5000 + "}", "w.json: a number in it is too long"),
        ('{"a": 1,}', "w.json: line 1: not JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "w.json: nested too deeply"),
        ('{"a": NaN}', "w.json: NaN is a number that JSON cannot hold"),
        ('{"a": 1e999}', "w.json: 1e999 is a number that JSON cannot hold"),
        ('{"a": 1, "a": 2}', "w.json: two fields of one object are named 'a': which of them counts?"),
    ],
)
def test_text_that_holds_no_definition_is_refused_by_its_file(text, problem):
    with pytest.raises(InvalidInputError) as caught:
        load_definition(text, source="w.json")
    assert str(caught.value) == problem


def test_says_the_line_of_text_that_is_no_json():
    with pytest.raises(InvalidInputError, match=r"^w\.json: line 2: not JSON: "):
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


WHOLE = document(
    call("fetch", onError="branch", headers={"Authorization": "Bearer {{ vault.prod-x }}"}, body={"a": ["b"]}),
    node("ask", "switch_condition", value="{{ fetch.status_code }}", cases={"ok": "200"}),
    node("end", "terminate", status="failed", message="no"),
    edges=[
        edge("start", "fetch"),
        edge("fetch", "ask"),
        edge("fetch", "end", "error"),
        edge("ask", "end", "default"),
    ],
    sample_context={"webhook_payload": {"a": 1}},
    schedule_type="interval",
    schedule_value="5 minutes",
)
SCRAPS: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-3, 400)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [
            "a\nb",
            *"start fetch ask end true error default webhook terminate branch {{x}} {{vault.prod-x}}".split(),
        ]
    )
    | st.text(max_size=4)
    | st.builds(list)
    | st.builds(dict)
    | st.builds(dict, id=st.just("fetch"), source=st.just("start"), target=st.just("fetch"))
)


def spots(data, path=()):
    """The path of every part of a JSON structure."""
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, part in entries:
        yield (*path, key)
        yield from spots(part, (*path, key))


@given(st.data())
def test_a_definition_with_any_part_replaced_is_taken_and_serves_or_is_refused_line_by_line(data):
    raw = json.loads(json.dumps(WHOLE))
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from(list(spots(raw))))
        place = raw
        for key in above:
            place = place[key]
        if data.draw(st.booleans()):
            place[last] = data.draw(SCRAPS)
        else:
            del place[last]
        if not raw:
            break
    try:
        definition = load(raw)
    except InvalidInputError as refused:
        lines = str(refused).split("\n")
    else:
        lines = []
        assert all(use.node_id in {*definition.nodes, OUTSIDE} for use in definition.uses(here=False))
        assert parse_stored(definition.text) == definition
        assert definition.trigger_id() in definition.nodes
        if not definition.away:
            assert sorted(definition.order()) == sorted(definition.node_ids())
            assert all(definition.fields(name) for name in definition.node_ids())
    assert all(line.startswith("w.json: ") and line.isprintable() for line in lines)


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
        ("{{ (1..vault.prod-x) }}", "a range"),
        ("{{ (vault.prod-x..9) }}", "a range"),
        ("{% case vault.prod-x %}{% when 'a' %}yes{% endcase %}", "tag 'case'"),
    ],
)
def test_a_template_that_could_bring_out_a_part_of_a_value_is_refused(template: str, what: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check(template)
    assert str(caught.value).startswith(what)
    assert "masked" in str(caught.value) or what == "a range"


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
