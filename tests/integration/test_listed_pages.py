"""Lists in pages: what stands on the second is found, and what may stand on one that is not read is told."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from nightkey_demo.faces import Face
from nightkey_demo.loopback import Answer, Incoming
from nightkey_demo.token_service import TokenService
from tests.http_rotator import ACCOUNT, NOW, ROTATOR, describe, fail, make_job
from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.rotators.base import Outside
from worker.rotators.http_search import find_ours

LABEL = "nightkey-rot_1"
SIZE = 2


class Paged(TokenService):
    """Lists two tokens at a time, without looking at labels; `lead` writes how a page says where the next is.

    The next page is asked for by `cursor`, in the query or in a body of JSON.
    """

    def __init__(self, lead: Callable[["Paged", int], dict[str, Any]]) -> None:
        super().__init__(clock=lambda: NOW)
        self.lead = lead
        self.cursors: list[str] = []

    def respond(self, incoming: Incoming) -> Answer | None:
        searches = incoming.method == "GET" and incoming.path == "/v1/tokens"
        if not searches and incoming.path != "/v1/search":
            return super().respond(incoming)
        sent = json.loads(incoming.body) if incoming.body else {}
        cursor = sent.get("cursor") or parse_qs(incoming.query).get("cursor", [""])[0]
        self.cursors.append(cursor)
        start = int(cursor.removeprefix("c/") or 0)
        listed = [{"id": one.id, "label": one.label} for one in self._by_digest.values() if not one.revoked]
        told = self.lead(self, start + SIZE) if start + SIZE < len(listed) else {}
        headers = told.pop("headers", {})
        return Answer(status=200, body={"tokens": listed[start : start + SIZE], **told}, headers=headers)


def search(service: Paged, **changes: Any) -> dict[str, Any]:
    return describe(service, find_label="label", **changes)


def by_link(service: Paged, start: int) -> dict[str, Any]:
    return {"headers": {"Link": f'</v1/tokens?cursor={start}>; rel="next"'}}


def by_url(service: Paged, start: int) -> dict[str, Any]:
    return {"next": f"{service.url}/v1/tokens?cursor={start}"}


def by_cursor(service: Paged, start: int) -> dict[str, Any]:
    return {"meta": {"next_cursor": f"c/{start}"}, "has_more": True}


WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "a Link": (by_link, {}),
    "a URL in the body": (by_url, {"find_next": "next"}),
    "a cursor in the query": (by_cursor, {"find_next": "meta.next_cursor", "find_cursor": "cursor"}),
    "a cursor in the URL": (
        by_cursor,
        {
            "find_next": "meta.next_cursor",
            "find": {"method": "GET", "url": "@/v1/tokens?cursor={{ rotation.cursor }}"},
        },
    ),
    "a cursor in the body": (
        by_cursor,
        {
            "find_next": "meta.next_cursor",
            "find": {"url": "@/v1/search", "body": {"cursor": "{{ rotation.cursor }}"}},
        },
    ),
}


def arrange(service: Paged, changes: dict[str, Any]) -> tuple[dict[str, Any], str, str]:
    """Settings, the value in use, and one that a lost answer left on the last page."""
    _, old = service.issue(ACCOUNT)
    for number in range(5):
        service.issue("other", label=f"theirs-{number}")
    _, lost = service.issue(ACCOUNT, label=LABEL)
    settings = search(service, **changes)
    settings["find"]["url"] = settings["find"]["url"].replace("@", service.url)
    return settings, old, lost


@pytest.mark.parametrize("way", WAYS)
def test_what_a_lost_answer_left_is_found_on_the_last_page_and_revoked(way):
    lead, changes = WAYS[way]
    with Paged(lead) as service:
        settings, old, lost = arrange(service, changes)
        job = replace(make_job(service, old=Secret(old), settings=settings), unanswered=True)
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
        assert (service.is_live(old), service.is_live(lost)) == (True, False)
        assert len(service.cursors) == 4 + 3, "and once more when it is gone"
        assert len(service.live_tokens("other")) == 5


@pytest.mark.parametrize("way", WAYS)
def test_a_list_whose_pages_are_not_followed_is_never_taken_for_all(way):
    lead, _ = WAYS[way]
    with Paged(lead) as service:
        if way == "a Link":
            service.lead = lambda service, start: {
                "headers": {"Link": f'<http://localhost:1/v1/tokens?cursor={start}>; rel="next"'}
            }
        settings, old, lost = arrange(service, {})
        job = replace(make_job(service, old=Secret(old), settings=settings), unanswered=True)
        message, cause = fail(ROTATOR.undo, job)
        assert "only a part of the list was read: it" in message
        assert message.endswith(f"look there for {LABEL}, and revoke it")
        assert "localhost" not in message
        assert cause is Cause.MISTAKE
        assert (service.is_live(old), service.is_live(lost)) == (True, True)
        assert len(service.cursors) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Total-Count": "6"},
        {"X-Total": "6", "X-Total-Pages": "3"},
        {"Content-Range": "items 0-1/6"},
        {"X-Next-Page": "2"},
    ],
)
def test_a_list_of_which_a_header_alone_tells_that_there_are_more_is_never_taken_for_all(headers):
    with Paged(lambda *_: {"headers": headers}) as service:
        settings, old, lost = arrange(service, {})
        job = replace(make_job(service, old=Secret(old), settings=settings), unanswered=True)
        message, cause = fail(ROTATOR.undo, job)
        assert "only a part of the list was read: it says that" in message
        assert message.endswith(f"look there for {LABEL}, and revoke it")
        assert cause is Cause.MISTAKE
        assert (service.is_live(old), service.is_live(lost)) == (True, True)


def test_a_part_without_entries_does_not_show_that_a_search_filters():
    """It is asked for a label that nobody bears, and answers with the first, empty part of all there is."""

    class Parts(TokenService):
        def respond(self, incoming: Incoming) -> Answer | None:
            answer = super().respond(incoming)
            if incoming.method == "GET" and incoming.path == "/v1/tokens" and not incoming.query.endswith("_1"):
                return Answer(status=200, body={"tokens": []}, headers={"X-Total-Count": "9"})
            return answer

    with Parts(clock=lambda: NOW) as service:
        _, lost = service.issue(ACCOUNT, label=LABEL)
        job = replace(make_job(service), unanswered=True)
        message, _ = fail(ROTATOR.undo, job)
        assert "whether find filters by the label cannot be told" in message
        assert service.is_live(lost)


def test_what_was_found_on_the_part_that_was_read_is_revoked_all_the_same():
    with Paged(lambda *_: {"truncated": True}) as service:
        _, lost = service.issue(ACCOUNT, label=LABEL)
        for number in range(5):
            service.issue("other", label=f"theirs-{number}")
        job = replace(make_job(service, settings=search(service)), unanswered=True)
        assert "it says that it is a part (truncated)" in fail(ROTATOR.undo, job)[0]
        assert not service.is_live(lost)


@pytest.mark.parametrize(
    ("lead", "problem", "asked"),
    [
        (lambda *_: {"meta": {"next_cursor": "c/2"}}, "it leads back to a page that was read", 2),
        (lambda _, start: {"meta": {"next_cursor": f"{start}"}}, None, 4 + 3),
    ],
)
def test_pages_that_lead_in_a_circle_come_to_an_end(lead, problem, asked):
    with Paged(lead) as service:
        settings, old, _ = arrange(service, {"find_next": "meta.next_cursor", "find_cursor": "cursor"})
        job = replace(make_job(service, old=Secret(old), settings=settings), unanswered=True)
        if problem is None:
            ROTATOR.undo(job)
        else:
            assert problem in fail(ROTATOR.undo, job)[0]
        assert len(service.cursors) == asked


def test_pages_without_an_end_are_read_up_to_a_bound():
    endless = iter(range(10_000))

    class Endless(Paged):
        def respond(self, incoming: Incoming) -> Answer | None:
            if incoming.path != "/v1/tokens":
                return super().respond(incoming)
            self.cursors.append(incoming.query)
            return Answer(status=200, body={"tokens": [], "next": f"/v1/tokens?cursor={next(endless)}"})

    with Endless(by_url) as service:
        job = replace(make_job(service, settings=search(service, find_next="next")), unanswered=True)
        assert "it has more than 100 pages" in fail(ROTATOR.undo, job)[0]
        assert len(service.cursors) == 100


def test_a_cursor_that_the_request_has_no_place_for_is_told():
    with Paged(by_cursor) as service:
        settings, old, _ = arrange(service, {"find_next": "meta.next_cursor"})
        job = replace(make_job(service, old=Secret(old), settings=settings), unanswered=True)
        message, _ = fail(ROTATOR.undo, job)
        assert "it goes on with a cursor, which neither find_cursor nor rotation.cursor takes" in message


@pytest.mark.parametrize("way", ["a Link", "a URL in the body", "a cursor in the query"])
def test_an_inventory_is_read_to_its_last_page_and_a_part_of_one_is_no_answer(way):
    lead, changes = WAYS[way]
    with Paged(lead) as service:
        _, old = service.issue(ACCOUNT)
        known = [service.issue("other", label=f"theirs-{number}")[0] for number in range(4)]
        last, _ = service.issue(ACCOUNT, label="unknown")
        inventory = {"method": "GET", "url": f"{service.url}/v1/tokens"}
        job = make_job(service, old=Secret(old), settings=describe(service, inventory=inventory, **changes))
        job = replace(job, held=frozenset(known))
        assert ROTATOR.list_outside(job, [Secret(old)]) == [Outside(id=last, label="unknown")]
        settings = describe(service, inventory=inventory)
        service.lead = lambda *_: {"has_more": True}
        job = replace(job, settings=make_job(service, settings=settings).settings)
        with pytest.raises(TargetError, match="inventory: only a part of the list was read") as caught:
            ROTATOR.list_outside(job, [Secret(old)])
        assert caught.value.cause is Cause.MISTAKE


class Asked(frozenset[str]):
    """Counts how often it is asked; never one by one."""

    times = 0

    def __contains__(self, one: object) -> bool:
        raise AssertionError("asked one by one")

    def __rand__(self, others):
        self.times += 1
        return others.intersection(self)


def test_what_is_in_use_is_asked_once_for_the_whole_list():
    with Paged(by_link) as service:
        _, old = service.issue(ACCOUNT)
        held = Asked(service.issue("other", label=f"theirs-{number}")[0] for number in range(4))
        last, _ = service.issue(ACCOUNT, label="unknown")
        inventory = {"method": "GET", "url": f"{service.url}/v1/tokens"}
        job = make_job(service, old=Secret(old), settings=describe(service, inventory=inventory))
        found = ROTATOR.list_outside(replace(job, held=held), [Secret(old)])
        assert found == [Outside(id=last, label="unknown")]
        assert held.times == 1


@pytest.mark.parametrize(("total", "pages"), [(5, 3), (6, 3), (5, 4)])
def test_the_counts_of_a_list_are_compared_with_all_pages_that_were_read(total, pages):
    class Counting(Paged):
        def respond(self, incoming: Incoming) -> Answer | None:
            answer = super().respond(incoming)
            if answer is not None and "tokens" in (answer.body or {}):
                answer.body["meta"] = {"total": total, "total_pages": pages, "per_page": SIZE}
            return answer

    with Counting(by_link) as service:
        _, old = service.issue(ACCOUNT)
        for number in range(4):
            service.issue(ACCOUNT, label=f"theirs-{number}")
        job = make_job(service, old=Secret(old), settings=search(service))
        doubt = find_ours(job).doubt
        assert (doubt is None) is ((total, pages) == (5, 3))
        assert doubt is None or "it says that there are more than were read" in doubt


def test_the_pages_of_the_demonstration_are_followed():
    with TokenService(clock=lambda: NOW) as service:
        service.faces = frozenset({Face.PAGES, Face.NO_FILTER})
        _, old = service.issue(ACCOUNT)
        _, theirs = service.issue(ACCOUNT, label="theirs")
        made = ROTATOR.create(make_job(service))
        job = replace(
            make_job(service, old=Secret(old), settings=describe(service, find_label="label")), unanswered=True
        )
        assert ROTATOR.undo(job) == "revoked what was issued (1)"
        assert [service.is_live(one) for one in (old, theirs, made.value.expose())] == [True, True, False]


# Labels


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        (lambda label: label[:13], "the service cuts labels off, so that what is ours cannot be told"),
        (lambda _: None, "no entry that find lists tells its label at label"),
    ],
)
def test_labels_that_cannot_be_compared_are_told_and_nothing_is_swept(shown, problem):
    class Cutting(Paged):
        def respond(self, incoming: Incoming) -> Answer | None:
            answer = super().respond(incoming)
            for one in answer.body.get("tokens", ()) if answer is not None and answer.body else ():
                one["label"] = shown(one["label"])
            return answer

    with Cutting(by_link) as service:
        settings, old, lost = arrange(service, {})
        job = replace(make_job(service, old=Secret(old), settings=settings), unanswered=True)
        assert problem in fail(ROTATOR.undo, job)[0]
        assert (service.is_live(old), service.is_live(lost)) == (True, True)


def test_a_filter_that_compares_the_beginnings_of_labels_alone_is_none():
    class Beginning(TokenService):
        def respond(self, incoming: Incoming) -> Answer | None:
            if incoming.method != "GET" or incoming.path != "/v1/tokens":
                return super().respond(incoming)
            wanted = parse_qs(incoming.query)["label"][0][:13]
            found = [
                one for one in self._by_digest.values() if one.label.startswith(wanted) and not one.revoked
            ]
            return Answer(status=200, body={"tokens": [{"id": one.id} for one in found]})

    with Beginning(clock=lambda: NOW) as service:
        _, theirs = service.issue(ACCOUNT, label="nightkey-rot_2")
        job = make_job(service, label="nightkey-rot_1")
        made = ROTATOR.create(job)
        _, twin = service.issue(ACCOUNT, label="nightkey-rot_3")
        assert "find lists what does not bear the label" in fail(ROTATOR.undo, replace(job, unanswered=True))[0]
        assert all(service.is_live(one) for one in (theirs, twin, made.value.expose()))
