"""Principals: who is let in by which token, as what, and until when."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import String

from tests.services.conftest import Moves
from vaultcore.access import Action, Role, may
from vaultcore.errors import ConflictError, InvalidInputError, NotFoundError, RefusedError
from vaultcore.model import PrincipalKind
from vaultcore.principals import NAME_MAX
from vaultcore.secret import Secret
from vaultcore.tables import audit, sessions
from worker.bootstrap import Services
from worker.rows.tables import rotations
from worker.services.access.principals import TokenView

pytestmark = pytest.mark.rules


ACTOR = "user:root"


def create(services: Services, name: str = "deploy-bot", *roles: Role, owners: Sequence[str] = ()) -> None:
    services.access.principals.create(name, kind=PrincipalKind.SERVICE, roles=roles, owners=owners, actor=ACTOR)


def issue(services: Services, name: str = "deploy-bot", lifetime: str = "90d") -> Secret:
    _, first = services.access.principals.issue_token(name, lifetime=lifetime, actor=ACTOR)
    assert first is not None
    return first.key


def read_all(services: Services) -> list[tuple[str, list[TokenView]]]:
    return [(one[0].name, one[1]) for one in services.access.principals.list_all() if isinstance(one, tuple)]


def tokens_of(services: Services, name: str) -> list[str]:
    return [one.item.name for one in dict(read_all(services))[name]]


@pytest.mark.both
def test_a_token_lets_its_bearer_in_with_the_roles_of_now(services: Services) -> None:
    create(services, "deploy-bot", Role.VIEWER)
    token = issue(services)
    found = services.access.principals.authenticate(token)
    assert found is not None
    assert (found.actor, may(found, Action.ITEM_SEE), may(found, Action.ITEM_ROTATE)) == (
        "service:deploy-bot",
        True,
        False,
    )
    services.access.principals.change_roles("deploy-bot", give=[Role.OPERATOR], take=[Role.VIEWER], actor=ACTOR)
    found = services.access.principals.authenticate(token)
    assert found is not None
    assert found.roles == {Role.OPERATOR}


@pytest.mark.both
def test_who_has_the_role_owner_answers_for_owners_that_are_named(services: Services) -> None:
    with services.database.write() as connection:
        services.owners.create(connection, "team", actor=ACTOR)
    create(services, "ann", Role.OWNER, owners=["team"])
    found = services.access.principals.authenticate(issue(services, "ann"))
    assert found is not None
    assert found.owners == {"team"}
    for roles, owners in (((Role.OWNER,), ()), ((Role.VIEWER,), ("team",))):
        with pytest.raises(InvalidInputError, match="the role owner is for owners that are named"):
            create(services, "ben", *roles, owners=owners)
    with pytest.raises(NotFoundError, match="no owner 'nobody'"):
        create(services, "ben", Role.OWNER, owners=["nobody"])


def test_a_key_that_is_no_token_lets_nobody_in(services: Services, moves: Moves) -> None:
    key = moves.add("api-key:callers", None).key
    assert key is not None
    assert services.access.principals.authenticate(key) is None
    assert services.access.principals.authenticate(Secret("wfk_nothing")) is None


@pytest.mark.both
def test_a_token_ends_at_once_when_it_or_its_principal_is_revoked(services: Services) -> None:
    create(services, "deploy-bot", Role.VIEWER)
    first, second = issue(services), issue(services)
    assert tokens_of(services, "deploy-bot") == ["api-key:deploy-bot", "api-key:deploy-bot-2"]
    services.access.principals.revoke_token("deploy-bot", "api-key:deploy-bot", actor=ACTOR)
    assert services.access.principals.authenticate(first) is None
    assert services.access.principals.authenticate(second) is not None
    assert tokens_of(services, "deploy-bot") == ["api-key:deploy-bot-2"]
    services.access.principals.revoke("deploy-bot", actor=ACTOR)
    assert services.access.principals.authenticate(second) is None
    with pytest.raises(ConflictError, match="let in no more since"):
        services.access.principals.revoke("deploy-bot", actor=ACTOR)
    with pytest.raises(RefusedError, match="is let in no more: create another"):
        issue(services)


def test_only_a_token_of_that_principal_is_taken_from_it(services: Services, moves: Moves) -> None:
    create(services, "deploy-bot", Role.VIEWER)
    create(services, "other-bot", Role.VIEWER)
    token = issue(services, "other-bot")
    moves.add("api-key:callers", None)
    for name in ("api-key:other-bot", "api-key:callers"):
        with pytest.raises(NotFoundError, match="is no token of deploy-bot"):
            services.access.principals.revoke_token("deploy-bot", name, actor=ACTOR)
    assert services.access.principals.authenticate(token) is not None


def test_a_token_lapses_and_is_replaced_before_by_one_that_waits_to_be_collected(
    services: Services, moves: Moves, clock: Any
) -> None:
    create(services, "deploy-bot", Role.VIEWER)
    old = issue(services, lifetime="90d")
    clock.now = moves.get("api-key:deploy-bot").due_at + timedelta(hours=1)
    services.night.inline_night.run_night(lambda _: None, wait=False)
    assert services.access.principals.authenticate(old) is not None, "it works on beside the new one"
    ((pickup,),) = moves.sql("SELECT id FROM pickups WHERE rotation_id IS NOT NULL")
    new = moves.collect(services.rotation.pickups.token(pickup)).key
    found = services.access.principals.authenticate(new)
    assert found is not None
    assert found.actor == "service:deploy-bot"
    clock.now += timedelta(days=90)
    assert services.access.principals.authenticate(old) is None


def test_names_of_principals_are_told_apart(services: Services) -> None:
    create(services)
    with pytest.raises(RefusedError, match="a principal named deploy-bot exists already"):
        create(services)
    with pytest.raises(RefusedError, match="looks like"):
        create(services, "Deploy-Bot")


def test_each_change_stands_in_the_record_with_who_made_it(services: Services, moves: Moves) -> None:
    create(services, "deploy-bot", Role.VIEWER)
    issue(services)
    services.access.principals.change_roles("deploy-bot", give=[Role.ADMIN], actor=ACTOR)
    services.access.principals.revoke("deploy-bot", actor=ACTOR)
    noted = [row for row in moves.log() if row.action.startswith("principal.")]
    assert [row.action for row in noted] == [
        f"principal.{what}" for what in ("create", "token", "update", "revoke")
    ]
    assert {row.actor for row in noted} == {ACTOR}
    assert noted[2].details["roles"] == ["admin", "viewer"]


@pytest.mark.parametrize("kind", PrincipalKind)
def test_the_longest_name_fits_the_record(services: Services, kind: PrincipalKind) -> None:
    """Every column that holds an actor is as wide, on a database that minds."""
    made = services.access.principals.create("n" * NAME_MAX, kind=kind, roles=[], owners=[], actor=ACTOR)
    actor = made.as_asker().actor
    for column in (audit.c.actor, sessions.c.actor, rotations.c.asked_by, rotations.c.approved_by):
        assert isinstance(column.type, String)
        assert len(actor) <= (column.type.length or 0)
    with pytest.raises(InvalidInputError, match=f"use 1 to {NAME_MAX}"):
        services.access.principals.create("n" * (NAME_MAX + 1), kind=kind, roles=[], owners=[], actor=ACTOR)
