"""What a server answers, as the commands read it: times where times stand, an exit status for each refusal."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vaultcore.errors import NightkeyError
from worker.cli.far.answers import NoServerError, explain_refusal, read_answer

AT = "2026-11-27T01:02:03.000004Z"
TIME = datetime(2026, 11, 27, 1, 2, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"created_at": AT, "until": None, "slot": AT}, {"created_at": TIME, "until": None, "slot": TIME}),
        ([{"steps": [{"at": AT, "message": AT}]}], [{"steps": [{"at": TIME, "message": AT}]}]),
        ({"routed_at": [AT]}, {"routed_at": [TIME]}),
        ({"last_night": {"slot": AT}, "next_night": AT}, {"last_night": {"slot": TIME}, "next_night": TIME}),
        (
            {"output": {"created_at": AT}, "details": {"at": AT}},
            {"output": {"created_at": AT}, "details": {"at": AT}},
        ),
        ({"policy": {"settings": {"used_at": AT}}}, {"policy": {"settings": {"used_at": AT}}}),
        ({"created_at": "soon", "at": 5}, {"created_at": "soon", "at": 5}),
    ],
)
def test_times_are_read_where_times_stand(given: Any, read: Any) -> None:
    assert read_answer(given, "vault.example.org") == read


def test_a_field_that_is_missing_is_the_servers_fault() -> None:
    (row,) = read_answer([{"id": "x"}], "vault.example.org")

    with pytest.raises(NoServerError, match=r"vault\.example\.org answered without 'name'"):
        row["name"]


def ours(code: str, words: str = "no item 'x'") -> dict[str, Any]:
    return {"type": f"/docs/errors#{code}", "title": code, "status": 0, "detail": words}


def of_sdx(code: str, words: str = "no item 'x'") -> dict[str, Any]:
    return {"type": "invalid_request_error", "code": code, "message": words}


@pytest.mark.parametrize(
    ("status", "body", "exit_status", "says"),
    [
        (422, ours("invalid"), 2, "no item 'x'"),
        (404, of_sdx("not_found"), 2, "no item 'x'"),
        (403, ours("forbidden"), 3, "no item 'x'"),
        (409, of_sdx("refused"), 3, "no item 'x'"),
        (412, ours("changed"), 3, "no item 'x'"),
        (409, ours("unreadable"), 1, "h answered 409: no item 'x'"),
        (429, ours("slow_down"), 1, "h answered 429: no item 'x'"),
        (503, of_sdx("busy"), 1, "h answered 503: no item 'x'"),
        (401, of_sdx("unauthorized"), 3, "h lets nobody in with the token of NIGHTKEY_TOKEN"),
        (422, ours("invalid", "one\n two"), 2, "one two"),
        (502, "<html>", 1, "the server behind it does not answer"),
        (404, "<html>", 1, "it is no Nightkey server"),
        (404, {"error": "none"}, 1, "it is no Nightkey server"),
        (403, {"title": "forbidden", "detail": 5}, 1, "it is no Nightkey server"),
    ],
)
def test_a_refusal_has_its_words_and_its_exit_status(
    status: int, body: Any, exit_status: int, says: str
) -> None:
    error: NightkeyError = explain_refusal(status, body, "h")

    assert error.exit_status == exit_status
    assert says in str(error)
