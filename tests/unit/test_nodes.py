"""What each component gives, by table; HTTP is met in the integration tests."""

import pytest

from vaultcore.errors import Cause, CounterpartError
from vaultcore.secret import Secret
from worker.outbound import HttpClient, cause_of
from worker.workflows.masking import Masker
from worker.workflows.nodes.base import Execution
from worker.workflows.nodes.catalog import COMPONENTS
from worker.workflows.templates import LOOPS_MAX, OUTPUT_MAX, Scope, render

CONTEXT = {
    "fetch": {"status_code": 200, "body": {"items": ["a", "b"], "name": "Ada", "n": 3, "due": "2026-03-04"}},
    "webhook_payload": {"tags": "red, green", "ok": True},
}
ID = "vlt_01hzy3v9k2m4n6p8q0r2s4t6v8"
VALUES = {"prod-x": Secret("value-of-x"), ID: Secret("value-of-id")}
HTTP = HttpClient()


def execution(context=CONTEXT):
    masker = Masker(VALUES.values())
    return Execution(
        scope=Scope(context=context, values=VALUES),
        http=HTTP,
        masker=masker,
        seconds=1.0,
        shown=masker.mask(dict(context)),
    )


def run(component_id, **data):
    component = COMPONENTS[component_id]
    return component.run(component.Fields.model_validate(data), execution())


@pytest.mark.parametrize(
    ("component", "data", "output"),
    [
        ("webhook_trigger", {}, CONTEXT["webhook_payload"]),
        ("manual_trigger", {}, CONTEXT),
        ("schedule_trigger", {}, CONTEXT),
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
        ("switch_condition", {"value": "{{ fetch.body.name }}", "cases": {"ada": "Ada"}}, "ada"),
        ("switch_condition", {"value": "x", "cases": {"ada": "Ada"}}, "default"),
    ],
)
def test_takes_the_branch(component, data, handle):
    assert run(component, **data).handle == handle


@pytest.mark.parametrize(
    ("component", "data"),
    [
        ("json_parser", {"text": "{"}),
        ("json_parser", {"text": "{}", "path": "a"}),
        ("number_condition", {"value": "many", "expected": "1"}),
        ("date_condition", {"value": "soon", "expected": "2026-03-04"}),
        ("boolean_condition", {"value": "perhaps"}),
        ("array_condition", {"value": '{"a": 1}'}),
    ],
)
def test_input_that_does_not_fit_is_a_mistake(component, data):
    with pytest.raises(CounterpartError) as caught:
        run(component, **data)
    assert caught.value.cause is Cause.MISTAKE


def test_terminate_ends_the_run():
    assert run("terminate", message="done").ends == "completed"
    failed = run("terminate", status="failed", message="no {{ fetch.body.name }}")
    assert (failed.ends, failed.failure) == ("failed", "no Ada")


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
            "item prod-gone has no value for this run: it does not exist, or is no secret",
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
    with pytest.raises(CounterpartError) as caught:
        render(template, Scope(context=CONTEXT, values=VALUES))
    assert (str(caught.value), caught.value.cause) == (problem, Cause.MISTAKE)
    assert caught.value.__context__ is None


def test_a_bare_id_in_a_header_is_its_value_and_one_that_comes_in_data_is_not():
    scope = Scope(context={"x": ID}, values=VALUES)
    assert render(f"Bearer {ID} {{{{ x }}}}", scope, header=True).text == f"Bearer value-of-id {ID}"


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\x00b", "{{ x }}"])
def test_a_line_break_in_a_header_is_refused(text):
    with pytest.raises(CounterpartError, match=r"^a header holds a line break$"):
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
