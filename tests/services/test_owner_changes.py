"""An owner leaves, gets another name, or is deleted: what was theirs, and who hears of it."""

from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import Organisation
from vaultcore.access import Role, machine
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.model import PrincipalKind
from vaultcore.tables import items
from worker.domain.changes import ItemChange
from worker.domain.item_states import ItemFilter
from worker.domain.notice_kinds import NoticeKind
from worker.domain.paging import PageRequest
from worker.rows.notices import Notice
from worker.services.rotation.owner_changes import OwnerChanges

BOSS = "user:boss"
BY_HAND = tuple(f"prod-by-hand-{number}-password" for number in range(4))
SHARED, ALONE = "prod-shared-token", "prod-alone-token"


@pytest.fixture
def staffed(organisation: Organisation) -> Organisation:
    """`ann` owns six items, one of them with `network`, and stands in for `network`; `bea` owns none."""
    for name in ("ann", "bea", "network"):
        organisation.add_owner(name)
    for number, name in enumerate(BY_HAND):
        organisation.add_item(name, f"by-hand-value-{number}", days=300, owner="ann", mode="notify")
    organisation.add_item(SHARED, "a-shared-value", days=300, owner="ann", mode="notify")
    organisation.add_item(ALONE, "a-value-alone", days=300, owner="ann", mode="auto", rotator="random")
    services = organisation.services
    services.items.updates.update(SHARED, ItemChange(owners=("ann", "network")), actor=BOSS)
    services.notices.address_book.update("network", deputy="ann", actor=BOSS)
    return organisation


def changes(organisation: Organisation) -> OwnerChanges:
    return organisation.services.rotation.owner_changes


def owners_of(organisation: Organisation, name: str) -> tuple[str, ...]:
    return organisation.services.lookup.views.get_item(name).owners


def told(organisation: Organisation) -> dict[str, list[Notice]]:
    found: dict[str, list[Notice]] = {}
    for one in organisation.notices():
        if one.kind == "departure":
            found.setdefault(one.owner, []).append(one)
    return found


def leave(organisation: Organisation, to: str | None = "bea") -> Any:
    offboarding = organisation.services.rotation.offboarding
    return offboarding.begin("ann", emergency=False, to=to, actor=BOSS)


def test_all_that_was_theirs_goes_to_another_who_hears_of_it_once(staffed: Organisation) -> None:
    departure = leave(staffed)

    assert {left.item for left in departure.items} >= {*BY_HAND, SHARED, ALONE}
    assert [owners_of(staffed, name) for name in (*BY_HAND, ALONE)] == [("bea",)] * 5
    assert owners_of(staffed, SHARED) == ("bea", "network")
    book = staffed.services.notices.address_book
    assert book.get("network").deputy == "bea"
    assert (book.get("ann").deputy, book.get("ann").routes) == ("bea", ())
    notices = told(staffed)
    assert {owner: len(found) for owner, found in notices.items()} == {"bea": 1, "network": 1}
    mine, theirs = notices["bea"][0], notices["network"][0]
    assert mine.subject == "Nightkey: ann has left, replace 5 items"
    assert theirs.subject == f"Nightkey: ann has left, replace {SHARED}"
    body = mine.body or ""
    assert all(name in body for name in (*BY_HAND, SHARED, ALONE))
    assert BY_HAND[0] not in (theirs.body or "")


def test_it_is_said_once_however_often_it_is_asked(staffed: Organisation) -> None:
    first = leave(staffed, to=None)
    assert owners_of(staffed, ALONE) == ("ann",)
    before = {owner: len(found) for owner, found in told(staffed).items()}
    again = leave(staffed)
    assert again.id == first.id
    assert owners_of(staffed, ALONE) == ("bea",)
    leave(staffed)
    after = {owner: len(found) for owner, found in told(staffed).items()}
    assert after == before | {"bea": before.get("bea", 0) + 1}


def test_whoever_it_goes_to_is_an_owner_and_somebody_else(staffed: Organisation) -> None:
    with pytest.raises(NotFoundError, match="no owner 'nobody'"):
        leave(staffed, to="nobody")
    with pytest.raises(InvalidInputError, match="to: ann"):
        leave(staffed, to="ann")
    for to in ("nobody", "ann"):
        with pytest.raises((NotFoundError, InvalidInputError)):  # before anybody is asked whether they want it
            staffed.services.rotation.offboarding.preview("ann", to=to)
    assert owners_of(staffed, ALONE) == ("ann",)
    assert told(staffed) == {}, "nothing is half done"


def test_an_owner_with_another_name_has_all_that_was_theirs(staffed: Organisation) -> None:
    services = staffed.services
    renamed = changes(staffed).rename("ann", "anna", actor=BOSS)

    assert renamed.name == "anna"
    assert len(renamed.routes) == 1
    assert owners_of(staffed, SHARED) == ("anna", "network")
    assert services.notices.address_book.get("network").deputy == "anna"
    with pytest.raises(NotFoundError):
        services.notices.address_book.get("ann")
    page = services.lookup.lists.page_items(
        ItemFilter(owners=frozenset({"anna"})), PageRequest(sort="owner"), seen_by=machine(BOSS)
    )
    assert len(page.rows) == 6
    with services.database.read() as connection:
        firsts = connection.execute(select(items.c.first_owner).where(items.c.name.in_([*BY_HAND, SHARED])))
        assert set(firsts.scalars()) == {"anna"}
    assert changes(staffed).rename("anna", "Anna", actor=BOSS).name == "Anna", "it looks like its own alone"


@pytest.mark.parametrize("new", ["bea", "Bea", "\u0430nn", "", "network"])
def test_a_name_that_another_has_or_that_looks_like_it_is_refused(staffed: Organisation, new: str) -> None:
    with pytest.raises((RefusedError, InvalidInputError)):
        changes(staffed).rename("network", new, actor=BOSS)
    assert staffed.services.notices.address_book.get("network").name == "network"


def test_who_is_needed_is_not_deleted_and_it_is_said_for_what(staffed: Organisation) -> None:
    with pytest.raises(RefusedError) as refused:
        changes(staffed).delete("ann", to=None, actor=BOSS)
    text = str(refused.value)
    assert "6 items" in text
    assert ALONE in text
    assert "and 1 more" in text
    assert "deputy of network" in text
    assert "nightkey owner delete ann --to OTHER" in text


def test_what_hangs_on_who_is_deleted_goes_to_another(staffed: Organisation) -> None:
    handed = changes(staffed).delete("ann", to="network", actor=BOSS)

    assert handed.items == tuple(sorted((*BY_HAND, SHARED, ALONE)))
    assert handed.stood_in_for == ("network",)
    assert owners_of(staffed, SHARED) == ("network",)
    assert staffed.services.notices.address_book.get("network").deputy is None
    changes(staffed).delete("bea", to=None, actor=BOSS)
    left = {getattr(one, "name", None) for one in staffed.services.lookup.views.list_owners()}
    assert not left & {"ann", "bea"}
    assert staffed.services.upkeep.anchors.verify().whole


def test_a_notice_that_did_not_arrive_goes_along(staffed: Organisation) -> None:
    services = staffed.services
    with services.database.write() as connection:
        owner = services.owners.get(connection, "bea")
        data = {"at": services.clock(), "made_at": None, "differing": ["prod-x: refused"]}
        services.notices.outbox.post(connection, owner.id, kind=NoticeKind.RESTORED, dedupe_key="x", data=data)
    with pytest.raises(RefusedError, match="1 notice that did not arrive"):
        changes(staffed).delete("bea", to=None, actor=BOSS)

    assert changes(staffed).delete("bea", to="network", actor=BOSS).notices == 1

    (notice,) = [one for one in staffed.notices() if one.kind == "restored"]
    assert (notice.owner, len(notice.deliveries)) == ("network", 1)


def test_who_signs_in_for_them_is_named_and_passed_on_to_nobody(staffed: Organisation) -> None:
    services = staffed.services
    services.access.principals.create(
        "ann-laptop", kind=PrincipalKind.SERVICE, roles=[Role.OWNER], owners=["ann"], actor=BOSS
    )
    with pytest.raises(RefusedError, match="ann-laptop may sign in for ann"):
        changes(staffed).delete("ann", to="bea", actor=BOSS)
    assert owners_of(staffed, ALONE) == ("ann",)


def test_who_hears_of_failed_nights_keeps_their_name(staffed: Organisation) -> None:
    operators = staffed.services.settings.operators
    with pytest.raises(RefusedError, match="setting operators"):
        changes(staffed).rename(operators, "somebody", actor=BOSS)
    with pytest.raises(RefusedError, match="setting operators"):
        changes(staffed).delete(operators, to="bea", actor=BOSS)
    offboarding = staffed.services.rotation.offboarding
    routes = staffed.services.notices.address_book.get(operators).routes
    for to in (None, "bea"):
        with pytest.raises(RefusedError, match="setting operators"):
            offboarding.preview(operators, to=to)
        with pytest.raises(RefusedError, match="setting operators"):
            offboarding.begin(operators, emergency=False, to=to, actor=BOSS)
    assert staffed.services.notices.address_book.get(operators).routes == routes


def test_while_somebody_leaves_their_name_stays(staffed: Organisation) -> None:
    leave(staffed)
    with pytest.raises(RefusedError, match="owner leave ann"):
        changes(staffed).rename("ann", "anna", actor=BOSS)
    with pytest.raises(RefusedError, match="owner leave ann"):
        changes(staffed).delete("ann", to="bea", actor=BOSS)
