"""Tokens of an identity provider at the interface: which hold, and what is asked of the provider for them."""

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwk, jwt
from sqlalchemy import select, update

from tests.provider import Issuer, start_issuer
from tests.services.test_tampered import behind
from tests.vaults import copy_vault
from tests.ways_out import LOOPBACK
from vaultcore.access import Role
from vaultcore.errors import TamperedError, TargetError
from vaultcore.secret import Secret
from vaultcore.tables import audit, principals
from worker.bootstrap import Services
from worker.config import load_settings
from worker.services.access.identity_provider import KEYS_PAUSE

AUDIENCE = "nightkey"
RSA = jwk.RSAKey.generate_key(2048, {"kid": "rsa"})
EC = jwk.ECKey.generate_key("P-256", {"kid": "ec"})
OTHER = jwk.RSAKey.generate_key(2048, {"kid": "other"})


class Ahead:
    """The clock of the machine, moved by the test."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass
class Door:
    services: Services
    issuer: Issuer
    clock: Ahead

    def claims(self, **other: Any) -> dict[str, Any]:
        now = int(self.clock().timestamp())
        usual = {
            "iss": self.issuer.url,
            "aud": AUDIENCE,
            "sub": "1",
            "exp": now + 600,
            "iat": now,
            "preferred_username": "ada",
            "groups": ["ops"],
        }
        return {name: value for name, value in {**usual, **other}.items() if value is not None}

    def enter(self, token: str) -> Any:
        assert self.services.access.identities is not None
        return self.services.access.identities.authenticate(Secret(token))

    def rows(self, action: str) -> list[Any]:
        with self.services.database.read() as connection:
            return list(connection.execute(select(audit).where(audit.c.action == action).order_by(audit.c.seq)))


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with start_issuer() as issuer:
        issuer.publish(RSA, EC)
        clock = Ahead()
        settings = load_settings(
            tmp_path / "home",
            outbound_private=LOOPBACK,
            oidc_issuer=issuer.url,
            oidc_roles=("ops=operator", "sec=auditor", "pay=owner:billing", "gone=owner:nobody"),
            jwt_audience=AUDIENCE,
            jwt_algorithms=("RS256", "ES256"),
        )
        copy_vault(settings, clock)
        services = Services(settings, clock)
        with services.database.write() as connection:
            services.owners.create(connection, "billing", actor="test")
        yield Door(services, issuer, clock)
        services.close()


def sign(claims: dict[str, Any], key: Any = RSA, algorithm: str = "RS256", **header: Any) -> str:
    named = {"alg": algorithm, "kid": key.kid, **header}
    shown = {name: value for name, value in named.items() if value is not None}
    return jwt.encode(shown, claims, key, algorithms=[algorithm])


@pytest.mark.parametrize(
    ("key", "algorithm", "header"), [(RSA, "RS256", {}), (EC, "ES256", {}), (RSA, "RS256", {"kid": None})]
)
def test_a_good_token_is_who_it_says_with_the_roles_of_their_groups(
    door: Door, key: Any, algorithm: str, header: dict[str, Any]
) -> None:
    found = door.enter(sign(door.claims(), key, algorithm, **header))
    assert (found.actor, found.roles, found.owners) == ("person:ada", {Role.OPERATOR}, frozenset())


WRONG: dict[str, Callable[[Door], str]] = {
    "another issuer": lambda door: sign(door.claims(iss="https://other.example")),
    "an issuer like ours": lambda door: sign(door.claims(iss=f"{door.issuer.url}/")),
    "no issuer": lambda door: sign(door.claims(iss=None)),
    "another audience": lambda door: sign(door.claims(aud="other")),
    "other audiences": lambda door: sign(door.claims(aud=["other", "nightkeys"])),
    "an audience that is no text": lambda door: sign(door.claims(aud={"nightkey": 1})),
    "no audience": lambda door: sign(door.claims(aud=None)),
    "lapsed": lambda door: sign(door.claims(exp=int(time.time()) - 61)),
    "no expiry": lambda door: sign(door.claims(exp=None)),
    "an expiry that is no number": lambda door: sign(door.claims(exp="2099")),
    "not yet": lambda door: sign(door.claims(nbf=int(time.time()) + 90)),
    "issued tomorrow": lambda door: sign(door.claims(iat=int(time.time()) + 90)),
    "no subject": lambda door: sign(door.claims(sub=None)),
    "an empty subject": lambda door: sign(door.claims(sub="")),
    "a subject of another kind": lambda door: sign(door.claims(sub=["1"])),
    "none": lambda door: pyjwt.encode(door.claims(), "", algorithm="none", headers={"kid": "rsa"}),
    "HS256 by the public key": lambda door: _sign_by_public(door.claims()),
    "an algorithm that is not on the list": lambda door: sign(door.claims(), RSA, "PS256"),
    "a key of another": lambda door: sign(door.claims(), OTHER, kid="rsa"),
    "a key that it brings along": lambda door: sign(door.claims(), OTHER, jwk=OTHER.as_dict(private=False)),
    "an unknown key": lambda door: sign(door.claims(), OTHER),
    "of the wrong kind for its key": lambda door: sign(door.claims(), EC, "ES256", kid="rsa"),
    "changed": lambda door: _change(sign(door.claims())),
    "cut": lambda door: sign(door.claims())[:-8],
    "no token": lambda door: "a.b.c",
    "nothing": lambda door: "..",
    "very long": lambda door: sign(door.claims(more="x" * 20_000)),
    "of characters that no token has": lambda door: "\udcff.é.\0",
}


def _sign_by_public(claims: dict[str, Any]) -> str:
    """A checker that takes the header's word for it has the key that everybody knows for a secret."""
    public = RSA.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "kid": "rsa"}, claims)]
    signed = ".".join(map(_encode, parts))
    return f"{signed}.{_encode(hmac.digest(public, signed.encode(), 'sha256'))}"


def _encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).decode().rstrip("=")


def _change(token: str) -> str:
    head, body, signature = token.split(".")
    other = pyjwt.encode({"sub": "2"}, "x" * 32).split(".")[1]
    assert other != body
    return f"{head}.{other}.{signature}"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_no_other_token_lets_anybody_in(door: Door) -> None:
    for name, make in WRONG.items():
        assert door.enter(make(door)) is None, name
    assert door.rows("principal.create") == []


def test_the_clocks_may_differ_by_a_minute(door: Door) -> None:
    now = int(time.time())
    for other in ({"exp": now - 30}, {"nbf": now + 30}, {"iat": now + 30}):
        assert door.enter(sign(door.claims(**other))) is not None, other


def test_an_unknown_key_is_asked_for_once_a_minute(door: Door) -> None:
    assert door.enter(sign(door.claims())) is not None
    assert door.issuer.asked.count("/keys") == 1
    for _ in range(3):
        assert door.enter(sign(door.claims(), OTHER)) is None
    assert door.issuer.asked.count("/keys") == 1, "within a minute of the first time"
    door.issuer.publish(RSA, OTHER)
    door.clock.ahead += KEYS_PAUSE
    assert door.enter(sign(door.claims(), OTHER)) is not None
    assert door.issuer.asked.count("/keys") == 2
    assert door.enter(sign(door.claims(), EC, "ES256")) is None, "it is published no more"
    assert door.issuer.asked.count("/keys") == 2


def test_while_the_provider_is_away_its_known_keys_hold_for_a_day(door: Door) -> None:
    assert door.enter(sign(door.claims())) is not None
    door.issuer.fails = True
    door.clock.ahead += timedelta(hours=23)
    assert door.enter(sign(door.claims())) is not None
    door.clock.ahead += timedelta(hours=2)
    with pytest.raises(TargetError):
        door.enter(sign(door.claims()))


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_what_is_no_key_for_tokens_is_left_out(door: Door) -> None:
    short = jwk.RSAKey.generate_key(1024, {"kid": "short"})
    shared = {"kty": "oct", "kid": "shared", "k": "c2hhcmVk" * 8}
    crypt = {**OTHER.as_dict(private=False), "kid": "crypt", "use": "enc"}
    door.issuer.keys += [shared, crypt, {"kty": "RSA", "kid": "torn", "n": "!", "e": 7}, {"kty": ["RSA"]}]
    door.issuer.keys += [dict(short.as_dict(private=False))]
    assert door.enter(sign(door.claims())) is not None
    assert door.enter(sign(door.claims(), OTHER, kid="crypt")) is None
    assert door.enter(sign(door.claims(), short)) is None


def test_another_address_than_the_setting_is_no_provider_of_ours(door: Door) -> None:
    door.issuer.url = "https://other.example"
    with pytest.raises(TargetError):
        door.enter(sign(door.claims()))


def test_roles_follow_the_groups_each_time_and_are_written_only_then(door: Door) -> None:
    for _ in range(3):
        assert door.enter(sign(door.claims())).roles == {Role.OPERATOR}
    assert len(door.rows("principal.create")) == 1
    assert door.rows("principal.update") == []
    found = door.enter(sign(door.claims(groups=["sec", "pay", "gone"])))
    assert (found.roles, found.owners) == ({Role.AUDITOR, Role.OWNER}, {"billing"})
    assert len(door.rows("principal.update")) == 1
    none = door.enter(sign(door.claims(groups=[])))
    assert (none.roles, none.owners) == (frozenset(), frozenset())
    assert door.rows("principal.update")[-1].actor == "identity-provider"


def test_an_owner_that_there_is_not_gives_no_role(door: Door) -> None:
    assert door.enter(sign(door.claims(groups=["gone"]))).roles == frozenset()
    assert door.rows("principal.create") == []


def test_nobody_is_taken_for_another_by_their_name(door: Door) -> None:
    first = door.enter(sign(door.claims()))
    second = door.enter(sign(door.claims(sub="2")))
    hostile = door.enter(sign(door.claims(sub="3", preferred_username="\u202eada<b>\n")))
    assert first.actor == "person:ada"
    assert len({first.actor, second.actor, hostile.actor}) == 3
    assert second.actor.startswith("person:subject-")
    assert hostile.actor.startswith("person:subject-")


def test_a_client_that_comes_for_itself_is_a_service(door: Door) -> None:
    found = door.enter(sign(door.claims(sub="robot", client_id="robot", preferred_username=None)))
    assert found.actor.startswith("service:")


def test_who_was_revoked_stays_out_whatever_their_token_says(door: Door) -> None:
    door.enter(sign(door.claims()))
    door.services.access.principals.revoke("ada", actor="test")
    assert door.enter(sign(door.claims())) is None
    assert door.enter(sign(door.claims(groups=["sec"]))) is None


def test_an_edited_principal_lets_nobody_in(door: Door) -> None:
    door.enter(sign(door.claims()))
    with behind(door.services) as connection:
        connection.execute(update(principals).values(roles=["admin"]))
    with pytest.raises(TamperedError):
        door.enter(sign(door.claims()))
