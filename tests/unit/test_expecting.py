"""What a good answer holds, and what is said of one that does not hold it."""

import json

import pytest
from pydantic import ValidationError

from vaultcore.errors import Cause
from worker.outbound import Expect, Response, cause_unmet

SECRET = "Zx9-very-secret-value"


def answer(status=200, body=None, headers=None):
    raw = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Response(status=status, headers=headers or {}, body="" if body is None else body, raw=raw)


GOOD = [
    ({"status": [200, 204]}, answer(204)),
    ({"status": [302]}, answer(302)),
    ({"status": [404]}, answer(404, {"error": "none"})),
    ({"json": {"ok": True}}, answer(201, {"ok": True})),
    ({"json": {"user.names.0": "ann", "user.age": 3}}, answer(200, {"user": {"names": ["ann"], "age": 3.0}})),
    ({"json": {"error": None}}, answer(200, {"error": None})),
    ({"json": {"": "ok"}}, answer(200, "ok")),
    (
        {"header": {"Content-Type": "application/json"}},
        answer(headers={"content-type": "application/json; a=b"}),
    ),
    ({"header": {"X-Mode": "a; b"}}, answer(headers={"x-mode": "a; b"})),
    ({"text": "welcome"}, answer(200, "<p>welcome back</p>")),
    ({"text": '"ok": true'}, answer(200, {"ok": True})),
    ({"text_absent": "Sign in"}, answer(200, "<p>welcome</p>")),
]

LACKING = [
    ({"status": [200]}, answer(201), "the status 201 is not 200"),
    ({"status": [200, 204]}, answer(302), "the status 302 is not 200 or 204"),
    ({"json": {"ok": True}}, answer(302, {"ok": True}), "the status 302 is not 2xx"),
    ({"json": {"ok": True}}, answer(500, {"ok": True}), "the status 500 is not 2xx"),
    ({"json": {"ok": True}}, answer(200, {"ok": False}), "ok in the body is not true"),
    ({"json": {"ok": True}}, answer(200, {"ok": 1}), "ok in the body is not true"),
    ({"json": {"count": 1}}, answer(200, {"count": True}), "count in the body is not 1"),
    ({"json": {"count": 1}}, answer(200, {"count": "1"}), "count in the body is not 1"),
    ({"json": {"ok": True}}, answer(200, "<p>Sign in</p>"), "ok in the body is not true"),
    ({"json": {"ok": True}}, answer(204), "ok in the body is not true"),
    ({"json": {"error": None}}, answer(200, {}), "error in the body is not null"),
    ({"json": {"": "ok"}}, answer(200, "not ok"), 'the body is not "ok"'),
    ({"json": {"a.b": "c"}}, answer(200, {"a": {"b": SECRET}}), 'a.b in the body is not "c"'),
    ({"header": {"X-Mode": "live"}}, answer(headers={"x-mode": SECRET}), 'the header X-Mode is not "live"'),
    ({"header": {"X-Mode": "live"}}, answer(), 'the header X-Mode is not "live"'),
    ({"text": "welcome"}, answer(200, f"<p>{SECRET}</p>"), 'the body does not hold "welcome"'),
    ({"text_absent": "Sign in"}, answer(200, f"<p>Sign in</p>{SECRET}"), 'the body holds "Sign in"'),
]


@pytest.mark.parametrize(("expected", "given"), GOOD)
def test_an_answer_that_holds_all_of_it_is_good(expected, given):
    assert Expect.model_validate(expected).judge(given) is None


@pytest.mark.parametrize(("expected", "given", "said"), LACKING)
def test_what_an_answer_lacks_is_said_in_words_of_the_expectation_alone(expected, given, said):
    assert Expect.model_validate(expected).judge(given) == said


def test_of_a_long_expectation_the_beginning_is_said():
    said = Expect(text="x" * 500).judge(answer(200, "y"))
    assert said is not None
    assert len(said) < 100


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"status": []},
        {"status": [99]},
        {"status": [600]},
        {"status": ["ok"]},
        {"json": {"a": [1]}},
        {"json": {"a": {"b": 1}}},
        {"header": {"": "a"}},
        {"header": {"A": 1}},
        {"body": "a"},
    ],
)
def test_an_expectation_that_cannot_be_meant_is_refused(given):
    with pytest.raises(ValidationError):
        Expect.model_validate(given)


def test_it_is_kept_as_it_was_written():
    given = {
        "status": [200],
        "json": {"ok": True},
        "header": {"X-Mode": "live"},
        "text": "a",
        "text_absent": "b",
    }
    kept = Expect.model_validate(given).model_dump(mode="json")
    assert kept == given
    assert Expect.model_validate(kept).model_dump() == given


def test_only_what_looks_at_more_than_the_status_tells_a_page_from_another():
    assert not Expect(status=[200]).tells
    assert Expect(text="a").tells
    assert Expect(text_absent="a").tells


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (200, Cause.REJECTED),
        (204, Cause.REJECTED),
        (401, Cause.REJECTED),
        (302, Cause.REJECTED),
        (303, Cause.REJECTED),
        (307, Cause.REJECTED),
        (301, Cause.MISTAKE),
        (308, Cause.MISTAKE),
        (404, Cause.MISTAKE),
        (503, Cause.OUTAGE),
    ],
)
def test_what_was_served_otherwise_than_expected_has_not_let_the_caller_in(status, cause):
    assert cause_unmet(status) is cause
