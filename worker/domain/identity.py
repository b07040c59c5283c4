"""Who somebody of an identity provider is here: which roles their groups give, by which name they are known,
and what an ID token must say beyond what every token must. Pure.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from vaultcore.access import Role
from vaultcore.errors import InvalidInputError
from vaultcore.model import PrincipalKind

SUBJECT_MAX: Final = 255
"""Characters of what a provider calls somebody (OpenID Connect Core, section 2)."""
GROUPS_MAX: Final = 1000
"""Groups that are looked at: a list of more is none that a provider gives."""
_NAME_MAX: Final = 80
_FOR_OWNER: Final = "=owner:"
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""With two halves each: who can check a token must not be able to make one."""


class NoEntry(StrEnum):
    """Why nobody is let in."""

    NOT_BEGUN = "not-begun"
    """What came back was not asked for by this browser, was used before, or came too late."""
    DENIED = "denied"
    """The provider, or who sits before it, says no."""
    BAD_TOKEN = "bad-token"  # noqa: S105  # a word
    """What the provider said of them does not hold."""
    NO_ROLE = "no-role"
    """None of their groups gives a role."""
    REVOKED = "revoked"
    """Their principal is let in no more."""
    AWAY = "away"
    """The provider does not answer."""


@dataclass(frozen=True, kw_only=True)
class RoleRule:
    """Who is in `group` has `role`; with the role owner, for `owner`."""

    group: str
    role: Role
    owner: str | None = None


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What somebody's groups give. `owners`: for whom they answer, by name."""

    roles: frozenset[Role]
    owners: frozenset[str]


def parse_role_rule(text: str) -> RoleRule:
    """`GROUP=ROLE` or `GROUP=owner:OWNER`. A group may hold `=`: the last one counts."""
    if _FOR_OWNER in text:
        group, _, owner = text.rpartition(_FOR_OWNER)
        if group and owner:
            return RoleRule(group=group, role=Role.OWNER, owner=owner)
    group, _, role = text.rpartition("=")
    if group and role in set(Role) - {Role.OWNER}:
        return RoleRule(group=group, role=Role(role))
    raise InvalidInputError(
        f"{text[:80]!r}: write GROUP=ROLE, where ROLE is {', '.join(sorted(set(Role) - {Role.OWNER}))}; or "
        "GROUP=owner:OWNER"
    )


def find_grant(claims: Mapping[str, Any], rules: Iterable[RoleRule], *, groups_claim: str) -> Grant:
    """By the groups that the claim names; nothing for a claim that is missing, or holds anything else."""
    groups = _read_groups(claims.get(groups_claim))
    given = [rule for rule in rules if rule.group in groups]
    return Grant(
        roles=frozenset(rule.role for rule in given),
        owners=frozenset(rule.owner for rule in given if rule.owner is not None),
    )


def find_subject(claims: Mapping[str, Any]) -> str | None:
    """What the provider calls them, for ever; None: nothing that can be kept."""
    subject = claims.get("sub")
    good = isinstance(subject, str) and 0 < len(subject) <= SUBJECT_MAX and subject.isprintable()
    return subject if good else None


def find_names(claims: Mapping[str, Any], *, subject: str) -> Iterator[str]:
    """By which they may be known here, best first; the last one is always free. An address counts only where
    the provider has verified it. A name is for people to read: who somebody is, their subject alone says.
    """
    named = [claims.get("preferred_username")]
    if claims.get("email_verified") is True:
        named.append(claims.get("email"))
    yield from (name for name in named if isinstance(name, str) and 0 < len(name) <= _NAME_MAX)
    yield f"subject-{hashlib.sha256(subject.encode()).hexdigest()[:16]}"


def find_kind(claims: Mapping[str, Any]) -> PrincipalKind:
    """A program, where the token was given to a client for itself (RFC 9068, section 2.2)."""
    clients = (claims.get("client_id"), claims.get("azp"))
    return PrincipalKind.SERVICE if claims.get("sub") in clients else PrincipalKind.PERSON


def is_id_token_for(claims: Mapping[str, Any], *, client_id: str, nonce: str) -> bool:
    """Whether it was given for this very sign-in, beyond issuer, audience and times (OpenID Connect Core,
    section 3.1.3.7).
    """
    audience = claims.get("aud")
    several = isinstance(audience, list) and len(audience) > 1
    party = claims.get("azp")
    if party is None and several:
        return False
    return claims.get("nonce") == nonce and party in (None, client_id)


def _read_groups(given: object) -> Collection[str]:
    """A list of names, or one name."""
    if isinstance(given, str):
        return {given}
    if not isinstance(given, list) or len(given) > GROUPS_MAX:
        return frozenset()
    return {one for one in given if isinstance(one, str)}
