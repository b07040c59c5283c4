"""What the demonstration's token service does while it wears a face, as a caller sees it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from nightkey_demo.faces import LAG, REPLICAS, SOON, Face
from nightkey_demo.token_service import TokenService
from tests.conftest import Clock

ADMIN = "the-admin-token-of-the-test"


@pytest.fixture
def service(clock: Clock) -> Iterator[TokenService]:
    with TokenService(ADMIN, clock=clock) as started:
        yield started


def wear(service: TokenService, *faces: Face) -> None:
    service.faces = frozenset(faces)


def call(service: TokenService, method: str, path: str, token: str = ADMIN, **body: Any) -> httpx.Response:
    return httpx.request(
        method,
        service.url + path,
        headers={"Authorization": f"Bearer {token}"},
        json=body or None,
        trust_env=False,
        timeout=120,
    )


def issue(service: TokenService, label: str) -> Any:
    answer = call(service, "POST", "/v1/tokens", account="crm", label=label, lifetime_seconds=86_400 * 90)
    assert answer.status_code == 201
    return answer.json()


def test_it_says_no_with_200_to_whoever_calls(service: TokenService) -> None:
    _, token = service.issue("crm")
    wear(service, Face.SAYS_NO_WITH_200)
    for shown in (token, "made-up"):
        answer = call(service, "GET", "/v1/account", shown)
        assert (answer.status_code, answer.json()) == (200, {"ok": False})


def test_it_redirects_whom_it_refuses_to_a_page_that_answers_200(service: TokenService) -> None:
    _, token = service.issue("crm")
    wear(service, Face.SIGN_IN)
    assert call(service, "GET", "/v1/account", token).status_code == 200
    refused = call(service, "GET", "/v1/account", "made-up")
    assert refused.status_code == 302
    assert call(service, "GET", refused.headers["Location"], "made-up").status_code == 200


def test_what_it_issues_ends_soon_and_is_told_so_in_several_forms(service: TokenService, clock: Clock) -> None:
    wear(service, Face.ENDS_SOON)
    issued = [issue(service, f"l{number}") for number in range(6)]
    ends = clock() + SOON
    told = [one["expires_at"] for one in issued]
    assert {type(one) for one in told} == {str, int}
    assert told[1] == int(ends.timestamp())
    assert told[2] == int(ends.timestamp() * 1000)
    assert parsedate_to_datetime(told[3]) == ends.replace(microsecond=0)
    assert issued[5]["expires_in"] == SOON.total_seconds()
    assert service.is_live(issued[0]["token"])
    clock.now += SOON
    assert not service.is_live(issued[0]["token"])


def test_what_it_issues_is_told_to_have_ended(service: TokenService) -> None:
    wear(service, Face.ENDED)
    told = [issue(service, f"l{number}")["expires_at"] for number in range(4)]
    assert told[:2] == [0, -1]
    assert [datetime.fromisoformat(one).year for one in told[2:]] == [1970, 2020]


def test_issuing_ends_the_others_at_once(service: TokenService) -> None:
    _, before = service.issue("crm")
    _, of_another = service.issue("billing")
    wear(service, Face.NO_OVERLAP)
    issued = issue(service, "l1")
    assert not service.is_live(before)
    assert service.is_live(of_another)
    assert service.live_tokens("crm") == [issued["id"]]


def test_replicas_learn_of_a_token_one_after_the_other(service: TokenService, clock: Clock) -> None:
    wear(service, Face.REPLICAS)
    issued = issue(service, "l1")
    for after in range(REPLICAS):
        accepted = sum(
            call(service, "GET", "/v1/account", issued["token"]).status_code == 200 for _ in range(REPLICAS)
        )
        assert accepted == after + 1
        assert service.is_known_everywhere(issued["id"]) is (accepted == REPLICAS)
        clock.now += LAG


def test_lists_come_in_pages_that_lead_from_one_to_the_next(service: TokenService) -> None:
    ids = [service.issue("crm", label=f"l{number}")[0] for number in range(3)]
    wear(service, Face.PAGES)
    path, found = "/v1/tokens?account=crm", []
    while path:
        answer = call(service, "GET", path)
        found += [token["id"] for token in answer.json()["tokens"]]
        path = answer.json()["next"]
        assert answer.links.get("next", {}).get("url") == path
        assert answer.json()["has_more"] is bool(path)
    assert found == ids


def test_a_filter_that_is_none_lists_the_whole_account(service: TokenService) -> None:
    ids = [service.issue("crm", label=f"l{number}")[0] for number in range(2)]
    wear(service, Face.NO_FILTER)
    listed = call(service, "GET", "/v1/tokens?account=crm&label=l1").json()["tokens"]
    assert [token["id"] for token in listed] == ids


def test_it_is_busy_and_says_until_when(service: TokenService, clock: Clock) -> None:
    wear(service, Face.BUSY)
    answers = [call(service, "GET", "/v1/account") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 503, 503]
    assert [answer.headers["Retry-After"] for answer in answers[::2]] == ["60", "60"]
    for answer in answers[1::2]:
        asked = parsedate_to_datetime(answer.headers["Retry-After"])
        assert timedelta(seconds=60) <= asked - clock() <= timedelta(seconds=61)
        assert asked.tzinfo == UTC
