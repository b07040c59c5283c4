"""Several items rotated or deleted at once: what is foreseen is done, and a page goes whole or not at all."""

from typing import Any

import pytest

from tests.services.conftest import Moves
from tests.services.test_sharing import BILLING, CRM, ORDERS, change, create
from vaultcore.access import Principal, Role, machine
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from vaultcore.tables import items
from worker.bootstrap import Services
from worker.domain.at_once import PAGE
from worker.domain.deeds import DeedKind, ForeseenDeed
from worker.domain.item_states import ItemFilter
from worker.services.bulk.items_at_once import StoppedError

pytestmark = pytest.mark.rules

ALL = machine("user:somebody")
THEIRS = Principal(actor="user:owner", roles=frozenset({Role.OWNER}), owners=frozenset({"finance"}))
RANDOM = {"mode": "auto", "rotator": "random", "lifetime": "90d"}


@pytest.fixture
def made(services: Services) -> Services:
    with services.database.write() as connection:
        services.owners.create(connection, "platform", actor="test")
        services.owners.create(connection, "finance", actor="test")
    create(services, ORDERS)
    create(services, BILLING, owner="finance")
    create(services, CRM)
    return services


def ids(services: Services, *names: str) -> list[str]:
    found, unread = services.bulk.items_at_once.select(ALL, names or ("*",), ItemFilter())
    assert unread == []
    return list(found)


def foresee_deletions(services: Services, *names: str, principal: Principal = ALL) -> list[ForeseenDeed]:
    return services.bulk.deeds_at_once.foresee_deletions(principal, ids(services, *names))


def delete(services: Services, foreseen: list[ForeseenDeed], principal: Principal = ALL) -> list[str]:
    seen = {one.id: frozenset({one.revision}) for one in foreseen}
    return services.bulk.deeds_at_once.delete(principal, seen)


def names(moves: Moves) -> set[str]:
    return {row.name for row in moves.sql(items.select())}


def refused(foreseen: list[ForeseenDeed]) -> dict[str, str]:
    return {one.name: one.why for one in foreseen if one.why is not None}


def test_what_uses_another_of_them_goes_first(made: Services, moves: Moves) -> None:
    """A copy before its original, and an item whose rotator logs in with another before that."""
    create(made, "a-copy", "the-value-of-the-crm", copy_of=CRM)
    create(made, "an-original", "v")
    create(made, "z-copy", "another", copy_of="an-original")

    alone = foresee_deletions(made, "an-original")
    assert list(refused(alone)) == ["an-original"]
    assert "is the original of z-copy" in refused(alone)["an-original"]

    foreseen = foresee_deletions(made)
    assert refused(foreseen) == {}
    order = [one.name for one in foreseen]
    assert order.index("z-copy") < order.index("an-original")
    assert order.index("a-copy") < order.index(CRM)
    assert delete(made, foreseen) == order
    assert names(moves) == set()
    assert moves.verify().whole


def test_what_a_workflow_uses_is_told_with_it_and_none_of_its_page_goes(made: Services, moves: Moves) -> None:
    moves.use("crm-sync", CRM)
    foreseen = foresee_deletions(made)
    (told,) = [one for one in foreseen if one.name == CRM]
    assert refused(foreseen) == {CRM: f"{CRM} is used by crm-sync: change or remove those first"}
    assert told.used_by == ("crm-sync",)
    before = names(moves)
    with pytest.raises(StoppedError, match=f"{CRM} is used by crm-sync"):
        delete(made, foreseen)
    assert names(moves) == before
    delete(made, [one for one in foreseen if one.why is None])
    assert names(moves) == {CRM}


@pytest.mark.both
def test_one_that_was_changed_meanwhile_keeps_its_page(made: Services, moves: Moves) -> None:
    foreseen = foresee_deletions(made)
    change(made, BILLING, lead="9d")
    with pytest.raises(StoppedError, match=BILLING):
        delete(made, foreseen)
    assert names(moves) == {ORDERS, BILLING, CRM}
    assert len(delete(made, foresee_deletions(made))) == 3


def test_rights_are_those_of_one_item(made: Services, moves: Moves) -> None:
    foreseen = made.bulk.deeds_at_once.foresee_deletions(THEIRS, ids(made, BILLING))
    assert refused(foreseen) == {}
    hidden = made.bulk.deeds_at_once.foresee_deletions(THEIRS, ids(made, ORDERS))
    assert "that you may see" in (hidden[0].why or "")
    assert hidden[0].name.startswith("vlt_")
    viewer = Principal(actor="user:viewer", roles=frozenset({Role.VIEWER}))
    assert set(refused(foresee_deletions(made, principal=viewer))) == {ORDERS, BILLING, CRM}
    seen = foresee_deletions(made)
    with pytest.raises((RefusedError, NotFoundError)):
        delete(made, seen, viewer)
    with pytest.raises((RefusedError, NotFoundError)):
        delete(made, seen, THEIRS)
    assert names(moves) == {ORDERS, BILLING, CRM}


def test_a_page_has_so_many_at_most(made: Services) -> None:
    seen: dict[str, Any] = {f"vlt_{number}": None for number in range(PAGE + 1)}
    with pytest.raises(InvalidInputError, match="200 at most"):
        made.bulk.deeds_at_once.delete(ALL, seen)


@pytest.mark.parametrize("emergency", [False, True])
def test_what_a_rotation_would_say_is_foreseen(made: Services, emergency: bool) -> None:
    create(made, "prod-auto-token", **RANDOM)
    create(made, "prod-eyes-token", **RANDOM, four_eyes=True)
    create(made, "prod-frozen-token", **RANDOM, freezes=["* * * * * for 1d"])
    create(made, "prod-copy-token", "a-value", copy_of="prod-auto-token")
    foreseen = made.bulk.deeds_at_once.foresee_rotations(ALL, ids(made), emergency=emergency)
    replaced = DeedKind.REVOKE if emergency else DeedKind.REPLACE
    well = {one.name: one.deed for one in foreseen if one.why is None}
    assert well == {"prod-auto-token": replaced, "prod-eyes-token": DeedKind.ASK} | (
        {"prod-frozen-token": replaced} if emergency else {}
    )
    opening = made.rotation.opening
    ask = opening.request_emergency if emergency else opening.request
    for one in foreseen:
        if one.why is None:
            ask(one.id, asked_by="test")
        else:
            with pytest.raises(RefusedError) as caught:
                ask(one.id, asked_by="test")
            assert str(caught.value) == one.why
    if not emergency:
        again = made.bulk.deeds_at_once.foresee_rotations(ALL, ids(made, "prod-auto-token"))
        assert "is being rotated already" in (again[0].why or "")
        frozen = made.bulk.deeds_at_once.foresee_rotations(ALL, ids(made, "prod-frozen-token"), in_freeze=True)
        assert frozen[0].why is None


def test_each_is_opened_before_the_first_is_driven(made: Services) -> None:
    for number in range(3):
        create(made, f"prod-auto-{number}", **RANDOM)
    create(made, "prod-by-hand", mode="notify")
    seen: list[tuple[str, int]] = []

    def tell(rotation: Any) -> None:
        seen.append((rotation.item, len(made.lookup.views.list_rotations())))

    came = made.night.inline_night.run_several(ids(made, "prod-*"), tell, asked_by="test")
    assert [str(one) if isinstance(one, RefusedError) else one.state for one in came[:3]] == ["watching"] * 3
    assert isinstance(came[3], RefusedError)
    assert {number for _, number in seen} == {3}
    assert [name for name, _ in seen] == sorted(name for name, _ in seen)
