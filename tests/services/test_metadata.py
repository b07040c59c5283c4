"""A vault's metadata out to files and back: shown first, exactly that done, by everybody's own rights."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.services.conftest import Moves
from vaultcore.access import Principal, Role, machine
from vaultcore.errors import ConflictError, InvalidInputError, NotAllowedError, NotFoundError, RefusedError
from vaultcore.model import Item, Mode, PrincipalKind
from vaultcore.rules import show_duration
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.metadata_plan import MetadataPlan, StepDeed
from worker.domain.policies import PolicyChange
from worker.services.bulk.metadata import AppliedPlan

NAME, OTHER = "prod-crm-token", "prod-ftp-password"
ALL = machine("test")
_DONE = (StepDeed.CREATE, StepDeed.CHANGE, StepDeed.DELETE)
HTTP: dict[str, Any] = {"rotator": "random", "settings": {"length": 40}, "consumers": "none"}

pytestmark = pytest.mark.rules


def make(services: Services, name: str = NAME, *owners: str, **parts: Any) -> Item:
    item, _ = services.items.creation.create(
        name,
        read_value=None if name.startswith("api-key:") else lambda: Secret(f"value of {name}"),
        owners=owners or ["operators"],
        expires_at=None,
        policy=PolicyChange(parts=parts),
        actor="test",
    )
    return item


def plan(services: Services, document: Any, *, by: Principal = ALL, prune: bool = False) -> MetadataPlan:
    return services.bulk.metadata.plan(document, prune=prune, principal=by)


def apply(
    services: Services,
    document: Any,
    *,
    by: Principal = ALL,
    prune: bool = False,
    seen: str | None = None,
    skip_missing: bool = False,
) -> AppliedPlan:
    mark = seen or plan(services, document, by=by, prune=prune).mark
    return services.bulk.metadata.apply(
        document, prune=prune, skip_missing=skip_missing, seen=mark, principal=by
    )


def asker(*roles: Role) -> Principal:
    return Principal(actor="person:ada", roles=frozenset(roles))


def record(moves: Moves) -> list[tuple[str, str]]:
    query = select(audit.c.action, audit.c.actor).order_by(audit.c.seq)
    return [(row.action, row.actor) for row in moves.sql(query)]


@pytest.mark.both
def test_files_make_owners_policies_and_items_as_they_say(services: Services, moves: Moves) -> None:
    make(services)
    make(services, OTHER)
    before = len(record(moves))
    document = {
        "owners": {"day": {"deputy": "night", "zone": "Europe/Zurich"}, "night": {"quiet": "08:00-20:00"}},
        "policies": {"monthly": {"lifetime": "30d", "lead": "5d"}},
        "items": {
            NAME: {"owners": ["day", "night"], "labels": {"env": "prod"}, "policy": "monthly"},
            OTHER: {"policy": {"named": "monthly", "urgent": True}},
        },
    }

    applied = apply(services, document)

    assert (applied.done, applied.problem) == (5, None)
    item = services.items.views.view(NAME).item
    assert (item.owners, item.policy.named, item.policy.lead.days) == (("day", "night"), "monthly", 5)
    assert services.lookup.views.get_owner("day").deputy == "night"
    assert services.bulk.metadata.get_policy("monthly").followers == (NAME, OTHER)
    assert [one for one in services.bulk.metadata.list_policies() if not isinstance(one, tuple)] == []
    assert [
        (one[0].name, one[1]) for one in services.bulk.metadata.list_policies() if isinstance(one, tuple)
    ] == [("monthly", 2)]
    assert [action for action, _ in record(moves)[before:]] == [
        "owner.create", "owner.create", "owner.update", "policy.create", "item.update", "item.update",
    ]  # fmt: skip
    assert plan(services, document).of(StepDeed.CHANGE, StepDeed.CREATE) == []
    assert plan(services, services.bulk.metadata.export(ALL).document, prune=True).of(*_DONE) == []


@pytest.mark.both
def test_a_changed_policy_reaches_each_item_that_follows_it(services: Services) -> None:
    make(services)
    make(services, OTHER)
    document = {"policies": {"monthly": {"lifetime": "30d", "lead": "5d"}}}
    apply(services, document | {"items": {NAME: {"policy": "monthly"}, OTHER: {"policy": "monthly"}}})
    services.items.updates.update(OTHER, ItemChange(policy=PolicyChange(parts={"lead": "9d"})), actor="test")

    applied = apply(services, {"policies": {"monthly": {"lifetime": "40d", "lead": "6d"}}})

    assert applied.done == 3
    policies = {name: services.lookup.views.get_item(name).policy for name in (NAME, OTHER)}
    days = {name: (one.named, show_duration(one.lead)) for name, one in policies.items()}
    assert days == {NAME: ("monthly", "6d"), OTHER: ("monthly", "9d")}
    assert {str(one.lifetime) for one in policies.values()} == {"40 days, 0:00:00"}


def test_nothing_is_done_where_the_vault_changed_after_it_was_looked_at(services: Services) -> None:
    make(services)
    make(services, OTHER)
    document = {"items": {NAME: {"labels": {"env": "prod"}}}}
    mark = plan(services, document).mark
    services.items.updates.update(OTHER, ItemChange(labels={"env": "test"}), actor="test")
    assert plan(services, document).mark == mark, "that is no business of these files"
    services.items.updates.update(NAME, ItemChange(labels={"team": "a"}), actor="test")

    with pytest.raises(ConflictError, match="nothing was changed"):
        apply(services, document, seen=mark)

    assert [one.key for one in services.items.views.view(NAME).item.labels] == ["team"]


def test_what_is_missing_is_told_and_stops_it_unless_somebody_says_so(services: Services) -> None:
    make(services)
    document = {"items": {NAME: {"labels": {"env": "prod"}}, "prod-new-token": {}, "api-key:new": {}}}
    assert [one.name for one in plan(services, document).of(StepDeed.ADD)] == ["api-key:new", "prod-new-token"]

    with pytest.raises(RefusedError, match="api-key:new is not in the vault, and 1 more are not"):
        apply(services, document)
    assert services.items.views.view(NAME).item.labels == ()
    assert apply(services, document, skip_missing=True).done == 1


def test_prune_deletes_items_and_policies_but_nothing_in_use_and_no_token(
    services: Services, moves: Moves
) -> None:
    make(services)
    make(services, OTHER)
    services.access.principals.create(
        "bot", kind=PrincipalKind.SERVICE, roles=[Role.VIEWER], owners=[], actor="me"
    )
    services.access.principals.issue_token("bot", actor="me")
    apply(services, {"policies": {"monthly": {"lifetime": "30d", "lead": "5d"}}})
    document: dict[str, Any] = {"items": {NAME: {}}}
    assert plan(services, document).of(*_DONE) == []

    made = plan(services, document, prune=True)
    assert [one.name for one in made.of(StepDeed.DELETE)] == [OTHER, "monthly"]
    assert apply(services, document, prune=True).done == 2
    with pytest.raises(NotFoundError):
        services.lookup.views.get_item(OTHER)
    assert services.bulk.metadata.list_policies() == []
    assert services.lookup.views.get_item("api-key:bot").version == 1

    moves.use("orders", NAME)
    assert [one.says for one in plan(services, {"items": {"api-key:bot": {}}}, prune=True).faults] == [
        f"{NAME} is used by orders: change or remove those first"
    ]


@pytest.mark.parametrize(
    ("parts", "roles", "fault"),
    [
        ({"lead": "5d"}, [Role.VIEWER], "item.update"),
        ({"lead": "5d"}, [Role.OPERATOR], None),
        ({"mode": "auto", **HTTP}, [Role.OPERATOR], "item.redirect"),
        ({"mode": "auto", **HTTP}, [Role.ADMIN], None),
        ({"target": "crm"}, [Role.OPERATOR], "item.redirect"),
        ({"four_eyes": True}, [Role.OPERATOR], "item.redirect"),
    ],
)
def test_files_may_do_what_their_bearer_may(
    services: Services, parts: dict[str, Any], roles: list[Role], fault: str | None
) -> None:
    make(services, mode="notify")
    for document in (
        {"items": {NAME: {"policy": parts}}},
        {"policies": {"shared": parts}, "items": {NAME: {"policy": "shared"}}},
    ):
        faults = plan(services, document, by=asker(*roles)).faults
        assert [fault in one.says for one in faults if fault and one.name == NAME] == ([True] if fault else [])
        assert bool(faults) == bool(fault)
        if fault:
            with pytest.raises(NotAllowedError):
                apply(services, document, by=asker(*roles))
            assert services.lookup.views.get_item(NAME).policy.mode is Mode.NOTIFY


def test_approvals_are_not_done_away_with_by_way_of_no_plan_at_all(services: Services) -> None:
    make(services, mode="approve", lifetime="90d", **HTTP)
    operator = asker(Role.OPERATOR)

    for policy in ({"mode": "auto", "lifetime": "90d", **HTTP}, {}):
        says = [one.says for one in plan(services, {"items": {NAME: {"policy": policy}}}, by=operator).faults]
        assert len(says) == 1
        assert "you may not do this" in says[0]


def test_files_that_name_all_items_take_who_may_see_them_all(services: Services) -> None:
    make(services)
    owner = Principal(actor="person:bob", roles=frozenset({Role.OWNER}), owners=frozenset({"operators"}))

    for ask in (
        lambda: services.bulk.metadata.export(owner),
        lambda: plan(services, {}, by=owner),
        lambda: apply(services, {}, by=owner, seen="x"),
    ):
        with pytest.raises(NotAllowedError):
            ask()


def test_what_a_service_would_refuse_is_known_before(services: Services) -> None:
    make(services)
    make(services, "api-key:orders")
    document = {
        "items": {
            NAME: {"policy": {"mode": "auto"}},
            OTHER: {},
            "x": {},
            "api-key:orders": {"policy": {"mode": "auto", "rotator": "random"}},
        }
    }

    faults = {one.name: one.says for one in plan(services, document).faults}

    assert set(faults) == {NAME, "x", "api-key:orders"}
    assert "needs a rotator" in faults[NAME]
    with pytest.raises(InvalidInputError, match=r'items."api-key:orders": .*\(and 2 more\)'):
        apply(services, document)


def test_half_of_it_is_told_and_the_same_again_does_the_rest(services: Services) -> None:
    make(services)
    make(services, OTHER)
    labelled = {"labels": {"env": "prod"}}
    document: dict[str, dict[str, Any]] = {
        "owners": {"day": {}},
        "items": {NAME: labelled, OTHER: labelled},
    }
    mark = plan(services, document).mark

    def interfere(_: object) -> None:
        services.items.updates.update(OTHER, ItemChange(labels={"team": "a"}), actor="somebody")

    applied = services.bulk.metadata.apply(
        document, prune=False, skip_missing=False, seen=mark, principal=ALL, tell=interfere
    )

    assert applied.done == 2, "the owner, and the first of the two items"
    assert "not as you have seen it" in (applied.problem or "")
    assert apply(services, document).done == 1


def test_a_policy_that_was_edited_is_told_and_never_taken_for_missing(services: Services, moves: Moves) -> None:
    make(services)
    document = {"policies": {"monthly": {"lifetime": "30d", "lead": "5d"}}}
    apply(services, document)
    moves.sql("UPDATE named_policies SET parts = :parts", parts='{"lifetime": "900d"}')

    assert [one.name for one in plan(services, document).faults] == ["monthly"]
    assert "monthly" in str(services.bulk.metadata.export(ALL).errors[0])
    assert [one.key for one in plan(services, {"items": {NAME: {}}}, prune=True).faults] == ["--prune"]


def test_a_policy_goes_only_when_nobody_follows_it(services: Services) -> None:
    make(services)
    apply(services, {"policies": {"monthly": {"lifetime": "30d"}}, "items": {NAME: {"policy": "monthly"}}})
    assert plan(services, {"items": {NAME: {}}}, prune=True).of(StepDeed.DELETE) == []

    made = plan(services, {"items": {NAME: {"policy": {"lifetime": "30d"}}}}, prune=True)

    assert [(one.name, one.deed) for one in made.of(*_DONE)] == [
        (NAME, StepDeed.CHANGE), ("monthly", StepDeed.DELETE),
    ]  # fmt: skip
    assert apply(services, {"items": {NAME: {"policy": {"lifetime": "30d"}}}}, prune=True).done == 2


def test_nobody_follows_a_policy_that_there_is_not(services: Services) -> None:
    make(services)
    change = ItemChange(policy=PolicyChange(parts={"lead": "5d"}, whole=True, named="yearly"))

    with pytest.raises(NotFoundError, match="no named policy 'yearly'"):
        services.items.updates.update(NAME, change, actor="test")
