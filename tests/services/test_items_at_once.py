"""Several items at once: which are meant, what is foreseen, and that a page is changed whole or not at all."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from tests.services.conftest import Moves
from tests.services.test_sharing import BILLING, CRM, ORDERS, by_role, create
from tests.services.test_tampered import behind
from vaultcore.access import Principal, Role, machine
from vaultcore.errors import InvalidInputError, NightkeyError, NotAllowedError, NotFoundError
from vaultcore.labels import parse_match
from vaultcore.model import PrincipalKind
from vaultcore.tables import audit, items
from worker.bootstrap import Services
from worker.domain.at_once import PAGE, ItemOutcome
from worker.domain.changes import ItemChange
from worker.domain.item_states import ItemFilter
from worker.domain.policies import PolicyChange
from worker.services.bulk.items_at_once import StoppedError

pytestmark = pytest.mark.rules

ALL = machine("user:somebody")
THEIRS = Principal(actor="user:owner", roles=frozenset({Role.OWNER}), owners=frozenset({"finance"}))
LEAD = ItemChange(policy=PolicyChange(parts={"lead": "20d"}))


@pytest.fixture
def made(services: Services) -> Services:
    with services.database.write() as connection:
        services.owners.create(connection, "platform", actor="test")
        services.owners.create(connection, "finance", actor="test")
    create(services, ORDERS)
    create(services, BILLING, owner="finance")
    create(services, CRM)
    return services


def select_names(services: Services, *names: str, principal: Principal = ALL, **wanted: Any) -> list[str]:
    found, unread = services.bulk.items_at_once.select(principal, names, ItemFilter(**wanted))
    assert unread == []
    return list(found.values())


def foresee(
    services: Services, change: ItemChange, names: Sequence[str] = ("*",), principal: Principal = ALL
) -> list[ItemOutcome]:
    found, _ = services.bulk.items_at_once.select(principal, names, ItemFilter())
    return services.bulk.items_at_once.foresee(principal, list(found), change)


def do(
    services: Services, foreseen: Sequence[ItemOutcome], change: ItemChange, principal: Principal = ALL
) -> list[ItemOutcome]:
    seen = {one.id: frozenset({one.revision}) for one in foreseen}
    return services.bulk.items_at_once.change(principal, seen, change)


def leads(services: Services) -> set[timedelta]:
    return {services.lookup.views.get_item(name).policy.lead for name in (ORDERS, BILLING, CRM)}


def records(moves: Moves, action: str) -> int:
    counted = select(func.count()).select_from(audit).where(audit.c.action == action)
    return int(moves.sql(counted)[0][0])


@pytest.mark.both
def test_items_are_meant_by_name_id_pattern_and_by_what_they_are(made: Services) -> None:
    made.items.updates.update(CRM, ItemChange(labels={"env": "prod"}), actor="test")
    crm = made.lookup.views.get_item(CRM).id
    assert select_names(made, "prod-*-db-password") == [BILLING, ORDERS]
    assert select_names(made, CRM, ORDERS, CRM) == [CRM, ORDERS]
    assert select_names(made, crm) == [CRM]
    assert select_names(made, crm, "*billing*") == [BILLING, CRM]
    assert select_names(made, owners={"finance"}) == [BILLING]
    assert select_names(made, "prod-*", labels={parse_match("env=prod")}) == [CRM]
    assert select_names(made, ORDERS, owners={"finance"}) == []
    assert select_names(made, "*-db-*", owners={"platform"}) == [ORDERS]
    assert select_names(made, "*", principal=THEIRS) == [BILLING]


def test_what_means_no_item_is_told(made: Services) -> None:
    with pytest.raises(InvalidInputError, match="say which items are meant"):
        select_names(made)
    for name in ("prod-none", "nothing-*"):
        with pytest.raises(NotFoundError, match=name.strip("*")):
            select_names(made, CRM, name)
    with pytest.raises(NotFoundError):
        select_names(made, ORDERS, principal=THEIRS)


@pytest.mark.both
def test_a_page_is_changed_as_it_was_foreseen(made: Services, moves: Moves) -> None:
    made.items.updates.update(CRM, LEAD, actor="test")
    before = records(moves, "item.update")
    foreseen = foresee(made, LEAD)
    assert [(one.name, one.stays) for one in foreseen] == [(BILLING, False), (CRM, True), (ORDERS, False)]
    assert records(moves, "item.update") == before
    assert leads(made) > {timedelta(days=20)}

    changed = do(made, foreseen, LEAD)

    assert [one.changes for one in changed] == [one.changes for one in foreseen]
    assert records(moves, "item.update") == before + 2
    assert leads(made) == {timedelta(days=20)}
    assert all(one.stays for one in foresee(made, LEAD))


@pytest.mark.both
def test_where_one_was_changed_meanwhile_none_of_its_page_is(made: Services, moves: Moves) -> None:
    foreseen = foresee(made, LEAD)
    made.items.updates.update(ORDERS, ItemChange(labels={"env": "prod"}), actor="test")
    before = records(moves, "item.update")
    with pytest.raises(StoppedError, match=f"{ORDERS} is not as you have seen it"):
        do(made, foreseen, LEAD)
    assert timedelta(days=20) not in leads(made)
    assert records(moves, "item.update") == before


def test_more_than_a_page_is_refused(made: Services) -> None:
    seen = {f"vlt_{number}": None for number in range(PAGE + 1)}
    with pytest.raises(InvalidInputError, match="201 items at once: 200 at most"):
        made.bulk.items_at_once.change(ALL, seen, LEAD)


CHANGES = {
    "an owner that there is not": ItemChange(owners=["nobody-of-that-name"]),
    "a rotator that nothing here reads": ItemChange(
        policy=PolicyChange(parts={"mode": "auto", "rotator": "random"})
    ),
    "a lead that is no duration": ItemChange(policy=PolicyChange(parts={"lead": "soon"})),
    "an account of another item": ItemChange(
        policy=PolicyChange(parts=by_role(roles=["taken"]) | {"consumers": "none"})
    ),
    "a copy of itself": ItemChange(policy=PolicyChange(parts={"mode": "notify", "copy_of": BILLING})),
    "a label that is none": ItemChange(labels={"a b": "c"}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_the_change_refuses_is_foreseen_in_the_same_words(made: Services, change: ItemChange) -> None:
    create(made, "prod-taken-role", **by_role(roles=["taken"]))
    (foreseen,) = foresee(made, change, [BILLING])
    assert foreseen.why is not None
    with pytest.raises(StoppedError) as caught:
        made.bulk.items_at_once.change(ALL, {foreseen.id: None}, change)
    assert str(caught.value) in (foreseen.why, f"{BILLING}: {foreseen.why}")
    with pytest.raises(NightkeyError) as alone:
        made.items.updates.update(BILLING, change, actor="test")
    assert str(alone.value) == foreseen.why


def test_a_principals_token_that_is_to_lapse_never_is_foreseen(made: Services) -> None:
    made.access.principals.create(
        "bot", kind=PrincipalKind.SERVICE, roles=[Role.VIEWER], owners=[], actor="test"
    )
    token, _ = made.access.principals.issue_token("bot", actor="test")
    found = {one.name: one for one in foresee(made, ItemChange(expires_at=None))}
    assert found[token.name].why is not None
    assert "always lapses" in (found[token.name].why or "")
    assert found[CRM].changes


def test_one_right_that_is_missing_stops_a_page_and_stands_in_the_record(made: Services, moves: Moves) -> None:
    """An owner may say when an item is rotated, and neither where its value goes nor that nobody is asked."""
    redirects = ItemChange(policy=PolicyChange(assigned={"length": "20"}))
    assert [one.why is None for one in foresee(made, LEAD, principal=THEIRS)] == [True]
    untouched = records(moves, "access.refuse")
    (foreseen,) = foresee(made, redirects, principal=THEIRS)
    assert "item.redirect" in (foreseen.why or "")
    assert records(moves, "access.refuse") == untouched, "nothing was asked for yet"
    ids = [made.lookup.views.get_item(name).id for name in (BILLING, CRM)]
    before = records(moves, "access.refuse")
    with pytest.raises(NotFoundError):
        made.bulk.items_at_once.change(THEIRS, dict.fromkeys(ids), LEAD)
    with pytest.raises(NotAllowedError):
        made.bulk.items_at_once.change(THEIRS, {ids[0]: None}, redirects)
    assert timedelta(days=20) not in leads(made)

    made.items.updates.update(
        BILLING,
        ItemChange(
            policy=PolicyChange(
                parts={"mode": "approve", "rotator": "random", "consumers": "none", "four_eyes": True}
            )
        ),
        actor="test",
    )
    loosens = ItemChange(policy=PolicyChange(parts={"mode": "auto"}))
    (foreseen,) = foresee(made, loosens, principal=THEIRS)
    assert "item.redirect" in (foreseen.why or "")
    with pytest.raises(StoppedError, match=r"item\.redirect"):
        made.bulk.items_at_once.change(THEIRS, {ids[0]: None}, loosens)
    assert records(moves, "access.refuse") == before + 2


def test_nobody_gives_themselves_with_many_items_what_they_may_not_do(made: Services, moves: Moves) -> None:
    both = Principal(
        actor="user:both", roles=frozenset({Role.OPERATOR, Role.OWNER}), owners=frozenset({"finance"})
    )
    takes = ItemChange(owners=["finance"])
    foreseen = foresee(made, takes, [ORDERS, CRM], both)
    assert all("rotation.approve" in (one.why or "") for one in foreseen)
    before = records(moves, "access.refuse")
    with pytest.raises(StoppedError, match=r"rotation\.approve"):
        made.bulk.items_at_once.change(both, {one.id: None for one in foreseen}, takes)
    assert made.lookup.views.get_item(CRM).owners == ("platform",)
    assert records(moves, "access.refuse") == before + 1


def test_settings_that_its_rotator_no_longer_takes_stand_in_no_other_owners_way(made: Services) -> None:
    with made.database.write() as connection:
        row = connection.execute(select(items.c.policy).where(items.c.name == CRM)).scalar_one()
        broken = {**row, "rotator": "random", "settings": {"no-such-setting": "x"}, "mode": "approve"}
        connection.execute(
            update(items).where(items.c.name == CRM).values(policy=broken, mode="approve", rotator="random")
        )
    (owned,) = do(made, foresee(made, ItemChange(owners=["finance"]), [CRM]), ItemChange(owners=["finance"]))
    assert [one.field for one in owned.changes] == ["owners"]
    (refused,) = foresee(made, LEAD, [CRM])
    assert "no-such-setting" in (refused.why or "")


def test_what_cannot_be_read_is_told_and_stops_nobody(made: Services, moves: Moves) -> None:
    Moves.edited.add(id(made))
    with behind(made) as connection:
        connection.execute(text("UPDATE items SET policy = '{}' WHERE name = :name"), {"name": CRM})
    found, unread = made.bulk.items_at_once.select(ALL, ["*"], ItemFilter())
    assert sorted(found.values()) == [BILLING, ORDERS]
    assert [CRM in str(error) for error in unread] == [True]
    assert all(one.changes for one in made.bulk.items_at_once.foresee(ALL, list(found), LEAD))
