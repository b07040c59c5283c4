"""A value that somebody else knows is revoked at once; and all that somebody could read who leaves."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.organisation import ADMIN, Organisation
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    start_organisation,
    step_to,
)
from vaultcore.errors import NotFoundError, RefusedError
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.demo.loopback import Answer
from worker.domain.saga import State
from worker.services.leaving import Departure, Fate
from worker.store import Rotation

WORKFLOW = "ticket-sync"


@pytest.fixture
def staged(services: Services) -> Iterator[Staged]:
    with start_organisation(services) as made:
        yield made


def prepare(staged: Staged, **policy: Any) -> tuple[Organisation, ScriptedService, str]:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", **policy)
    organisation.add_workflow(WORKFLOW, TOKEN)
    return organisation, service, old


def hurry(organisation: Organisation) -> Rotation:
    return organisation.services.driving.run_hurried(TOKEN, lambda _: None, asked_by="user:ann")


def test_the_old_value_is_revoked_at_once_whatever_consumers_pins_and_freezes_say(
    staged: Staged, clock: Any
) -> None:
    organisation, service, old = prepare(staged, freezes=["* * * * * for 30d"], canary="auto", overlap="3d")
    organisation.add_workflow("ticket-report", TOKEN, path="/v1/nothing-there")
    organisation.services.pinning.pin(WORKFLOW, TOKEN, 1, actor="test")
    began = clock()
    rotation = hurry(organisation)
    assert (rotation.state, rotation.hurried) == (State.DONE, True)
    assert clock() == began
    assert not service.is_live(old)
    assert organisation.stages(TOKEN) == ["destroyed", "current"]
    assert service.calls("GET", "/v1/nothing-there") == 0, "no consumer is asked first"
    assert len(service.live_tokens("ticketing")) == 1


def test_a_new_value_that_the_service_refuses_leaves_the_old_one(staged: Staged) -> None:
    organisation, service, old = prepare(staged, settle="0s")
    service.script = lambda incoming: (
        Answer(status=401, body={})
        if incoming.path == "/v1/account" and old not in incoming.headers["authorization"]
        else None
    )
    rotation = hurry(organisation)
    assert rotation.state is State.ROLLED_BACK
    assert service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 1
    assert organisation.item(TOKEN).version == 1


@pytest.mark.parametrize("state", [State.CREATED, State.INSTALLED, State.NODE_TESTED])
def test_one_that_is_under_way_is_hurried(staged: Staged, clock: Any, state: State) -> None:
    organisation, service, old = prepare(staged)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, state)
    rotation = hurry(organisation)
    assert (rotation.id, rotation.state) == (rotation_id, State.DONE)
    assert not service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 1


@pytest.mark.parametrize("state", [State.WATCHING, State.RETIRING])
def test_where_the_new_value_is_in_use_already_both_are_replaced(
    staged: Staged, clock: Any, state: State
) -> None:
    organisation, service, old = prepare(staged, overlap="0s")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    if state is State.RETIRING:
        organisation.services.running.start(WORKFLOW, actor="test")
        step_to(organisation, clock, rotation_id, state)
    (_, second_id) = service.live_tokens("ticketing")
    rotation = hurry(organisation)
    assert rotation.state is State.DONE
    assert rotation.id != rotation_id
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert not service.is_live(old)
    assert second_id not in service.live_tokens("ticketing")
    assert organisation.stages(TOKEN) == ["destroyed", "destroyed", "current"]


def test_one_that_goes_back_is_not_hurried(staged: Staged, clock: Any) -> None:
    organisation, _, _ = prepare(staged)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.deciding.roll_back(rotation_id, actor="test")
    with pytest.raises(RefusedError, match=f"first look at `nightkey rotation show {rotation_id}`"):
        hurry(organisation)


# Somebody leaves

OWN = ("prod-a-api-token", "prod-b-api-token", "prod-c-api-token")


@pytest.fixture
def left(staged: Staged) -> Staged:
    """Three tokens of `support`, one that only its owner replaces, and one of somebody else."""
    organisation, service = staged
    organisation.add_owner("network")
    for number, name in enumerate(OWN):
        organisation.add_token(name, f"account{number}", overlap="0s")
    organisation.add_item("prod-vpn-password", "by-hand", days=300, mode="notify")
    organisation.add_item("prod-fax-password", "of-others", days=300, owner="network", mode="notify")
    return organisation, service


def leave(organisation: Organisation, *, most: int = 99, hurried: bool = False) -> Departure:
    """As the command does it; interrupted after so many items."""
    services = organisation.services
    departure = services.leaving.begin("support", hurried=hurried, actor="user:boss")
    after = 0
    for _ in range(most):
        opened = services.leaving.open_next(departure, after=after, actor="user:boss")
        if opened is None:
            break
        item, rotation = opened
        if hurried:
            services.driving.run_hurried(item.item_id, lambda _: None, asked_by="user:boss")
        else:
            services.driving.run_rotation(rotation.id, lambda _: None)
        after = item.position
    return services.leaving.finish(departure.id)


def fates(departure: Departure) -> dict[str, Fate]:
    return {item.item: item.fate for item in departure.items if item.item != ADMIN}


def test_everything_that_they_could_read_is_replaced_or_asked_for_in_order(left: Staged) -> None:
    organisation, service = left
    departure = leave(organisation)
    names = [item.item for item in departure.items]
    assert names.index(OWN[0]) < names.index(OWN[1]) < names.index(OWN[2]) < names.index("prod-vpn-password")
    assert "prod-fax-password" not in names
    assert [fates(departure)[name] for name in OWN] == [Fate.REPLACED] * 3
    assert fates(departure)["prod-vpn-password"] is Fate.BY_HAND
    assert departure.finished_at is None, "something is left to do by hand"
    assert service.calls("POST") == 3
    asked = {one.subject for one in organisation.notices() if one.kind == "departure"}
    assert "Nightkey: replace prod-vpn-password, support has left" in asked


def test_interrupted_it_goes_on_where_it_was(left: Staged) -> None:
    organisation, service = left
    first = leave(organisation, most=1)
    assert list(fates(first).values()).count(Fate.REPLACED) == 1
    second = leave(organisation)
    assert second.id == first.id
    assert [fates(second)[name] for name in OWN] == [Fate.REPLACED] * 3
    assert service.calls("POST") == 3, "what was replaced is not replaced again"


def test_one_that_was_interrupted_in_the_middle_is_taken_up(left: Staged, clock: Any) -> None:
    organisation, service = left
    services = organisation.services
    departure = services.leaving.begin("support", hurried=False, actor="user:boss")
    opened = services.leaving.open_next(departure, after=0, actor="user:boss")
    assert opened is not None
    services.rotations.advance(opened[1].id)  # and then the command is killed
    drive_on(organisation, clock)
    again = leave(organisation)
    assert [fates(again)[name] for name in OWN] == [Fate.REPLACED] * 3
    assert service.calls("POST") == 3


def test_in_a_hurry_nothing_overlaps(left: Staged) -> None:
    organisation, service = left
    organisation.add_workflow(WORKFLOW, OWN[0])
    assert fates(leave(organisation))[OWN[0]] is Fate.OVERLAPS
    departure = leave(organisation, hurried=True)
    assert [fates(departure)[name] for name in OWN] == [Fate.REPLACED] * 3
    assert {len(service.live_tokens(f"account{number}")) for number in range(3)} == {1}


def test_it_is_over_when_nothing_is_left(left: Staged) -> None:
    organisation, _ = left
    leave(organisation)
    services = organisation.services
    for name in ("prod-vpn-password", ADMIN):
        if not organisation.has_item(name):
            continue
        with services.database.write() as connection:
            item = services.vault.get(connection, name)
            services.vault.update(connection, item.id, value=Secret("a-new-one"), actor="test")
    services.retiring.retire_replaced(actor="test", page_size=100)
    departure = leave(organisation)
    left_over = {item.item: (item.fate, item.why) for item in departure.items if item.fate is not Fate.REPLACED}
    assert (departure.finished_at is not None) == (not left_over), left_over


def test_a_name_that_nobody_has_is_refused(left: Staged) -> None:
    organisation, _ = left
    with pytest.raises(NotFoundError, match="no owner and no login 'nobody'"):
        organisation.services.leaving.preview("nobody")


def test_a_freeze_says_so_and_may_be_overruled(left: Staged) -> None:
    organisation, _ = left
    organisation.add_token("prod-d-api-token", "account9", overlap="0s", freezes=["* * * * * for 30d"])
    departure = leave(organisation)
    (frozen,) = [item for item in departure.items if item.item == "prod-d-api-token"]
    assert frozen.fate is Fate.TO_DO
    assert "(freeze): wait for that, or add --in-freeze" in frozen.why
    opened = organisation.services.leaving.open_next(departure, after=0, actor="user:boss", in_freeze=True)
    assert opened is not None
    assert opened[0].item == "prod-d-api-token"
