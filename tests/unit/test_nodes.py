"""What each component gives, by table; HTTP is met in the integration tests."""

import pytest
from pydantic import ValidationError

from tests.ways_out import HTTP, NETWORK
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.outbound import cause_of
from worker.workflows.bounds import LOOPS_MAX, OUTPUT_MAX
from worker.workflows.masking import Masker
from worker.workflows.nodes.base import RENDERED_MAX, Execution, NodeKind
from worker.workflows.nodes.catalog import component_ids, find_component
from worker.workflows.templates import Scope, render

CONTEXT = {
    "fetch": {"status_code": 200, "body": {"items": ["a", "b"], "name": "Ada", "n": 3, "due": "2026-03-04"}},
    "webhook_payload": {"tags": "red, green", "ok": True},
}
ID = "vlt_01hzy3v9k2m4n6p8q0r2s4t6v8"
VALUES = {"prod-x": Secret("value-of-x"), ID: Secret("value-of-id")}


def execution(context=CONTEXT, seconds=60.0):
    masker = Masker(VALUES.values())
    return Execution(
        scope=Scope(context=context, values=VALUES),
        http=HTTP,
        network=NETWORK,
        masker=masker,
        seconds=seconds,
        shown=masker.mask(dict(context)),
    )


def run(component_id, **data):
    component = find_component(component_id)
    return component.run(component.Fields.model_validate(data), execution())


@pytest.mark.parametrize(
    ("component", "data", "output"),
    [
        ("webhook_trigger", {}, CONTEXT["webhook_payload"]),
        ("api_trigger", {"apiKey": "{{ vault['api-key:x-portal'] }}"}, CONTEXT["webhook_payload"]),
        ("manual_trigger", {}, CONTEXT),
        ("schedule_trigger", {}, CONTEXT),
        ("workflow_trigger", {}, CONTEXT["webhook_payload"]),
        ("subflow_trigger", {}, CONTEXT["webhook_payload"]),
        ("api_trigger", {}, CONTEXT["webhook_payload"]),
        ("api_trigger", {"apiKey": None}, CONTEXT["webhook_payload"]),
        ("json_parser", {"text": '{"a": [1, {"b": null}]}'}, {"a": [1, {"b": None}]}),
        ("json_parser", {"text": "{{ fetch.body | json }}", "path": "items.1"}, "b"),
        ("text_transform", {"operation": "upper", "text": "{{ fetch.body.name }}"}, {"text": "ADA"}),
        ("text_transform", {"operation": "lower", "text": "ABC"}, {"text": "abc"}),
        ("text_transform", {"operation": "trim", "text": "  a "}, {"text": "a"}),
        (
            "text_transform",
            {"operation": "replace", "text": "aXa", "search": "X", "replacement": "-"},
            {"text": "a-a"},
        ),
        ("text_transform", {"operation": "split", "text": "a,b"}, {"text": ["a", "b"]}),
        ("text_transform", {"operation": "split", "text": ""}, {"text": [""]}),
        ("text_transform", {"operation": "join", "text": " a  b\n"}, {"text": "a,b"}),
        ("text_transform", {"operation": "replace", "text": "a.a", "search": "."}, {"text": "aa"}),
        ("text_transform", {"text": "{{ fetch.body.items | json }}"}, {"text": '["a", "b"]'}),
        ("json_parser", {"text": "null"}, None),
        ("json_parser", {"text": '{"a": [0, {"b": false}]}', "path": "a.1.b"}, False),
        ("json_parser", {"text": '{"1": "x"}', "path": "1"}, "x"),
        ("json_parser", {"text": '{"a": 1}', "path": ""}, {"a": 1}),
        ("text_transform", {"operation": "join", "text": "a b", "separator": "+"}, {"text": "a+b"}),
        (
            "text_transform",
            {"operation": "template", "text": "Dear {{ fetch.body.name }}"},
            {"text": "Dear Ada"},
        ),
        (
            "data_mapper",
            {"mapping": {"who": "{{ fetch.body.name }}", "deep": [{"x": "{{ fetch.body.n }}"}, 1, None]}},
            {"who": "Ada", "deep": [{"x": "3"}, 1, None]},
        ),
    ],
)
def test_gives(component, data, output):
    assert run(component, **data).output == output


@pytest.mark.parametrize(
    ("component", "data", "handle"),
    [
        ("status_condition", {"value": "{{ fetch.status_code }}", "expected": "200"}, "true"),
        (
            "status_condition",
            {"value": "{{ fetch.status_code }}", "operator": "not_equals", "expected": "200"},
            "false",
        ),
        (
            "tag_condition",
            {"value": "{{ webhook_payload.tags }}", "operator": "contains", "expected": "green"},
            "true",
        ),
        (
            "tag_condition",
            {"value": "{{ webhook_payload.tags }}", "operator": "contains", "expected": "gree"},
            "false",
        ),
        ("number_condition", {"value": "{{ fetch.body.n }}", "operator": "greater", "expected": "2.5"}, "true"),
        ("number_condition", {"value": "10", "operator": "less", "expected": "9"}, "false"),
        (
            "date_condition",
            {"value": "{{ fetch.body.due }}", "operator": "before", "expected": "2026-03-04T00:00:01Z"},
            "true",
        ),
        (
            "date_condition",
            {"value": "2026-03-04T02:00:00+02:00", "operator": "equals", "expected": "2026-03-04"},
            "true",
        ),
        ("boolean_condition", {"value": "{{ webhook_payload.ok }}"}, "true"),
        ("boolean_condition", {"value": "no"}, "false"),
        ("array_condition", {"value": "{{ fetch.body.items | json }}", "expected": "a"}, "true"),
        ("array_condition", {"value": "[]", "operator": "is_empty"}, "true"),
        ("array_condition", {"value": "[1]", "operator": "not_contains", "expected": "1"}, "false"),
        ("array_condition", {"value": "{{ fetch.body.items | json }}", "expected": "c"}, "false"),
        ("array_condition", {"value": "[1]", "operator": "not_contains", "expected": "2"}, "true"),
        ("array_condition", {"value": "[0]", "operator": "is_empty"}, "false"),
        ("array_condition", {"value": "[0]", "operator": "is_not_empty"}, "true"),
        ("array_condition", {"value": "[]", "operator": "is_not_empty"}, "false"),
        ("array_condition", {"value": "[true]", "expected": "true"}, "true"),
        ("array_condition", {"value": "[null, 1.5]", "expected": "null"}, "true"),
        ("array_condition", {"value": '["1"]', "expected": " 1 "}, "true"),
        ("status_condition", {"value": " 200 ", "expected": "{{ fetch.status_code }}"}, "true"),
        ("status_condition", {"value": "404", "expected": "200"}, "false"),
        ("status_condition", {"value": "404", "operator": "not_equals", "expected": "200"}, "true"),
        ("status_condition", {"value": "200 OK", "operator": "contains", "expected": "200"}, "true"),
        ("status_condition", {"value": "404", "operator": "not_contains", "expected": "200"}, "true"),
        ("status_condition", {"value": "", "expected": ""}, "true"),
        (
            "tag_condition",
            {"value": "{{ webhook_payload.tags }}", "operator": "not_contains", "expected": "gree"},
            "true",
        ),
        ("tag_condition", {"value": "red,green blue", "operator": "contains", "expected": "blue"}, "true"),
        ("tag_condition", {"value": "red", "expected": "red"}, "true"),
        ("tag_condition", {"value": "red, green", "operator": "not_equals", "expected": "red"}, "true"),
        *(
            ("number_condition", {"value": value, "operator": operator, "expected": "10"}, handle)
            for operator, handles in {
                "equals": ("false", "true", "false"),
                "not_equals": ("true", "false", "true"),
                "greater": ("false", "false", "true"),
                "greater_or_equal": ("false", "true", "true"),
                "less": ("true", "false", "false"),
                "less_or_equal": ("true", "true", "false"),
            }.items()
            for value, handle in zip((" 9", "10.0", "1.1e1"), handles, strict=True)
        ),
        *(
            ("date_condition", {"value": value, "operator": operator, "expected": "2026-03-04"}, handle)
            for operator, handles in {
                "before": ("true", "false", "false"),
                "equals": ("false", "true", "false"),
                "after": ("false", "false", "true"),
            }.items()
            for value, handle in zip(
                ("2026-03-03T23:59:59Z", "2026-03-04T00:00:00Z", "2026-03-04T00:00:00-00:01"),
                handles,
                strict=True,
            )
        ),
        *(("boolean_condition", {"value": text}, "true") for text in ("true", " TRUE ", "1", "Yes")),
        *(("boolean_condition", {"value": text}, "false") for text in ("false", "0", "no", "", "  ")),
        *(
            ("string_condition", {"value": "Nightkey", "operator": operator, "expected": expected}, handle)
            for operator, expected, handle in (
                ("equals", "Nightkey", "true"),
                ("equals", "nightkey", "false"),
                ("equals", " Nightkey", "false"),
                ("not_equals", "nightkey", "true"),
                ("not_equals", "Nightkey", "false"),
                ("contains", "ghtk", "true"),
                ("contains", "GHTK", "false"),
                ("not_contains", "GHTK", "true"),
                ("not_contains", "ghtk", "false"),
                ("starts_with", "Night", "true"),
                ("starts_with", "key", "false"),
                ("ends_with", "key", "true"),
                ("ends_with", "Night", "false"),
                ("is_empty", "", "false"),
                ("is_not_empty", "", "true"),
            )
        ),
        *(
            (
                "string_condition",
                {"value": "STRASSE 7", "operator": operator, "expected": expected, "ignoreCase": True},
                handle,
            )
            for operator, expected, handle in (
                ("equals", "stra\u00dfe 7", "true"),
                ("not_equals", "Strasse 7", "false"),
                ("contains", "asse", "true"),
                ("not_contains", "asse", "false"),
                ("starts_with", "str", "true"),
                ("ends_with", "E 7", "true"),
            )
        ),
        ("string_condition", {"value": "{{ fetch.body.name }}", "expected": "{{ fetch.body.name }}"}, "true"),
        ("status_condition", {"value": "{{ fetch.status_code }}", "expected": 200}, "true"),
        ("number_condition", {"value": 2.5, "operator": "less", "expected": 3}, "true"),
        ("boolean_condition", {"value": True}, "true"),
        ("boolean_condition", {"value": False}, "false"),
        ("string_condition", {"value": "{{ webhook_payload.ok }}", "expected": True}, "true"),
        ("string_condition", {"value": 30, "operator": "ends_with", "expected": 0}, "true"),
        ("switch_condition", {"value": "{{ fetch.body.n }}", "cases": {"three": 3, "four": 4}}, "three"),
        ("string_condition", {"value": "a b", "operator": "contains", "expected": " "}, "true"),
        ("string_condition", {"value": "ab", "operator": "contains", "expected": " "}, "false"),
        ("string_condition", {"value": "", "operator": "is_empty"}, "true"),
        ("string_condition", {"value": " \n", "operator": "is_empty"}, "true"),
        ("string_condition", {"value": " \n", "operator": "is_not_empty"}, "false"),
        ("string_condition", {"value": "", "expected": ""}, "true"),
        ("switch_condition", {"value": " Ada ", "cases": {"bob": "Bob", "ada": "Ada"}}, "ada"),
        ("switch_condition", {"value": "ada", "cases": {"ada": "Ada"}}, "default"),
        ("switch_condition", {"value": "", "cases": {"none": ""}}, "none"),
        ("switch_condition", {"value": "x", "cases": {"first": "x", "second": "x"}}, "first"),
        ("switch_condition", {"value": "{{ fetch.body.name }}", "cases": {"ada": "Ada"}}, "ada"),
        ("switch_condition", {"value": "x", "cases": {"ada": "Ada"}}, "default"),
    ],
)
def test_takes_the_branch(component, data, handle):
    assert run(component, **data).handle == handle


@pytest.mark.parametrize(
    ("component", "data", "problem"),
    [
        *(
            ("json_parser", {"text": text}, f"the text is not JSON that can be read: {problem}")
            for text, problem in (
                ("{", "line 1: not JSON: Expecting property name enclosed in double quotes"),
                ("", "line 1: not JSON: Expecting value"),
                ("[" * 5000, "nested too deeply"),
                ("[" * 1001 + "]" * 1001, "nested too deeply"),
                ("[NaN]", "NaN is a number that JSON cannot hold"),
                ("1" * 5000, "a number in it is too long"),
            )
        ),
        *(
            ("array_condition", {"value": text}, "the condition's value is not a JSON array")
            for text in ("[NaN]", "[" * 1001 + "]" * 1001)
        ),
        ("json_parser", {"text": "{}", "path": "a"}, "there is nothing at a"),
        ("json_parser", {"text": "[1]", "path": "1"}, "there is nothing at 1"),
        ("json_parser", {"text": "[1]", "path": "-1"}, "there is nothing at -1"),
        ("json_parser", {"text": "[1]", "path": "\u00b2"}, "there is nothing at \u00b2"),
        ("json_parser", {"text": "[1]", "path": "9" * 5000}, f"there is nothing at {'9' * 5000}"),
        ("json_parser", {"text": '{"a": 1}', "path": "a.b"}, "there is nothing at a.b"),
        ("json_parser", {"text": "{{ gone }}"}, "the template cannot be rendered: gone is undefined"),
        *(
            ("number_condition", {"value": text, "expected": "1"}, "the condition's value is not a number")
            for text in ("many", "", "nan", "inf", "-Infinity", "1e999", "1,5")
        ),
        ("number_condition", {"value": "1", "expected": "x"}, "the condition's value is not a number"),
        *(
            ("date_condition", {"value": text, "expected": "2026-03-04"}, "the condition's value is not a date")
            for text in ("soon", "", "2026-02-30", "1772582400")
        ),
        ("date_condition", {"value": "2026-03-04", "expected": "x"}, "the condition's value is not a date"),
        ("boolean_condition", {"value": "perhaps"}, "the condition's value is neither true nor false"),
        ("array_condition", {"value": '{"a": 1}'}, "the condition's value is not a JSON array"),
        ("array_condition", {"value": "a, b"}, "the condition's value is not a JSON array"),
        ("array_condition", {"value": "[" * 5000}, "the condition's value is not a JSON array"),
        ("array_condition", {"value": ""}, "the condition's value is not a JSON array"),
        ("text_transform", {"text": "{{ gone }}"}, "the template cannot be rendered: gone is undefined"),
        (
            "data_mapper",
            {"mapping": {"a": ["{{ gone }}"]}},
            "the template cannot be rendered: gone is undefined",
        ),
        ("terminate", {"message": "{{ gone }}"}, "the template cannot be rendered: gone is undefined"),
    ],
)
def test_input_that_does_not_fit_is_a_mistake(component, data, problem):
    with pytest.raises(TargetError) as caught:
        run(component, **data)
    assert (str(caught.value), caught.value.cause) == (problem, Cause.MISTAKE)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("component", "data", "field"),
    [
        ("text_transform", {"text": "x", "operation": "replace"}, "operation replace needs search"),
        (
            "text_transform",
            {"text": "x", "operation": "split", "separator": ""},
            "operation split needs separator",
        ),
        (
            "text_transform",
            {"text": "x", "operation": "join", "separator": ""},
            "operation join needs separator",
        ),
        ("text_transform", {"text": "x", "operation": "shout"}, "operation"),
        ("data_mapper", {"mapping": {}}, "mapping"),
        ("switch_condition", {"value": "x", "cases": {}}, "cases"),
        ("switch_condition", {"value": "x", "cases": {"error": "x"}}, "'error' cannot be the name of a case"),
        (
            "switch_condition",
            {"value": "x", "cases": {"default": "x"}},
            "'default' cannot be the name of a case",
        ),
        ("switch_condition", {"value": "x", "cases": {"": "x"}}, "'' cannot be the name of a case"),
        ("boolean_condition", {"value": "x", "operator": "equals"}, "operator"),
        ("string_condition", {"value": "x", "operator": "matches", "expected": "x"}, "operator"),
        *(
            ("string_condition", {"value": "x", "operator": operator}, f"operator {operator} needs expected")
            for operator in ("equals", "not_equals", "contains", "not_contains", "starts_with", "ends_with")
        ),
        *(
            (
                "string_condition",
                {"value": "x", "operator": operator, "expected": ""},
                f"operator {operator} needs expected",
            )
            for operator in ("contains", "not_contains", "starts_with", "ends_with")
        ),
        ("terminate", {"status": "running"}, "status"),
        ("webhook", {"url": ""}, "url"),
        ("webhook", {"url": 5}, "url"),
        ("webhook", {"url": "x", "method": 5}, "method"),
        ("webhook", {"url": "x", "method": "OPTIONS"}, "method"),
        ("webhook", {"url": "x", "timeout": 0}, "timeout"),
        ("webhook", {"url": "x", "timeout": 300.1}, "timeout"),
        ("manual_trigger", {"apiKey": "x"}, "apiKey"),
        ("workflow_trigger", {"apiKey": "x"}, "apiKey"),
        ("subflow_trigger", {"apiKey": "x"}, "apiKey"),
    ],
)
def test_fields_that_do_not_fit_are_refused_by_name(component, data, field):
    with pytest.raises(ValidationError) as caught:
        find_component(component).Fields.model_validate(data)
    assert field in str(caught.value)


OPTIONAL = [
    (name, field.alias or field_name)
    for name in component_ids()
    for field_name, field in find_component(name).Fields.model_fields.items()
    if not field.is_required()
]


@pytest.mark.parametrize(("component", "field"), OPTIONAL)
def test_null_is_as_if_a_field_were_left_out(component, field):
    found = find_component(component)
    without = {name: part for name, part in found.example.items() if name != field}
    results = [try_reading(found, given) for given in (without, {**without, field: None})]
    assert results[0] == results[1]


def test_what_is_needed_is_missing_where_it_is_null_and_what_is_not_known_is_not_hidden_by_it():
    for data, kind in (({"url": None}, "missing"), ({"url": "x", "urll": None}, "extra_forbidden")):
        assert try_reading(find_component("webhook"), data) == [((next(reversed(data)),), kind)]


def try_reading(component, data):
    """The fields, or where something is wrong with them and what."""
    try:
        return component.Fields.model_validate(data)
    except ValidationError as error:
        return [(one["loc"], one["type"]) for one in error.errors()]


@pytest.mark.parametrize(
    ("component", "data", "handles"),
    [
        ("boolean_condition", {"value": "x"}, ("true", "false")),
        ("number_condition", {"value": "1", "expected": "1"}, ("true", "false")),
        ("string_condition", {"value": "1", "expected": "1"}, ("true", "false")),
        (
            "switch_condition",
            {"value": "x", "cases": {"ada": "Ada", "bob": "Bob"}},
            ("ada", "bob", "default"),
        ),
        ("webhook", {"url": "x"}, ()),
        ("terminate", {}, ()),
        ("manual_trigger", {}, ()),
    ],
)
def test_only_conditions_lead_on_by_handles(component, data, handles):
    found = find_component(component)
    assert found.handles(found.Fields.model_validate(data)) == handles
    assert (found.kind is NodeKind.CONDITION) == bool(handles)


@pytest.mark.parametrize(
    ("other", "ours"),
    [
        ("scheduled_trigger", "schedule_trigger"),
        ("trigger_by_another_workflow", "workflow_trigger"),
    ],
)
def test_a_component_is_found_by_another_name_that_the_field_has_for_it(other, ours):
    assert find_component(other) is find_component(ours)
    assert other not in component_ids()


def test_an_item_may_only_be_named_where_it_is_sent_or_asked_for():
    components = map(find_component, component_ids())
    takers = {found.component_id: found.value_fields for found in components if found.value_fields}
    assert takers == {
        "api_trigger": frozenset({"apiKey"}),
        "authorizer": frozenset({"key"}),
        "smtp": frozenset({"username", "password"}),
        "soap": frozenset({"auth", "headers", "payload", "soapHeaders", "testPayload"}),
        "ssh": frozenset({"username", "privateKey", "password", "stdin"}),
        "webhook": frozenset({"url", "headers", "body"}),
        "webhook_trigger": frozenset({"apiKey"}),
    }


def test_terminate_ends_the_run():
    completed = run("terminate", message="done")
    assert (completed.ends, completed.failure, completed.output) == ("completed", None, {"message": "done"})
    failed = run("terminate", status="failed", message="no {{ fetch.body.name }}")
    assert (failed.ends, failed.failure, failed.output) == ("failed", "no Ada", {"message": "no Ada"})
    assert failed.cause is Cause.REJECTED
    assert run("terminate", status="failed").failure == "the workflow ended itself as failed"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("no template", "no template"),
        ("{{ fetch.body.gone | default: 'none' }}", "none"),
        ("{{ fetch.body.items | json }}", '["a", "b"]'),
        ("{{ vault.prod-x }}", "value-of-x"),
        (f"{{{{ vault['{ID}'] }}}}", "value-of-id"),
        (ID, ID),
    ],
)
def test_renders(template, text):
    assert render(template, Scope(context=CONTEXT, values=VALUES)).text == text


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ gone }}", "the template cannot be rendered: gone is undefined"),
        ("{{ fetch.body.gone }}", "the template cannot be rendered: fetch.body.gone is undefined"),
        ("{{ fetch[vault.prod-x] }}", "the template cannot be rendered: fetch[vault.prod-x] is undefined"),
        (
            "{{ vault.prod-gone }}",
            "item prod-gone has no value for this run: it does not exist, or is not a secret",
        ),
        (
            "{{ 'a' | divided_by: 0 }}",
            (
                "the template cannot be rendered: a tag or filter does not fit what it was "
                "given (FilterArgumentError)"
            ),
        ),
        (
            f"{{% for i in (1..{LOOPS_MAX + 1}) %}}x{{% endfor %}}",
            f"the template cannot be rendered: it loops more than {LOOPS_MAX} times",
        ),
        (
            "{% for i in (1..2000) %}" + "x" * 1000 + "{% endfor %}",
            f"the template cannot be rendered: it makes more than {OUTPUT_MAX} bytes",
        ),
        ("{{ fetch | shout }}", "the template cannot be rendered: it uses a filter that does not exist"),
        (
            "{{ vault }}",
            (
                "the template cannot be read: line 1, column 4: vault is taken whole: name "
                "one item, {{ vault.NAME }}"
            ),
        ),
    ],
)
def test_a_template_that_fails_is_a_mistake_told_without_values(template, problem):
    with pytest.raises(TargetError) as caught:
        render(template, Scope(context=CONTEXT, values=VALUES))
    assert (str(caught.value), caught.value.cause) == (problem, Cause.MISTAKE)
    assert caught.value.__context__ is None


def test_a_bare_id_in_a_header_is_its_value_and_one_that_comes_in_data_is_not():
    scope = Scope(context={"x": ID}, values=VALUES)
    assert render(f"Bearer {ID} {{{{ x }}}}", scope, header=True).text == f"Bearer value-of-id {ID}"


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\x00b", "{{ x }}"])
def test_a_line_break_in_a_header_is_refused(text):
    with pytest.raises(TargetError, match=r"^a header holds a line break$"):
        render(text, Scope(context={"x": "1\r\nX-Admin: 1"}, values={}), header=True)


def test_only_items_that_were_looked_up_count_as_used():
    text = "{% if fetch.body.n == 4 %}{{ vault.prod-x }}{% endif %}"
    rendered = render(text, Scope(context=CONTEXT, values=VALUES))
    assert (rendered.holds_value, rendered.used) == (True, frozenset())


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (200, None),
        (304, None),
        (400, Cause.MISTAKE),
        (401, Cause.REJECTED),
        (403, Cause.REJECTED),
        (404, Cause.MISTAKE),
        (407, Cause.REJECTED),
        (408, Cause.OUTAGE),
        (418, Cause.MISTAKE),
        (429, Cause.OUTAGE),
        (500, Cause.OUTAGE),
        (503, Cause.OUTAGE),
    ],
)
def test_a_status_has_a_cause(status, cause):
    assert cause_of(status) is cause


@pytest.mark.parametrize(
    "data",
    [
        {"operation": "replace", "text": "x" * 50_000, "search": "x", "replacement": "y" * 50_000},
        {"operation": "join", "text": "x " * 50_000, "separator": "y" * 50_000},
    ],
)
def test_a_transform_that_would_make_too_much_is_refused_before_it_is_made(data):
    with pytest.raises(TargetError, match=f"makes more than {OUTPUT_MAX} characters") as caught:
        run("text_transform", **data)
    assert caught.value.cause is Cause.MISTAKE


def test_the_templates_of_a_node_are_bounded_together_in_what_they_make_and_in_time():
    much = execution({"x": "y" * 1_000_000})
    with pytest.raises(TargetError, match=f"make more than {RENDERED_MAX} characters together"):
        much.render_all({"many": ["{{ x }}"] * 20})
    with pytest.raises(TargetError, match="did not render its templates in its time") as caught:
        execution(seconds=-1.0).render("{{ fetch.body.name }}")
    assert caught.value.cause is Cause.MISTAKE
