"""A service that does later what it is asked for, and says where to ask for the end: 202 with a Location."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from nightkey_demo.loopback import Answer, Incoming
from tests.http_rotator import ROTATOR, fail, make_job
from tests.numbered import NumberedTokens
from tests.ways_out import NETWORK
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.outbound import HttpClient
from worker.rotators.http_pending import POLLS_MAX
from worker.rotators.http_progress import JobProgress, judge_progress

LABEL = "nightkey-rot_1"
ACCEPTED = "the service accepted it, to do it later (202)"
SHORT = 1.0
"""Seconds of a whole call, where its end is not to be reached."""


class Later(NumberedTokens):
    """It accepts whatever `methods` name, does it at once, and tells the end at the `polls`-th question.

    `accept` writes where to ask, `tell` the answers there: by the number of the question and the end itself.
    """

    def __init__(
        self,
        methods: str = "POST DELETE GET",
        *,
        polls: int = 2,
        accept: Callable[[str], Mapping[str, str]] = lambda path: {"Location": path},
        tell: Callable[[int, Answer], Answer | None] = lambda *_: None,
    ) -> None:
        super().__init__()
        self.methods, self.polls = methods.split(), polls
        self.accept, self.tell = accept, tell
        self.ends: dict[str, Answer] = {}
        self.questions: list[str] = []
        self.opened_by: list[str | None] = []

    def respond(self, incoming: Incoming) -> Answer:
        if incoming.path.startswith("/jobs/"):
            return self._answer_question(incoming)
        answer = super().respond(incoming)
        if incoming.method not in self.methods or incoming.path == "/me":
            return answer
        path = f"/jobs/{len(self.ends) + 1}"
        self.ends[path] = answer
        return Answer(status=202, headers=self.accept(path))

    def _answer_question(self, incoming: Incoming) -> Answer:
        assert (incoming.method, incoming.body) == ("GET", b"")
        self.opened_by.append(incoming.headers.get("x-admin"))
        self.questions.append(incoming.path)
        number = self.questions.count(incoming.path)
        end = self.ends[incoming.path.removesuffix("/result")]
        if incoming.path.endswith("/result"):
            return end
        told = self.tell(number, end)
        if told is not None:
            return told
        return Answer(status=202) if number < self.polls else end

    def describe(self, port: int | None = None, **changes: Any) -> dict[str, Any]:
        settings = super().describe(port, **changes)
        for name in ("issue", "revoke", "find"):
            if name in settings:
                settings[name] = settings[name] | {"headers": {"X-Admin": "me"}}
        return settings


def begin(service: Later, *, seconds: float = 10, **changes: Any):
    old = Secret(service.issue())
    job = make_job(service, old=old, settings=service.describe(**changes))
    return replace(job, http=HttpClient(NETWORK, timeout=seconds))


def go_to_the_end(service: Later) -> None:
    """A rotation, and what a lost answer left beside it."""
    job = begin(service)
    service.issue(LABEL)
    made = ROTATOR.create(job)
    job = replace(job, new=made.value, new_external=made.external)
    assert "revoked, too, what else bears its label (1)" in ROTATOR.revoke(job)
    assert list(service.live) == [3]
    assert ROTATOR.undo(job) == "revoked what was issued (1)"
    assert service.live == {}


def test_the_end_of_each_call_is_asked_for_where_it_says():
    with Later(polls=1) as service:
        go_to_the_end(service)
        assert set(service.questions) == set(service.ends)
        assert set(service.opened_by) == {"me"}
        assert service.deletions() == ["/tokens/1", "/tokens/2", "/tokens/3"]


def by_status(number: int, end: Answer) -> Answer:
    done = "Succeeded" if number > 1 else "Running"
    return Answer(status=200, body={"status": done, "result": end.body})


WAYS: Mapping[str, Mapping[str, Any]] = {
    "a redirect to the result": {
        "tell": lambda number, _: Answer(status=303, headers={"Location": "/jobs/1/result"})
    },
    "a status, and the result where Location is": {
        "accept": lambda path: {"Operation-Location": path, "Location": f"{path}/result"},
        "tell": by_status,
    },
    "a status, and the result where the body says": {
        "accept": lambda path: {"Operation-Location": path},
        "tell": lambda number, end: Answer(
            status=200, body={"status": "done", "resourceLocation": "/jobs/1/result"}
        ),
    },
    "an outage between": {"tell": lambda number, _: Answer(status=503) if number == 1 else None},
    "done is false": {
        "tell": lambda number, _: Answer(status=200, body={"done": False}) if number == 1 else None
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_a_value_is_read_however_the_end_is_told(way):
    with Later("POST", **WAYS[way]) as service:
        job = begin(service)
        made = ROTATOR.create(job)
        assert (made.value.expose(), made.external) == ("value-of-number-2", {"id": 2})


def test_a_value_beside_a_status_is_read_at_its_path():
    with Later("POST", tell=by_status) as service:
        made = ROTATOR.create(begin(service, value="result.token", id="result.id"))
        assert (made.value.expose(), made.external) == ("value-of-number-2", {"id": 2})


def test_a_value_that_came_with_202_is_not_asked_for_again():
    class Early(Later):
        def respond(self, incoming: Incoming) -> Answer:
            answer = super().respond(incoming)
            return replace(answer, body=self.ends["/jobs/1"].body) if incoming.method == "POST" else answer

    with Early("POST") as service:
        assert ROTATOR.create(begin(service)).external == {"id": 2}
        assert service.questions == []


def test_an_end_that_does_not_come_in_time_is_an_outage_and_undone_as_a_lost_answer():
    with Later("POST", polls=1000) as service:
        job = begin(service, seconds=SHORT)
        with pytest.raises(
            TargetError, match=r"issue: the service accepted it, to do it later \(202\)"
        ) as caught:
            ROTATOR.create(job)
        assert (caught.value.cause, caught.value.acted) == (Cause.OUTAGE, True)
        assert "not done within 1 seconds" in str(caught.value)
        assert ROTATOR.undo(replace(job, unanswered=True)) == "revoked what was issued (1)"
        assert list(service.live) == [1]


def test_what_is_not_found_in_time_is_not_taken_for_nothing():
    with Later("GET", polls=1000) as service:
        job = replace(begin(service, seconds=SHORT), unanswered=True)
        service.issue(LABEL)
        message, cause = fail(ROTATOR.undo, job)
        assert message.startswith("find: the service accepted it, to do it later (202)")
        assert cause is Cause.OUTAGE


def test_a_revocation_that_is_not_done_in_time_is_not_done():
    with Later("DELETE", polls=1000) as service:
        job = begin(service, seconds=SHORT)
        made = ROTATOR.create(job)
        message, cause = fail(ROTATOR.revoke, replace(job, new=made.value, new_external=made.external))
        assert message.startswith("revoke: the service accepted it, to do it later (202)")
        assert cause is Cause.OUTAGE


def test_a_service_that_asks_to_wait_longer_than_a_call_may_take_is_not_asked_before():
    accept = {"Retry-After": "600"}
    with Later("POST", accept=lambda path: accept | {"Location": path}) as service:
        with pytest.raises(TargetError) as caught:
            ROTATOR.create(begin(service))
        assert (caught.value.cause, caught.value.acted) == (Cause.OUTAGE, True)
        assert caught.value.retry_at is not None
        assert service.questions == []


def test_a_service_that_asks_to_wait_a_moment_is_asked_then():
    with Later("POST", accept=lambda path: {"Retry-After": "1", "Location": path}) as service:
        assert ROTATOR.create(begin(service)).external == {"id": 2}


class Begun(Later):
    """Answers 202 with an empty result, and so does the place where the end is told, until it is there."""

    EMPTY: Mapping[str, Any] = {"GET": [], "POST": {"status": "running", "token": "", "id": ""}}

    def respond(self, incoming: Incoming) -> Answer:
        answer = super().respond(incoming)
        empty = self.EMPTY.get(self.methods[0])
        return replace(answer, body=empty) if answer.status == 202 else answer


@pytest.mark.parametrize("polls", [1, 2])
def test_an_empty_list_that_came_with_202_is_not_the_list(polls):
    with Begun("GET", polls=polls) as service:
        job = replace(begin(service), unanswered=True)
        service.issue(LABEL)
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
        assert list(service.live) == [1]


def test_an_empty_list_of_a_job_that_runs_is_not_the_list():
    class Wrapped(Later):
        def respond(self, incoming: Incoming) -> Answer:
            answer = super().respond(incoming)
            return replace(answer, body={"tokens": answer.body}) if isinstance(answer.body, list) else answer

    running = Answer(status=200, body={"status": "running", "tokens": []})
    with Wrapped("GET", tell=lambda number, _: running if number == 1 else None) as service:
        job = replace(begin(service, find_ids="tokens.*.id"), unanswered=True)
        service.issue(LABEL)
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
        assert list(service.live) == [1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer(status=202, body={"tokens": []}), "it says that it is not done yet"),
        (Answer(status=200, body={"tokens": [], "status": "processing"}), "it says that it is not done yet"),
        (Answer(status=200, body={"tokens": [], "ok": False}), "it says that it failed"),
    ],
)
def test_a_list_that_is_not_done_and_leads_nowhere_is_never_taken_for_all(answer, why):
    class Hasty(NumberedTokens):
        def respond(self, incoming: Incoming) -> Answer:
            told = super().respond(incoming)
            return answer if incoming.method == "GET" and incoming.path != "/me" else told

    with Hasty() as service:
        old = Secret(service.issue())
        settings = service.describe(find_ids="tokens.*.id")
        service.issue(LABEL)
        message, cause = fail(
            ROTATOR.undo, replace(make_job(service, old=old, settings=settings), unanswered=True)
        )
        assert f"only a part of the list was read: {why}" in message
        assert f"look there for {LABEL}" in message
        assert cause is Cause.MISTAKE


def test_an_empty_value_that_came_before_the_end_is_not_the_value():
    with Begun("POST", tell=lambda number, _: Answer(status=200, body=Begun.EMPTY["POST"])) as service:
        service.tell = lambda number, _: Answer(status=200, body=Begun.EMPTY["POST"]) if number < 3 else None
        made = ROTATOR.create(begin(service))
        assert (made.value.expose(), made.external) == ("value-of-number-2", {"id": 2})


FAILED = {"name": "operations/1", "done": True, "error": {"code": 7, "message": "denied"}}


class Deaf(Later):
    """Revokes nothing, and says so where the end is told, or says in its answer what `said` is."""

    said: Answer | None = None

    def respond(self, incoming: Incoming) -> Answer:
        if incoming.method == "DELETE" and self.said is not None:
            return self.said
        return super().respond(incoming)


@pytest.mark.parametrize("search", ["find", "no find"])
@pytest.mark.parametrize(
    "said", [None, Answer(status=204), Answer(status=200, body={"ok": False})], ids=["job", "204", "not ok"]
)
def test_a_revocation_that_took_nothing_away_of_a_value_that_was_refused_before_proves_nothing(said, search):
    with Deaf("DELETE", tell=lambda *_: Answer(status=200, body=FAILED)) as service:
        job = begin(service, **({} if search == "find" else {"find": None}))
        made = ROTATOR.create(job)
        service.said, service.deaf = said, {made.value.expose()}
        if said is None:  # it does at once what it is asked
            service.said = Answer(status=202, headers={"Location": "/jobs/1"})
            service.ends["/jobs/1"] = Answer(status=200, body=FAILED)
        message, _ = fail(ROTATOR.undo, replace(job, new=made.value, new_external=made.external))
        if said is None and search == "find":
            assert message == f"revoke: {ACCEPTED}: it says that it failed"
        else:
            assert f"look there for {LABEL}" in message
        assert list(service.live) == [1, 2]


def test_a_revocation_that_says_that_it_failed_is_none_where_no_check_tells():
    with Deaf("DELETE") as service:
        service.said = Answer(status=200, body={"ok": False, "error": "denied"})
        job = begin(service)
        made = ROTATOR.create(job)
        job = replace(job, new=made.value, new_external=made.external, unproven=True)
        message, cause = fail(ROTATOR.revoke, job)
        assert message.startswith("revoke: the service says that it failed, and no check can show")
        assert cause is Cause.MISTAKE


@pytest.mark.parametrize("where", ["http://localhost:{port}/jobs/1", "https://127.0.0.1:{port}/jobs/1"])
def test_another_place_is_never_asked(where):
    with Later("POST DELETE") as service:
        service.accept = lambda _: {"Location": where.format(port=urlsplit(service.url).port)}
        job = begin(service)
        message, cause = fail(ROTATOR.create, job)
        assert message.endswith(
            "does it later, but names no place of its own to ask for the end: see setting value"
        )
        assert cause is Cause.MISTAKE
        service.methods = ["DELETE"]
        made = ROTATOR.create(job)
        assert ROTATOR.revoke(replace(job, new=made.value, new_external=made.external)).startswith("revoked")
        assert service.questions == []


def test_its_own_place_is_asked_though_another_is_named_before_it():
    with Later("POST") as service:
        foreign = {"Operation-Location": "https://elsewhere.example.org/jobs/1"}
        service.accept = lambda path: foreign | {"Location": path}
        assert ROTATOR.create(begin(service)).external == {"id": 2}


def test_a_redirect_to_another_place_is_not_followed():
    tell = Answer(status=303, headers={"Location": "https://elsewhere.example.org/value"})
    with Later("POST", tell=lambda *_: tell) as service:
        message, cause = fail(ROTATOR.create, begin(service))
        assert message.endswith("(202): it leads to another place for its end, which is not followed")
        assert "example" not in message
        assert cause is Cause.MISTAKE


def test_redirects_in_a_circle_come_to_an_end():
    tell = Answer(status=303, headers={"Location": "/jobs/1"})
    with Later("POST", tell=lambda *_: tell) as service:
        message, cause = fail(ROTATOR.create, begin(service, seconds=60))
        assert f"asked for its end {POLLS_MAX} times" in message
        assert cause is Cause.OUTAGE
        assert len(service.questions) == POLLS_MAX


@pytest.mark.parametrize(
    ("tell", "problem"),
    [
        (Answer(status=200, body={"status": "Failed", "error": "value-of-number-2"}), "it says that it failed"),
        (Answer(status=404), "where it is to be asked for its end, it answered 404"),
        (Answer(status=403), "where it is to be asked for its end, it answered 403"),
    ],
)
def test_an_end_that_is_none_leaves_what_may_be_there_to_the_search(tell, problem):
    with Later("POST", tell=lambda *_: tell) as service:
        job = begin(service)
        with pytest.raises(TargetError) as caught:
            ROTATOR.create(job)
        assert str(caught.value).endswith(f"(202): {problem}")
        assert (caught.value.cause, caught.value.acted) == (Cause.MISTAKE, True)
        assert ROTATOR.undo(replace(job, unanswered=True)) == "revoked what was issued (1)"
        service.methods = ["DELETE"]
        made = ROTATOR.create(job)
        job = replace(job, new=made.value, new_external=made.external)
        if tell.status == 200:
            assert fail(ROTATOR.revoke, job) == (f"revoke: {ACCEPTED}: {problem}", Cause.MISTAKE)
        else:
            assert ROTATOR.revoke(job).startswith("revoked, and the service refuses the old value")


def test_where_no_check_tells_an_end_that_is_not_told_ends_nothing():
    with Later("DELETE", tell=lambda *_: Answer(status=404)) as service:
        job = begin(service)
        made = ROTATOR.create(job)
        job = replace(job, new=made.value, new_external=made.external, unproven=True)
        assert fail(ROTATOR.revoke, job)[0].startswith("revoke: the service accepted it, to do it later (202)")


def test_202_is_the_answer_where_the_settings_expect_it():
    with Later("DELETE", polls=1000) as service:
        settings = service.describe()
        settings["revoke"]["expect"] = {"status": [202, 204]}
        job = replace(begin(service), settings=make_job(service, settings=settings).settings)
        made = ROTATOR.create(job)
        assert ROTATOR.revoke(replace(job, new=made.value, new_external=made.external)).startswith("revoked")
        assert service.questions == []


@pytest.mark.parametrize(
    ("body", "progress"),
    [
        ({"status": "InProgress"}, JobProgress.UNDER_WAY), ({"status": "in_progress"}, JobProgress.UNDER_WAY),
        ({"status": "Not Started"}, JobProgress.UNDER_WAY), ({"state": "QUEUED"}, JobProgress.UNDER_WAY),
        ({"done": False}, JobProgress.UNDER_WAY), ({"status": "canceled"}, JobProgress.FAILED),
        ({"status": "timed-out"}, JobProgress.FAILED), ({"status": "Succeeded"}, JobProgress.DONE),
        ({"status": "active"}, JobProgress.DONE), ({"done": True}, JobProgress.DONE), ({}, JobProgress.DONE),
        ({"status": 200}, JobProgress.DONE), ([], JobProgress.DONE), ("", JobProgress.DONE),
        (None, JobProgress.DONE),
        ({"done": True, "error": {"code": 7, "message": "denied"}}, JobProgress.FAILED),
        ({"done": True, "error": None}, JobProgress.DONE), ({"done": True, "error": {}}, JobProgress.DONE),
        ({"error": False}, JobProgress.DONE), ({"status": "done", "success": False}, JobProgress.FAILED),
        ({"ok": False}, JobProgress.FAILED), ({"ok": True, "success": True}, JobProgress.DONE),
        ({"status": {"state": "failed"}}, JobProgress.FAILED),
        ({"status": {"state": "running"}}, JobProgress.UNDER_WAY),
        ({"operation": {"status": {"state": "canceled"}}}, JobProgress.FAILED),
        ({"properties": {"state": "Updating"}}, JobProgress.UNDER_WAY),
        ({"token": {"status": "new"}}, JobProgress.DONE),
        ({"status": {"status": {"status": {"status": "failed"}}}}, JobProgress.DONE),
        ({"status": "running", "error": "x"}, JobProgress.FAILED),
    ],
)  # fmt: skip
def test_what_a_body_says_of_its_progress(body, progress):
    assert judge_progress(json.loads(json.dumps(body))) is progress
