"""HTTP headers as nodes are given them, in either form; that they are sent is met in the integration tests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.test_nodes import ID, execution
from vaultcore.errors import Cause, TargetError
from worker.workflows.nodes.headers import names_of, render_headers
from worker.workflows.nodes.webhook import CallFields


def read(headers):
    fields = CallFields.model_validate({"url": "https://example.org", "headers": headers})
    again = CallFields.model_validate(fields.model_copy(update={"method": "GET"}))
    assert again.headers == fields.headers
    return render_headers(fields.headers, execution())


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        (None, []),
        ({}, []),
        ([], []),
        ({"X-One": "1", "x-two": "{{ fetch.body.name }}"}, [("X-One", "1"), ("x-two", "Ada")]),
        (
            {"X-N": 5, "X-F": 1.5, "X-T": True, "X-No": False},
            [("X-N", "5"), ("X-F", "1.5"), ("X-T", "true"), ("X-No", "false")],
        ),
        ([{"key": "X-One", "value": "1"}], [("X-One", "1")]),
        ([{"name": "X-One", "value": "{{ vault.prod-x }}"}], [("X-One", "value-of-x")]),
        ([{"key": "X-One", "value": f"Bearer {ID}"}], [("X-One", "Bearer value-of-id")]),
        ({"X-One": ID}, [("X-One", "value-of-id")]),
        ([{"key": "X", "value": 0}, {"key": "Y", "value": False}], [("X", "0"), ("Y", "false")]),
        ([{"key": "X", "value": "1"}, {"key": "x", "value": "2"}], [("X", "1"), ("x", "2")]),
        ([{"key": "X-{{ fetch.body.name }}", "value": "1"}], [("X-Ada", "1")]),
        ({"X-{{ fetch.body.name }}": "1"}, [("X-Ada", "1")]),
        ([{"key": "X", "value": ""}], [("X", "")]),
        # A row that somebody left empty, as builders keep it; and what a builder adds to each.
        ([{"key": "", "value": ""}, {"key": None, "value": None}, {}], []),
        ({"": ""}, []),
        ({"X": None, "Y": "1"}, [("Y", "1")]),
        ([{"key": "X", "value": None}, {"key": "Z", "value": "1"}], [("Z", "1")]),
        ([{"key": "X", "value": "1", "id": "row-1", "description": "{{ not read }}"}], [("X", "1")]),
        ([{"key": "", "name": "X", "value": "1"}], [("X", "1")]),
    ],
)
def test_either_form_is_read(headers, sent):
    assert read(headers) == sent


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ("s3cr3t", "use an object"),
        (5, "use an object"),
        ({"X": ["s3cr3t"]}, "the value of X cannot be used: use text, a number, true or false"),
        ({"X": float("nan")}, "the value of X cannot be used: use text, a number, true or false"),
        ({"": "s3cr3t"}, "a value has no name"),
        (["s3cr3t"], "number 1 is not a pair"),
        ([{"key": "X", "value": "1"}, ["X", "s3cr3t"]], "number 2 is not a pair"),
        ([{"key": "X", "secret": "s3cr3t"}], "number 1 has no value"),
        ([{"value": "s3cr3t"}], "number 1 has no name: write it as key"),
        ([{"key": "", "value": "s3cr3t"}], "number 1 has no name: write it as key"),
        ([{"key": 5, "value": "s3cr3t"}], "number 1 has no name: write it as key"),
        (
            [{"key": "X", "value": {"a": "s3cr3t"}}],
            "the value of X cannot be used: use text, a number, true or false",
        ),
        ({f"X-{number}": "1" for number in range(51)}, "at most 50"),
        ([{"key": "X", "value": "1"}] * 51, "at most 50"),
    ],
)
def test_what_cannot_be_headers_is_refused_in_one_sentence_without_a_value(headers, problem):
    with pytest.raises(ValidationError) as caught:
        read(headers)
    (error,) = caught.value.errors(include_input=False)
    assert error["loc"] == ("headers",)
    assert problem in error["msg"]
    assert "s3cr3t" not in error["msg"]


@pytest.mark.parametrize("form", [lambda text: {"X": text}, lambda text: [{"key": "X", "value": text}]])
def test_no_line_break_comes_into_a_header_in_either_form(form):
    with pytest.raises(TargetError, match=r"^a header holds a line break$") as caught:
        read(form("1\r\nX-Admin: 1"))
    assert caught.value.cause is Cause.MISTAKE


@pytest.mark.parametrize("method", ["get", "Get", "GET"])
def test_a_method_is_taken_in_any_case(method):
    fields = CallFields.model_validate({"url": "x", "method": method, "testMethod": method})
    assert (fields.method, fields.test_method) == ("GET", "GET")


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text() | st.sampled_from(["key", "name", "value"]), part),
    max_leaves=10,
)


@given(ANY_JSON)
def test_whatever_stands_there_is_headers_or_is_refused_at_its_place(given_json):
    problems: set[tuple[int | str, ...]] = set()
    names: list[str] = []
    try:
        names = names_of(CallFields.model_validate({"url": "x", "headers": given_json}).headers)
    except ValidationError as error:
        problems = {one["loc"] for one in error.errors()}
    assert problems <= {("headers",)}
    assert "" not in names
