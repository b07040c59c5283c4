"""Who guesses is answered later, who gets in is not; and tokens of an identity provider at the interface."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from joserfc import jwk, jwt

from tests.browsing import Browser
from tests.ingress import Front, serve
from tests.provider import Issuer, start_issuer
from tests.vaults import copy_vault
from tests.ways_out import LOOPBACK
from vaultcore.access import Role
from vaultcore.model import PrincipalKind
from worker.bootstrap import Services, utc_now
from worker.config import load_settings
from worker.web.connections import ConnectionLimits

LIMITS = ConnectionLimits()
KEY = jwk.RSAKey.generate_key(2048, {"kid": "1"})


@dataclass
class Door:
    services: Services
    front: Front
    issuer: Issuer

    def sign(self, **claims: object) -> str:
        usual = {"iss": self.issuer.url, "aud": "api", "sub": "1", "exp": int(time.time()) + 600}
        return jwt.encode({"alg": "RS256", "kid": "1"}, {**usual, **claims}, KEY, algorithms=["RS256"])


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with start_issuer() as issuer:
        issuer.publish(KEY)
        settings = load_settings(
            tmp_path / "home",
            outbound_private=LOOPBACK,
            oidc_issuer=issuer.url,
            oidc_roles=("ops=operator",),
            jwt_audience="api",
        )
        copy_vault(settings, utc_now)
        services = Services(settings)
        with serve(services) as front:
            yield Door(services, front, issuer)
        services.close()


def test_a_token_of_the_provider_opens_what_its_roles_say(door: Door) -> None:
    ops = door.sign(groups=["ops"])
    assert door.front.ask("GET", "/nightkey/owners", key=ops).status == 200
    assert door.front.ask("GET", "/nightkey/audit/verify", key=ops).status == 403
    assert door.front.ask("GET", "/nightkey/owners", key=door.sign()).status == 403, "known, and without a role"
    wrong = door.front.ask("GET", "/nightkey/owners", key=door.sign(aud="other", groups=["ops"]))
    assert (wrong.status, wrong.headers["www-authenticate"]) == (401, "Bearer")


def test_keys_that_cannot_be_had_are_no_fault_of_the_token(door: Door) -> None:
    door.issuer.fails = True
    answered = door.front.ask("GET", "/nightkey/owners", key=door.sign(groups=["ops"]))
    assert (answered.status, answered.body["title"]) == (503, "unavailable")


def test_who_guesses_is_answered_later_and_a_good_token_still_opens(door: Door) -> None:
    door.services.access.principals.create(
        "bot", kind=PrincipalKind.SERVICE, roles=[Role.VIEWER], owners=[], actor="t"
    )
    _, collected = door.services.access.principals.issue_token("bot", actor="t")
    assert collected is not None
    guesses = [
        lambda: door.front.ask("GET", "/nightkey/owners", key="wfk_guess").status,
        lambda: door.front.ask("GET", "/nightkey/owners", key=door.sign(aud="guess")).status,
        lambda: Browser(door.front).open("/console/link/guess").status,
        lambda: door.front.call("/workflows/sync/any", key="wfk_guess").status,
        lambda: door.front.call("/workflows/webhooks/wfk_guess").status,
    ]
    for number in range(LIMITS.failures - 1):
        assert guesses[number % len(guesses)]() in (401, 403)
    for guess in guesses:
        before = time.monotonic()
        assert guess() in (401, 403)
        assert time.monotonic() - before >= 1
    for _ in range(2 * LIMITS.failures):
        assert door.front.ask("GET", "/nightkey/owners", key=collected.key.expose()).status == 200
