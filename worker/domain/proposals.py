"""What is proposed for an item that comes in from elsewhere: when it lapses, and what could replace it. Pure.

A table of words, and how a value begins: nothing is set to replace itself by it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from vaultcore.model import Policy, Unchanged
from vaultcore.rules import API_KEY_PREFIX, expiry_of_next, fraction_of
from vaultcore.secret import Secret
from worker.domain.ends import find_nearest, find_own_end
from worker.domain.fitting import split_words

_LOGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s/@:]{0,200}:[^\s/@]{1,500}@")
_OPENSSH: Final = "-----BEGIN OPENSSH PRIVATE KEY-----"
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
FAR: Final = timedelta(days=200 * 366)
"""What ends earlier, or so long from now, cannot be meant."""
_HALF_YEAR, _YEAR = timedelta(days=180), timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class Sort:
    """A sort of credential: what it is called, how long one should live, and the rotator that replaces such."""

    called: str
    lifetime: timedelta
    rotator: str | None


@dataclass(frozen=True, kw_only=True)
class _Row:
    """The words of one of `any_of` are all there."""

    any_of: tuple[str, ...]
    sort: Sort


def _row(any_of: str, called: str, lifetime: timedelta, rotator: str | None) -> _Row:
    sort = Sort(called=called, lifetime=lifetime, rotator=rotator)
    return _Row(any_of=tuple(part.strip() for part in any_of.split(",")), sort=sort)


_SSH_KEY: Final = Sort(called="an SSH key", lifetime=_YEAR, rotator="ssh-key")
_CALLERS_KEY: Final = Sort(called="a key for callers of ours", lifetime=_HALF_YEAR, rotator="workflow-api-key")
_ADDRESS: Final = Sort(called="an address with a login in it", lifetime=_HALF_YEAR, rotator=None)
_ANY: Final = Sort(called="a credential", lifetime=_YEAR, rotator=None)
TABLE: Final = (
    _Row(any_of=("ssh key", "ssh private", "sftp key", "sftp private", "deploy key"), sort=_SSH_KEY),
    _row("ssh, sftp", "an SSH password", _HALF_YEAR, "ssh-password"),
    _row("postgres, postgresql, pg, psql, pgsql", "a PostgreSQL password", _HALF_YEAR, "postgres-role"),
    _row("jwt key, jwt secret, jwt, signing, jwks, jwk", "a signing key", _YEAR, "signing-key"),
    _row("webhook secret, session secret, cookie secret, csrf", "a shared secret", _HALF_YEAR, "random"),
    _row(
        "mysql, mariadb, mssql, sqlserver, oracle, mongodb, mongo, redis, valkey, rabbitmq, amqp, ldap, "
        "database, db",
        "a server's password", _HALF_YEAR, "recipe",
    ),
    _row("smtp, imap, smtps, imaps, mail, mailer", "a mailbox's password", _HALF_YEAR, "recipe"),
    _row(
        "token, api, apikey, bearer, oauth, oauth2, pat, github, gitlab, bitbucket, slack, stripe, twilio, "
        "sendgrid, jira, okta, datadog, pagerduty, cloudflare, openai, hubspot, salesforce, zendesk, notion, "
        "telegram, discord",
        "an API token", _HALF_YEAR, "http",
    ),
    _row("password, passwd, pwd, pass, passphrase, login, basic", "a password", _HALF_YEAR, "recipe"),
    _row("key, secret", "a secret", _YEAR, None),
)  # fmt: skip
"""The first row that fits counts."""


_WORDS: Final = frozenset(word for row in TABLE for part in row.any_of for word in part.split())


class ExpirySource(StrEnum):
    """Who says when an item lapses."""

    FILE = "file"
    VALUE = "value"
    """The value itself: a token or a certificate that bears its end."""
    SAID = "said"
    """Whoever gave the command."""
    PROPOSED = "proposed"
    NOBODY = "nobody"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What an item comes in with. Its policy has no rotator and the mode `notify`: what `sort` proposes is told
    and not done. `lapsed`: its expiry is over.
    """

    policy: Policy
    owners: tuple[str, ...]
    expires_at: datetime | None
    source: ExpirySource
    sort: Sort
    lapsed: bool


def bound_time(time: datetime, now: datetime) -> datetime:
    """As it can be stored and reckoned with, before or after."""
    return min(max(time, EARLIEST), now + FAR)


def propose(name: str, hints: Sequence[str], value: Secret | None) -> Sort:
    """By what it is called, what the file says of it (`find_hints`), and how its value begins."""
    if name.startswith(API_KEY_PREFIX):
        return _CALLERS_KEY
    if value is not None and value.expose().lstrip().startswith(_OPENSSH):
        return _SSH_KEY
    if value is not None and holds_login(value.expose()):
        return _ADDRESS
    words = _find_words(" ".join((name, *hints)))
    found = (row.sort for row in TABLE if any(words.issuperset(part.split()) for part in row.any_of))
    return next(found, _ANY)


def holds_login(text: str) -> bool:
    """Whether it is an address with a user and a password, such as that of a database."""
    return _LOGIN.match(text) is not None


def find_hints(*texts: str) -> tuple[str, ...]:
    """The words of the table that stand there, and nothing else: an address may hold a login."""
    return tuple(sorted(_WORDS & _find_words(" ".join(texts))))


def _find_words(text: str) -> set[str]:
    """`PostgreSQL` and `GitHub` are one word, and `apiKey` is two: all of them count."""
    return {*split_words(text), *split_words(text.lower())}


def find_expiry(
    name: str,
    *,
    value: Secret | None,
    given: datetime | None,
    lapses: bool,
    said: datetime | Unchanged | None,
    policy: Policy,
    sort: Sort,
    now: datetime,
) -> tuple[datetime | None, ExpirySource]:
    """When it lapses, and who says so: the nearer of what the file says and what the value bears; else the
    policy's lifetime; else whoever gave the command; else the lifetime of its sort.

    What waits for its value lapses when the file says, and is proposed nothing: its expiry is asked for with
    it. The day that is proposed lies up to a quarter earlier, by the name, so that not all fall due on one day.
    """
    own = None if value is None else find_own_end(value.expose())
    own = None if own is None else bound_time(own, now)
    nearest = find_nearest(given, own)
    if nearest is not None:
        return nearest, ExpirySource.FILE if nearest == given else ExpirySource.VALUE
    if not lapses:
        return None, ExpirySource.FILE
    if value is None:
        return None, ExpirySource.NOBODY
    if policy.lifetime is not None:
        return expiry_of_next(policy, now), ExpirySource.FILE
    if not isinstance(said, Unchanged):
        return said, ExpirySource.SAID
    days = sort.lifetime.days - int(sort.lifetime.days / 4 * fraction_of(name))
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=days), ExpirySource.PROPOSED
