"""Roads to more than the roles give, on a real server: tokens of others, and names that workflows wait for."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.desk import BOTH, VAULT, Desk, add_rotated, name_database, open_desk
from vaultcore.access import Role
from vaultcore.errors import InvalidInputError
from vaultcore.model import PrincipalKind
from worker.domain.changes import ItemChange

ITEMS, POLICIES, PICKUPS = "/nightkey/items", "/nightkey/policies", "/nightkey/pickups"


@pytest.fixture(scope="module", params=BOTH)
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with open_desk(tmp_path_factory.mktemp("more"), name_database(request)) as opened:
        yield opened


def waits_for(desk: Desk, workflow: str, name: str) -> None:
    """A workflow that sends a value of this name, which there is not yet."""
    document = {
        "name": workflow,
        "is_active": True,
        "nodes": [
            {"id": "start", "type": "trigger", "data": {"componentId": "schedule_trigger"}},
            {
                "id": "send",
                "type": "action",
                "data": {
                    "componentId": "webhook",
                    "method": "GET",
                    "url": "https://elsewhere.example.com/",
                    "headers": {"Authorization": f"Bearer {{{{ vault.{name} }}}}"},
                },
            },
        ],
        "edges": [{"id": "e1", "source": "start", "target": "send"}],
        "schedule_type": "cron",
        "schedule_value": "0 9 * * *",
    }
    stored = desk.ask(Role.ADMIN, "POST", "/workflows", document)
    assert (stored.status, stored.body["missing_items"]) == (201, [name]), stored


def users_of(desk: Desk, item: str) -> list[Any]:
    return list(desk.ask(Role.ADMIN, "GET", f"{ITEMS}/{item}").body["references"])


@pytest.mark.parametrize("role", [Role.OWNER, Role.OPERATOR])
def test_a_value_is_not_sent_elsewhere_by_a_new_name(desk: Desk, role: Role) -> None:
    awaited = f"prod-awaited-by-{role}"
    waits_for(desk, f"sends-{role}", awaited)
    item = desk.create(f"prod-renamed-{role}")
    before = len(desk.log("access.refuse"))
    for method, place in (("PATCH", f"{ITEMS}/{item}"), ("PUT", f"{VAULT}/{item}")):
        refused = desk.ask(role, method, place, {"name": awaited})
        assert refused.status == 403, refused
        assert "item.redirect" in str(refused.body)
    assert len(desk.log("access.refuse")) == before + 2
    assert users_of(desk, item) == []
    harmless = desk.ask(role, "PATCH", f"{ITEMS}/{item}", {"name": f"prod-renamed-well-{role}"})
    assert harmless.status == 200, harmless
    led = desk.ask(Role.ADMIN, "PATCH", f"{ITEMS}/{item}", {"name": awaited})
    assert (led.status, [one["name"] for one in led.body["references"]]) == (200, [f"sends-{role}"])


@pytest.mark.parametrize("role", [Role.OWNER, Role.OPERATOR])
def test_what_a_workflow_waits_for_is_created_by_who_knows_its_value(desk: Desk, role: Role) -> None:
    awaited = f"prod-missing-for-{role}"
    waits_for(desk, f"uses-{role}", awaited)
    new = {"name": awaited, "secret": f"a value that {role} knows", "owners": ["team"]}
    made = desk.ask(role, "POST", VAULT, new)
    assert made.status == 201, made
    assert [one["name"] for one in users_of(desk, made.body["id"])] == [f"uses-{role}"]


def token_of(desk: Desk, name: str, *, roles: list[Role], owners: list[str]) -> tuple[str, str]:
    """A principal's token: the id of its item, and the key."""
    desk.services.access.principals.create(
        name, kind=PrincipalKind.SERVICE, roles=roles, owners=owners, actor="test"
    )
    item, first = desk.services.access.principals.issue_token(name, actor="test")
    assert first is not None
    return item.id, first.key.expose()


def test_a_token_of_another_is_changed_by_who_manages_principals(desk: Desk) -> None:
    item, key = token_of(desk, "changed-bot", roles=[Role.ADMIN, Role.OWNER], owners=["team"])
    for role in (Role.OWNER, Role.OPERATOR):
        for method, place, body in (
            ("PATCH", f"{ITEMS}/{item}", {"expires_at": "2099-01-01T00:00:00Z"}),
            ("PATCH", f"{ITEMS}/{item}", {"owners": ["others"]}),
            ("PUT", f"{VAULT}/{item}", {"name": "api-key:mine"}),
            ("PATCH", f"{POLICIES}/{item}", {"lifetime": "9000d"}),
            ("DELETE", f"{VAULT}/{item}", None),
        ):
            refused = desk.ask(role, method, place, body)
            assert refused.status == 403, (role, method, refused)
            assert "principal.manage" in str(refused.body)
        assert desk.ask(role, "GET", f"{ITEMS}/{item}").status == 200
    assert desk.front.ask("GET", "/nightkey/owners", key=key).status == 200


def test_a_token_of_another_is_collected_by_who_may_as_much(desk: Desk) -> None:
    """Whoever answers for the same owner as an admin does not become one by the admin's next token."""
    item, _ = token_of(desk, "mighty-bot", roles=[Role.ADMIN, Role.OWNER], owners=["team"])
    _, own = token_of(desk, "mighty-twin", roles=[Role.ADMIN, Role.OWNER], owners=["team"])
    rotation = desk.ask(Role.OWNER, "POST", "/nightkey/rotations", {"item": item})
    assert rotation.status == 202, rotation
    desk.services.night.inline_night.run_rotation(rotation.body["id"], lambda _: None)
    ((pickup,),) = desk.moves.sql(
        "SELECT id FROM pickups WHERE item_id = :item AND rotation_id IS NOT NULL", item=item
    )
    token = {"token": desk.services.rotation.pickups.token(pickup)}
    refused = desk.ask(Role.OWNER, "POST", PICKUPS, token)
    assert refused.status == 403, refused
    assert "wfk_" not in str(refused.body)
    assert desk.front.ask("POST", PICKUPS, token, key=own).status == 200


def test_a_principal_collects_its_own_next_token(desk: Desk) -> None:
    item, key = token_of(desk, "lowly-bot", roles=[Role.OWNER], owners=["team"])
    rotation = desk.front.ask("POST", "/nightkey/rotations", {"item": item}, key=key)
    assert rotation.status == 202, rotation
    desk.services.night.inline_night.run_rotation(rotation.body["id"], lambda _: None)
    ((pickup,),) = desk.moves.sql(
        "SELECT id FROM pickups WHERE item_id = :item AND rotation_id IS NOT NULL", item=item
    )
    token = {"token": desk.services.rotation.pickups.token(pickup)}
    assert desk.front.ask("POST", PICKUPS, token, key=key).status == 200


def test_a_token_always_lapses(desk: Desk) -> None:
    item, _ = token_of(desk, "lasting-bot", roles=[Role.VIEWER], owners=[])
    for method, place, body in (
        ("PATCH", f"{ITEMS}/{item}", {"expires_at": None}),
        ("PUT", f"{VAULT}/{item}", {"expires_at": None}),
    ):
        refused = desk.ask(Role.ADMIN, method, place, body)
        assert (refused.status, "token" in str(refused.body)) == (422, True), refused
    with pytest.raises(InvalidInputError, match="token"):
        desk.services.items.updates.update(item, ItemChange(expires_at=None), actor="test")
    assert desk.ask(Role.ADMIN, "GET", f"{ITEMS}/{item}").body["expires_at"] is not None


def test_a_value_that_another_has_is_refused_without_the_name_of_what_one_may_not_see(desk: Desk) -> None:
    desk.create("prod-hidden-twin", owner="others")
    shown = desk.create("prod-shown-twin")
    same = {"secret": "the-value-of-the-secret of prod-hidden-twin"}
    refused = [
        desk.ask(Role.OWNER, "POST", VAULT, {"name": "prod-guessed-token", "owners": ["team"], **same}),
        desk.ask(Role.OWNER, "POST", ITEMS, {"name": "prod-guessed-token", "owners": ["team"], **same}),
        desk.ask(Role.OWNER, "PUT", f"{VAULT}/{shown}", same),
    ]
    for one in refused:
        assert one.status == 409, one
        assert "hidden" not in str(one.body)
    own = {"name": "prod-own-twin", "owners": ["team"], "secret": "the-value-of-the-secret of prod-shown-twin"}
    assert "prod-shown-twin" in str(desk.ask(Role.OWNER, "POST", VAULT, own).body)
    assert "prod-hidden-twin" in str(desk.ask(Role.OPERATOR, "PUT", f"{VAULT}/{shown}", same).body)


@pytest.mark.parametrize("mode", ["approve", "notify"])
def test_approvals_are_done_away_with_by_who_may_give_them(desk: Desk, mode: str) -> None:
    """In one step or in two, by whichever call; with four eyes, by who may do away with those."""
    for four_eyes, able in ((False, [Role.OWNER, Role.ADMIN]), (True, [Role.ADMIN])):
        item = add_rotated(desk, f"prod-asked-{mode}-{four_eyes}".lower(), mode=mode, four_eyes=four_eyes)
        for role in (Role.OPERATOR, Role.OWNER, Role.ADMIN):
            for place, body in (
                (f"{POLICIES}/{item}", {"mode": "auto"}),
                (f"{ITEMS}/{item}", {"plan": {"mode": "auto"}}),
            ):
                before = len(desk.log("access.refuse"))
                answered = desk.ask(role, "PATCH", place, body)
                assert answered.status == (200 if role in able else 403), (role, answered)
                if role not in able:
                    assert len(desk.log("access.refuse")) == before + 1
                    assert "nobody is asked" in str(answered.body)
                desk.ask(Role.ADMIN, "PATCH", f"{POLICIES}/{item}", {"mode": mode})
        tightened = desk.ask(Role.OPERATOR, "PATCH", f"{POLICIES}/{item}", {"mode": "approve"})
        assert tightened.status == 200, tightened


def test_nobody_makes_an_item_their_own_to_do_what_only_its_owner_may(desk: Desk) -> None:
    """Neither to approve its rotation, nor to collect its next key; who says who may do what may."""
    _, taker = token_of(desk, "taking-bot", roles=[Role.OPERATOR, Role.OWNER], owners=["team"])
    _, approver = token_of(
        desk, "taking-approver", roles=[Role.OPERATOR, Role.APPROVER, Role.OWNER], owners=["team"]
    )
    plain = add_rotated(desk, "prod-wanted-token", "others", mode="approve")
    key = desk.ask(Role.ADMIN, "POST", VAULT, {"name": "api-key:wanted", "owners": ["others"]}).body["id"]
    mine = {"owners": ["others", "team"]}
    for item, holder, gained in (
        (plain, taker, "rotation.approve"),
        (key, taker, "rotation.approve"),
        (key, approver, "pickup.collect"),
    ):
        before = len(desk.log("access.refuse"))
        refused = desk.front.ask("PATCH", f"{ITEMS}/{item}", mine, key=holder)
        assert (refused.status, gained in str(refused.body)) == (403, True), refused
        assert len(desk.log("access.refuse")) == before + 1
        assert desk.ask(Role.ADMIN, "GET", f"{ITEMS}/{item}").body["owners"] == ["others"]
    other = add_rotated(desk, "prod-taken-token", "others", mode="approve")
    assert desk.front.ask("PATCH", f"{ITEMS}/{other}", mine, key=approver).status == 200, "it has no such keys"
    given = desk.ask(Role.OPERATOR, "PATCH", f"{ITEMS}/{plain}", mine)
    assert (given.status, given.body["owners"]) == (200, ["others", "team"]), given
    kept = desk.front.ask("PATCH", f"{ITEMS}/{plain}", {"owners": ["team"]}, key=taker)
    assert kept.status == 200, "it is theirs already"
