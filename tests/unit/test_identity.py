"""Who somebody of an identity provider is here."""

from typing import Any

import pytest

from vaultcore.access import Role
from vaultcore.errors import InvalidInputError
from vaultcore.model import PrincipalKind
from worker.domain.identity import (
    GROUPS_MAX,
    Grant,
    RoleRule,
    find_grant,
    find_kind,
    find_names,
    find_subject,
    is_id_token_for,
    parse_role_rule,
)

RULES = tuple(map(parse_role_rule, ["ops=operator", "sec=auditor", "sec=approver", "pay=owner:billing"]))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("ops=operator", RoleRule(group="ops", role=Role.OPERATOR)),
        ("cn=ops,dc=example=admin", RoleRule(group="cn=ops,dc=example", role=Role.ADMIN)),
        ("pay=owner:billing", RoleRule(group="pay", role=Role.OWNER, owner="billing")),
        ("cn=pay,dc=x=owner:Team = A", RoleRule(group="cn=pay,dc=x", role=Role.OWNER, owner="Team = A")),
    ],
)
def test_a_rule_gives_a_group_a_role(text: str, rule: RoleRule) -> None:
    assert parse_role_rule(text) == rule


@pytest.mark.parametrize(
    "text", ["", "ops", "ops=", "=admin", "ops=king", "ops=owner", "ops=owner:", "=owner:x"]
)
def test_no_other_rule_is_taken(text: str) -> None:
    with pytest.raises(InvalidInputError, match="GROUP=ROLE"):
        parse_role_rule(text)


@pytest.mark.parametrize(
    ("groups", "roles", "owners"),
    [
        (["ops"], {Role.OPERATOR}, set()),
        (["ops", "sec", "other"], {Role.OPERATOR, Role.AUDITOR, Role.APPROVER}, set()),
        (["pay"], {Role.OWNER}, {"billing"}),
        ("ops", {Role.OPERATOR}, set()),
        ("ops sec", set(), set()),
        (["OPS", "ops ", "op"], set(), set()),
        ([], set(), set()),
        (None, set(), set()),
        (True, set(), set()),
        ({"ops": True}, set(), set()),
        ([["ops"], {"ops": 1}, 7, None], set(), set()),
        (["ops"] * (GROUPS_MAX + 1), set(), set()),
    ],
)
def test_groups_give_what_the_rules_say_and_nothing_else_does(
    groups: Any, roles: set[Role], owners: set[str]
) -> None:
    given = find_grant({"roles-of-mine": groups, "groups": ["ops"]}, RULES, groups_claim="roles-of-mine")
    assert given == Grant(roles=frozenset(roles), owners=frozenset(owners))


def test_without_the_claim_there_is_no_role() -> None:
    assert find_grant({}, RULES, groups_claim="groups") == Grant(roles=frozenset(), owners=frozenset())


@pytest.mark.parametrize("subject", [None, "", 7, ["a"], "a" * 256, "a\nb", "a\0"])
def test_what_cannot_be_kept_is_no_subject(subject: Any) -> None:
    assert find_subject({"sub": subject}) is None


@pytest.mark.parametrize(
    ("claims", "names"),
    [
        ({"preferred_username": "ada"}, ["ada"]),
        ({"preferred_username": "ada", "email": "a@x.org", "email_verified": True}, ["ada", "a@x.org"]),
        ({"email": "boss@x.org"}, []),
        ({"email": "boss@x.org", "email_verified": "true"}, []),
        ({"preferred_username": "", "email": 7, "email_verified": True}, []),
        ({"preferred_username": "a" * 81}, []),
    ],
)
def test_they_are_known_by_a_name_that_the_provider_answers_for(
    claims: dict[str, Any], names: list[str]
) -> None:
    *found, last = find_names(claims, subject="https://id.example 1")
    assert found == names
    assert last.startswith("subject-")


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"sub": "1"}, PrincipalKind.PERSON),
        ({"sub": "1", "azp": "portal"}, PrincipalKind.PERSON),
        ({"sub": "robot", "client_id": "robot"}, PrincipalKind.SERVICE),
        ({"sub": "robot", "azp": "robot"}, PrincipalKind.SERVICE),
    ],
)
def test_a_client_that_comes_for_itself_is_a_service(claims: dict[str, Any], kind: PrincipalKind) -> None:
    assert find_kind(claims) is kind


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"aud": "us", "nonce": "n"}, True),
        ({"aud": ["us"], "nonce": "n"}, True),
        ({"aud": ["us"], "azp": "us", "nonce": "n"}, True),
        ({"aud": ["us", "them"], "azp": "us", "nonce": "n"}, True),
        ({"aud": ["us", "them"], "nonce": "n"}, False),
        ({"aud": ["us", "them"], "azp": "them", "nonce": "n"}, False),
        ({"aud": "us", "azp": "them", "nonce": "n"}, False),
        ({"aud": "us", "nonce": "other"}, False),
        ({"aud": "us"}, False),
        ({"aud": "us", "nonce": None}, False),
    ],
)
def test_an_id_token_is_for_one_sign_in(claims: dict[str, Any], good: bool) -> None:
    assert is_id_token_for(claims, client_id="us", nonce="n") is good
