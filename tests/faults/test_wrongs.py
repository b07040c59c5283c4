"""What the watched token service takes for a wrong, and what not: else the chaos would find nothing."""

from collections.abc import Iterator

import httpx
import pytest

from nightkey_demo.faces import LAG, REPLICAS, Face
from tests.conftest import Clock
from tests.faults.target_systems import WatchedTokens

ADMIN = "the-admin-token-of-the-test"


@pytest.fixture
def service(clock: Clock) -> Iterator[WatchedTokens]:
    with WatchedTokens(ADMIN, clock=clock) as started:
        yield started


def issue_and_use(service: WatchedTokens, account: str) -> str:
    token_id, value = service.issue(account)
    headers = {"Authorization": f"Bearer {value}"}
    answer = httpx.post(f"{service.url}/v1/tickets", headers=headers, json={}, trust_env=False, timeout=120)
    assert answer.status_code == 201
    return token_id


def revoke(service: WatchedTokens, token_id: str) -> None:
    headers = {"Authorization": f"Bearer {ADMIN}"}
    url = f"{service.url}/v1/tokens/{token_id}"
    assert httpx.delete(url, headers=headers, trust_env=False, timeout=120).status_code == 204


def test_an_old_token_may_go_once_each_replica_accepts_the_new_one(
    service: WatchedTokens, clock: Clock
) -> None:
    old = issue_and_use(service, "crm")
    clock.now += REPLICAS * LAG
    service.faces = frozenset({Face.REPLICAS})
    service.issue("crm", label="new")
    clock.now += REPLICAS * LAG
    revoke(service, old)
    assert service.wrongs == []


def test_an_old_token_may_not_go_before(service: WatchedTokens, clock: Clock) -> None:
    old = issue_and_use(service, "crm")
    clock.now += REPLICAS * LAG
    service.faces = frozenset({Face.REPLICAS})
    service.issue("crm", label="new")
    clock.now += LAG
    revoke(service, old)
    assert service.wrongs == [f"{old} of crm was revoked while no other worked everywhere"]


def test_a_new_token_may_always_go(service: WatchedTokens, clock: Clock) -> None:
    issue_and_use(service, "crm")
    clock.now += REPLICAS * LAG
    service.faces = frozenset({Face.REPLICAS})
    new, _ = service.issue("crm", label="new")
    revoke(service, new)
    revoke(service, new)
    assert service.wrongs == []


def test_another_teams_token_is_nobodys_to_revoke_and_replaces_none(service: WatchedTokens) -> None:
    old = issue_and_use(service, "crm")
    service.add_foreign("crm")
    (foreign,) = set(service.live_tokens("crm")) - {old}
    revoke(service, old)
    revoke(service, foreign)
    assert service.wrongs == [
        f"{old} of crm was revoked while no other worked everywhere",
        f"{foreign} of crm is another team's, and was revoked",
    ]
    assert foreign not in service.accepted("crm").values()


def test_what_no_workflow_has_worked_with_may_go(service: WatchedTokens) -> None:
    """Its answer may have been lost, and then nobody knows its value."""
    lost, _ = service.issue("crm")
    revoke(service, lost)
    assert service.wrongs == []
