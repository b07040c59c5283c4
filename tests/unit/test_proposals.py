"""What is proposed for what comes in: its sort, its expiry, and a rotator that there is."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest

from vaultcore.model import UNCHANGED, Policy, Unchanged
from vaultcore.secret import Secret
from worker.domain.proposals import (
    TABLE,
    ExpirySource,
    find_expiry,
    find_hints,
    holds_login,
    propose,
)
from worker.rotators.catalog import rotator_names

NOW = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_each_rotator_that_is_proposed_is_there() -> None:
    proposed = {row.sort.rotator for row in TABLE} - {None}
    assert proposed <= set(rotator_names())


@pytest.mark.parametrize(
    ("name", "said", "value", "rotator"),
    [
        ("prod-billing-db", "postgres://db.example.org", "v", "postgres-role"),
        ("PostgreSQL main", "", "v", "postgres-role"),
        ("prod-deploy-key", "", "v", "ssh-key"),
        ("router", "sshPrivateKey", "v", "ssh-key"),
        ("router", "", "-----BEGIN OPENSSH PRIVATE KEY-----\nx", "ssh-key"),
        ("router", "sshPassword", "v", "ssh-password"),
        ("prod-jwt-secret", "", "v", "signing-key"),
        ("orders-webhook-secret", "", "v", "random"),
        ("mail", "smtp://mail.example.org", "v", "recipe"),
        ("billing", "https://api.github.com/", "v", "http"),
        ("billing", "slackApi", "v", "http"),
        ("billing-password", "", "v", "recipe"),
        ("api-key:orders", "", None, "workflow-api-key"),
        ("database-url", "postgres", "postgres://u:p@h/d", None),
        ("something", "", "v", None),
    ],
)
def test_words_say_what_could_replace_it(name: str, said: str, value: str | None, rotator: str | None) -> None:
    assert propose(name, find_hints(said), None if value is None else Secret(value)).rotator == rotator


def test_hints_are_words_of_the_table_alone() -> None:
    found = find_hints("postgres://root:hunter2@db/secret?token=xyz")
    assert found == ("db", "postgres", "secret", "token")


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("postgres://u:p@h/d", True),
        ("redis://:p@h", True),
        ("https://h/u:p@x", False),
        ("https://u@h", False),
        ("u:p@h", False),
    ],
)
def test_an_address_with_a_login(text: str, does: bool) -> None:
    assert holds_login(text) is does


def expiry(
    value: str | None = "v",
    *,
    given: datetime | None = None,
    lapses: bool = True,
    said: datetime | Unchanged | None = UNCHANGED,
    policy: Policy | None = None,
    now: datetime = NOW,
) -> tuple[datetime | None, ExpirySource]:
    secret = None if value is None else Secret(value)
    return find_expiry(
        "prod-x-token", value=secret, given=given, lapses=lapses, said=said, policy=policy or Policy(),
        sort=propose("prod-x-token", (), secret), now=now,
    )  # fmt: skip


def token(exp: float) -> str:
    return jwt.encode({"exp": exp}, "k" * 32)


def test_the_nearest_of_what_file_and_value_say_counts() -> None:
    soon, later = NOW + 5 * DAY, NOW + 50 * DAY
    assert expiry(given=later) == (later, ExpirySource.FILE)
    assert expiry(token(soon.timestamp()), given=later) == (soon, ExpirySource.VALUE)
    assert expiry(token(later.timestamp()), given=soon) == (soon, ExpirySource.FILE)
    assert expiry(token(later.timestamp()), lapses=False) == (later, ExpirySource.VALUE)
    assert expiry(given=NOW - DAY) == (NOW - DAY, ExpirySource.FILE)
    assert expiry(token(-6e10))[0] == datetime(2000, 1, 1, tzinfo=UTC)
    assert expiry(token(2e11))[0] == NOW + timedelta(days=200 * 366)


def test_what_nobody_says_is_proposed_for_a_value_alone() -> None:
    assert expiry(lapses=False) == (None, ExpirySource.FILE)
    assert expiry(None) == (None, ExpirySource.NOBODY)
    assert expiry(policy=Policy(lifetime=9 * DAY)) == (NOW + 9 * DAY, ExpirySource.FILE)
    assert expiry(said=None) == (None, ExpirySource.SAID)
    assert expiry(said=NOW + DAY) == (NOW + DAY, ExpirySource.SAID)
    proposed, source = expiry()
    assert source is ExpirySource.PROPOSED
    assert proposed is not None
    assert NOW + 134 * DAY <= proposed <= NOW + 180 * DAY
    assert expiry(now=NOW + timedelta(hours=20)) == (proposed, source), (
        "a dry run of the same day says the same"
    )
