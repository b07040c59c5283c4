"""A value that somebody else knows is revoked at once; and all that somebody could read who leaves."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from nightkey_demo.loopback import Answer
from tests.organisation import ADMIN, Organisation
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    step_to,
    told,
)
from tests.stepping import advance
from vaultcore.errors import NotFoundError, RefusedError
from vaultcore.model import Policy
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.services.rotation.offboarding import Departure, Fate
from worker.wording.reasons import say

pytestmark = pytest.mark.rules

WORKFLOW = "ticket-sync"


def prepare(staged: Staged, **policy: Any) -> tuple[Organisation, ScriptedService, str]:
    organisation, service = staged
    old = organisation.add_token(TOKEN, "ticketing", **policy)
    organisation.add_workflow(WORKFLOW, TOKEN)
    return organisation, service, old


def emergency(organisation: Organisation) -> Rotation:
    return organisation.services.night.inline_night.run_emergency(TOKEN, lambda _: None, asked_by="user:ann")


def test_the_old_value_is_revoked_at_once_whatever_consumers_pins_and_freezes_say(
    staged: Staged, clock: Any
) -> None:
    organisation, service, old = prepare(staged, freezes=["* * * * * for 30d"], canary="auto", overlap="3d")
    organisation.add_workflow("ticket-report", TOKEN, path="/v1/nothing-there")
    organisation.services.runs.pins.pin(WORKFLOW, TOKEN, 1, actor="test")
    began = clock()
    rotation = emergency(organisation)
    assert (rotation.state, rotation.emergency) == (State.DONE, True)
    assert clock() == began
    assert not service.is_live(old)
    assert organisation.stages(TOKEN) == ["destroyed", "current"]
    assert service.calls("GET", "/v1/nothing-there") == 0, "no consumer is asked first"
    assert len(service.live_tokens("ticketing")) == 1


def test_a_new_value_that_the_service_refuses_leaves_the_old_one(staged: Staged) -> None:
    organisation, service, old = prepare(staged, propagation="0s")
    service.script = lambda incoming: (
        Answer(status=401, body={})
        if incoming.path == "/v1/account" and old not in incoming.headers["authorization"]
        else None
    )
    rotation = emergency(organisation)
    assert rotation.state is State.ROLLED_BACK
    assert service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 1
    assert organisation.item(TOKEN).version == 1


@pytest.mark.parametrize("state", [State.CREATED, State.INSTALLED, State.NODE_TESTED])
def test_one_that_is_under_way_becomes_an_emergency(staged: Staged, clock: Any, state: State) -> None:
    organisation, service, old = prepare(staged)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, state)
    rotation = emergency(organisation)
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
        organisation.services.runs.runs.start(WORKFLOW, actor="test")
        step_to(organisation, clock, rotation_id, state)
    (_, second_id) = service.live_tokens("ticketing")
    rotation = emergency(organisation)
    assert rotation.state is State.DONE
    assert rotation.id != rotation_id
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert not service.is_live(old)
    assert second_id not in service.live_tokens("ticketing")
    assert organisation.stages(TOKEN) == ["destroyed", "destroyed", "current"]


def test_one_that_goes_back_is_no_emergency(staged: Staged, clock: Any) -> None:
    organisation, _, _ = prepare(staged)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="test")
    with pytest.raises(RefusedError, match=f"first look at `nightkey rotation show {rotation_id}`"):
        emergency(organisation)


def test_what_waits_for_its_window_is_not_waited_for(on_file: Staged, clock: Any) -> None:
    organisation, service, old = prepare(on_file, windows=["0 4 * * * for 2h"])
    (planned,) = organisation.night()
    assert planned.state is State.SCHEDULED
    rotation = emergency(organisation)
    assert (rotation.id, rotation.state, rotation.gated) == (planned.id, State.DONE, False)
    assert not service.is_live(old)


def test_where_one_went_first_the_others_are_held_no_longer(on_file: Staged, clock: Any) -> None:
    organisation, service, old = prepare(on_file, canary="auto")
    organisation.add_workflow("ticket-report", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.CANARY)
    rotation = emergency(organisation)
    assert (rotation.state, rotation.new_number) == (State.DONE, 3)
    assert not service.is_live(old)
    assert len(service.live_tokens("ticketing")) == 1
    for name in (WORKFLOW, "ticket-report"):
        assert organisation.services.runs.runs.start(name, actor="test").status == "completed"


def test_four_eyes_look_at_an_emergency_too(on_file: Staged, clock: Any) -> None:
    organisation, service, old = prepare(on_file, four_eyes=True, overlap="3d")
    asked = emergency(organisation)
    assert (asked.state, asked.emergency) == (State.REQUESTED, True)
    assert service.is_live(old)
    with pytest.raises(RefusedError, match="let somebody else approve it"):
        organisation.services.rotation.decisions.approve(asked.id, actor="user:ann")
    organisation.services.rotation.decisions.approve(asked.id, actor="user:bob")
    rotation = organisation.services.night.inline_night.run_decided(asked.id, lambda _: None)
    assert rotation.state is State.DONE
    assert not service.is_live(old)


@pytest.mark.parametrize("state", [State.PLANNED, State.INSTALLED, State.RETIRING])
def test_an_outage_is_waited_out_in_an_emergency_too(on_file: Staged, clock: Any, state: State) -> None:
    organisation, service, old = prepare(on_file, overlap="3d")
    rotation_id = organisation.services.rotation.opening.request_emergency(TOKEN, asked_by="user:ann").id
    step_to(organisation, clock, rotation_id, state)
    service.fail_next("/v1/", times=2)
    advance(organisation.services, rotation_id)
    waiting = get_rotation(organisation, rotation_id)
    assert (waiting.state, waiting.last_cause) == (state, "outage")
    assert service.is_live(old)
    drive_on(organisation, clock)
    assert not service.is_live(old)
    assert clock() < waiting.created_at + timedelta(minutes=1)
    step_to(organisation, clock, rotation_id, State.DONE)  # what was asked for twice may come late
    assert len(service.live_tokens("ticketing")) == 1


def test_a_revocation_that_is_refused_needs_a_person_at_once(on_file: Staged, clock: Any) -> None:
    organisation, service, old = prepare(on_file, overlap="3d")
    rotation_id = organisation.services.rotation.opening.request_emergency(TOKEN, asked_by="user:ann").id
    step_to(organisation, clock, rotation_id, State.RETIRING)
    service.fail_next("/v1/tokens/", status=400, method="DELETE")
    organisation.drive()
    stuck = get_rotation(organisation, rotation_id)
    assert (stuck.state, stuck.stuck_in) == (State.STUCK, State.RETIRING)
    ((owner, body),) = told(organisation, "rotation-stuck")
    assert owner == "support"
    assert TOKEN in body
    with pytest.raises(RefusedError, match=f"is stuck: first look at `nightkey rotation show {rotation_id}`"):
        emergency(organisation)
    organisation.services.rotation.decisions.retry(rotation_id, actor="user:ann")
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert not service.is_live(old)


def test_who_called_an_emergency_stands_in_the_record(on_file: Staged, clock: Any) -> None:
    organisation, _, _ = prepare(on_file)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    emergency(organisation)
    with organisation.services.database.read() as connection:
        query = select(audit.c.actor).where(
            audit.c.subject == rotation_id, audit.c.action == "rotation.emergency"
        )
        assert connection.execute(query).scalars().all() == ["user:ann"]


# Somebody leaves

KEY = "api-key:partner-portal"
OWN = ("prod-a-api-token", "prod-b-api-token", "prod-c-api-token")


def enrol(staged: Staged) -> Staged:
    """Three tokens of `support`, one that only its owner replaces, and one of somebody else."""
    organisation, service = staged
    organisation.add_owner("network")
    for number, name in enumerate(OWN):
        organisation.add_token(name, f"account{number}", overlap="0s")
    organisation.add_item("prod-vpn-password", "by-hand", days=300, mode="notify")
    organisation.add_item("prod-fax-password", "of-others", days=300, owner="network", mode="notify")
    return organisation, service


@pytest.fixture
def left(staged: Staged) -> Staged:
    return enrol(staged)


@pytest.fixture
def leaving(on_file: Staged) -> Staged:
    return enrol(on_file)


def leave(organisation: Organisation, *, most: int = 99, emergency: bool = False) -> Departure:
    """As the command does it; interrupted after so many items."""
    services = organisation.services
    departure = services.rotation.offboarding.begin("support", emergency=emergency, actor="user:boss")
    after = 0
    for _ in range(most):
        opened = services.rotation.offboarding.open_next(departure, after=after, actor="user:boss")
        if opened is None:
            break
        item, rotation = opened
        if emergency:
            services.night.inline_night.run_emergency(item.item_id, lambda _: None, asked_by="user:boss")
        else:
            services.night.inline_night.run_rotation(rotation.id, lambda _: None)
        after = item.position
    return services.rotation.offboarding.finish(departure.id)


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
    (asked,) = [one for one in organisation.notices() if one.kind == "departure"]
    assert asked.subject == "Nightkey: support has left, replace 2 items"
    assert "nightkey item update prod-vpn-password" in (asked.body or "")


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
    departure = services.rotation.offboarding.begin("support", emergency=False, actor="user:boss")
    opened = services.rotation.offboarding.open_next(departure, after=0, actor="user:boss")
    assert opened is not None
    advance(services, opened[1].id)  # and then the command is killed
    drive_on(organisation, clock)
    again = leave(organisation)
    assert [fates(again)[name] for name in OWN] == [Fate.REPLACED] * 3
    assert service.calls("POST") == 3


def test_in_an_emergency_nothing_overlaps(left: Staged) -> None:
    organisation, service = left
    organisation.add_workflow(WORKFLOW, OWN[0])
    assert fates(leave(organisation))[OWN[0]] is Fate.OVERLAPS
    departure = leave(organisation, emergency=True)
    assert [fates(departure)[name] for name in OWN] == [Fate.REPLACED] * 3
    assert {len(service.live_tokens(f"account{number}")) for number in range(3)} == {1}


def test_it_is_over_when_nothing_is_left_and_begins_anew_after_that(left: Staged, clock: Any) -> None:
    organisation, _ = left
    first = leave(organisation)
    replace_by_hand(organisation, "prod-vpn-password", ADMIN)
    assert fates(leave(organisation))["prod-vpn-password"] is Fate.OVERLAPS
    clock.advance(timedelta(days=8))
    organisation.services.rotation.replaced_versions.retire(actor="test", page_size=100)
    over = leave(organisation)
    assert {item.fate for item in over.items} == {Fate.REPLACED}
    assert (over.id, over.finished_at) == (first.id, clock())
    assert (
        organisation.services.rotation.offboarding.begin("support", emergency=False, actor="user:boss").id
        != first.id
    )


def replace_by_hand(organisation: Organisation, *names: str) -> None:
    services = organisation.services
    with services.database.write() as connection:
        for name in names:
            services.vault.update(connection, name, value=Secret("a-new-one"), actor="test")


def test_one_that_fails_stops_no_other_says_why_and_is_tried_again(leaving: Staged, clock: Any) -> None:
    organisation, service = leaving
    service.default_scopes["account1"] = []
    organisation.add_workflow(WORKFLOW, OWN[1], path="/v1/tickets")
    departure = leave(organisation)
    assert [fates(departure)[name] for name in OWN] == [Fate.REPLACED, Fate.FAILED, Fate.REPLACED]
    (failed,) = [item for item in departure.items if item.fate is Fate.FAILED]
    (rotation,) = [one for one in organisation.rotations() if one.item == OWN[1]]
    assert say(failed.why) == f"{say(rotation.last_error)} ({rotation.id})"
    assert "node call of workflow ticket-sync" in say(failed.why)
    assert departure.finished_at is None
    made = service.calls("POST")
    service.default_scopes.clear()
    again = leave(organisation)
    assert fates(again)[OWN[1]] is Fate.OVERLAPS  # its workflow has not run yet
    assert service.calls("POST") == made + 1
    organisation.services.runs.runs.start(WORKFLOW, actor="test")
    organisation.drive()
    assert fates(leave(organisation))[OWN[1]] is Fate.REPLACED


def test_what_needs_four_eyes_is_asked_for_and_passed_by(leaving: Staged, clock: Any) -> None:
    organisation, service = leaving
    name = "prod-aa-api-token"
    old = organisation.add_token(name, "guarded", overlap="0s", four_eyes=True)
    departure = leave(organisation)
    (guarded,) = [item for item in departure.items if item.item == name]
    assert (guarded.fate, guarded.position) == (Fate.UNDER_WAY, OWN.index("prod-a-api-token") + 2)
    assert "requested: a person's approval" in say(guarded.why)
    assert [fates(departure)[name] for name in OWN] == [Fate.REPLACED] * 3
    assert service.is_live(old)
    (asked,) = [one for one in organisation.rotations() if one.item == name]
    organisation.services.rotation.decisions.approve(asked.id, actor="user:bob")
    assert fates(leave(organisation))[name] is Fate.REPLACED
    assert not service.is_live(old)


def test_what_was_deleted_since_is_gone(leaving: Staged, clock: Any) -> None:
    organisation, _ = leaving
    services = organisation.services
    departure = services.rotation.offboarding.begin("support", emergency=False, actor="user:boss")
    with services.database.write() as connection:
        services.vault.delete(connection, OWN[1], actor="test")
    again = leave(organisation)
    assert again.id == departure.id
    assert [fates(again)[name] for name in OWN] == [Fate.REPLACED, Fate.GONE, Fate.REPLACED]


def test_what_a_login_gave_or_collected_could_be_read_by_it(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    services = organisation.services
    names = ("prod-given-token", "prod-replaced-token", "prod-renamed-token", "prod-other-token")
    over_http = {"prod-signed-in-token": "person:ann", "prod-by-program-token": "service:ann"}
    with services.database.write() as connection:
        for name in (*names, *over_http):
            by = "user:ann" if name == names[0] else over_http.get(name, "user:bob")
            services.vault.create(
                connection,
                name=name,
                value=Secret("it"),
                owner_ids=(),
                expires_at=None,
                policy=Policy(),
                actor=by,
            )
        services.vault.update(connection, names[1], value=Secret("new"), actor="user:ann")
        services.vault.update(connection, names[2], name="prod-moved-token", actor="user:ann")
    organisation.add_item(KEY, None, days=5, mode="auto", rotator="workflow-api-key", lifetime="90d")
    organisation.night()
    bodies = "".join(str(one.body) for one in organisation.targets.sink.requests)
    token = re.search(r"clm_\w+", bodies)
    assert token is not None
    organisation.collect(token[0], actor="user:ann")

    def readable(name: str) -> list[str]:
        return [item.name for item in services.rotation.offboarding.preview(name)]

    assert readable("user:ann") == [KEY, names[0], names[1]]
    assert readable("person:ann") == ["prod-signed-in-token"]
    assert readable("ann") == [KEY, *sorted([names[0], names[1], *over_http])], "whichever way they came in"


def test_who_let_somebody_go_stands_in_the_record_once(leaving: Staged, clock: Any) -> None:
    organisation, _ = leaving
    departure = leave(organisation, most=1)
    leave(organisation)
    with organisation.services.database.read() as connection:
        query = select(audit.c.actor, audit.c.details).where(audit.c.action == "owner.leave")
        ((actor, details),) = connection.execute(query).all()
    assert actor == "user:boss"
    assert details["items"] == len(departure.items)


def test_a_name_that_nobody_has_is_refused(left: Staged) -> None:
    organisation, _ = left
    with pytest.raises(NotFoundError, match="no owner and no login 'nobody'"):
        organisation.services.rotation.offboarding.preview("nobody")


def test_a_freeze_says_so_and_may_be_overruled(left: Staged) -> None:
    organisation, _ = left
    organisation.add_token("prod-d-api-token", "account9", overlap="0s", freezes=["* * * * * for 30d"])
    departure = leave(organisation)
    (frozen,) = [item for item in departure.items if item.item == "prod-d-api-token"]
    assert frozen.fate is Fate.TO_DO
    assert "(freeze): wait for that, or add --in-freeze" in say(frozen.why)
    opened = organisation.services.rotation.offboarding.open_next(
        departure, after=0, actor="user:boss", in_freeze=True
    )
    assert opened is not None
    assert opened[0].item == "prod-d-api-token"
