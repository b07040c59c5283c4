"""What a person decides of a rotation, in each state that asks for it: what is left of both values then."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.organisation import Organisation
from tests.services.staging import (
    TICK,
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    stage,
    start_organisation,
    step_to,
    told,
)
from tests.stepping import advance
from vaultcore.errors import ConflictError, NightkeyError, RefusedError
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.domain.rotation import Rotation
from worker.domain.saga import BEFORE_ACTIVATION, State
from worker.rows import rotation_changes as change_rows
from worker.rows import rotations as rotation_rows
from worker.wording.reasons import say

DAY = timedelta(days=1)
WORKFLOW, OTHER = "ticket-sync", "ticket-report"
IN_THE_FOLDER = ""
"""The address of a vault's own database, which is a file."""


@pytest.fixture
def staged(tmp_path: Path, clock: Any) -> Iterator[Staged]:
    """On SQLite alone: one person decides, and what follows is decided without a look at the database."""
    with stage(tmp_path, IN_THE_FOLDER, clock, patience_hours=6) as made:
        yield made


@pytest.fixture
def on_both(services: Services) -> Iterator[Staged]:
    with start_organisation(services) as made:
        yield made


def prepare(staged: Staged, **policy: Any) -> tuple[Organisation, ScriptedService, str]:
    """One item that one workflow uses: with the id of its token at the service."""
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", overlap="1h", **policy)
    organisation.add_workflow(WORKFLOW, TOKEN)
    (old_id,) = service.live_tokens("ticketing")
    return organisation, service, old_id


def runs_well(organisation: Organisation) -> bool:
    return bool(organisation.services.runs.runs.start(WORKFLOW, actor="test").status == "completed")


def said_of(organisation: Organisation, rotation_id: str) -> dict[str, str]:
    """What the record says was done about a rotation, and by whom."""
    with organisation.services.database.read() as connection:
        rows = connection.execute(select(audit.c.action, audit.c.actor).where(audit.c.subject == rotation_id))
        return {row.action: row.actor for row in rows}


def request(organisation: Organisation, clock: Any) -> Rotation:
    organisation.night()
    (rotation,) = organisation.rotations()
    assert rotation.state is State.REQUESTED
    return rotation


# Whether it begins


def test_mode_approve_waits_for_a_person_and_then_goes_the_whole_way(staged: Staged, clock: Any) -> None:
    organisation, service, old_id = prepare(staged, mode="approve")
    rotation = request(organisation, clock)
    assert service.calls("POST") == 0
    ((owner, body),) = told(organisation, "rotation-requested")
    assert owner == "support"
    assert f"nightkey rotation approve {rotation.id}" in body
    approved = organisation.services.rotation.decisions.approve(rotation.id, actor="user:ann")
    assert (approved.state, approved.approved_by) == (State.SCHEDULED, "user:ann")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation.id).state is State.WATCHING
    assert old_id in service.live_tokens("ticketing")


def test_a_request_that_nobody_answers_ends_and_nothing_was_changed(staged: Staged, clock: Any) -> None:
    organisation, service, old_id = prepare(staged, mode="approve", approval="2d")
    rotation = request(organisation, clock)
    clock.now += 2 * DAY - TICK
    organisation.drive()
    assert get_rotation(organisation, rotation.id).state is State.REQUESTED
    clock.now += TICK
    organisation.drive()
    ended = get_rotation(organisation, rotation.id)
    assert (ended.state, say(ended.last_error)) == (State.CANCELLED, "nobody approved it in time")
    ((owner, body),) = told(organisation, "rotation-expired")
    assert (owner, f"nightkey item rotate {TOKEN}" in body) == ("support", True)
    assert service.calls("POST") == 0
    assert service.live_tokens("ticketing") == [old_id]
    with pytest.raises(RefusedError, match="is over: it is cancelled"):
        organisation.services.rotation.decisions.approve(rotation.id, actor="user:ann")
    (again,) = organisation.night()  # it is as due as before: its owner is asked again
    assert again.state is State.REQUESTED
    assert len(told(organisation, "rotation-requested")) == 2


def test_a_cancelled_request_is_not_asked_again_the_next_night(staged: Staged, clock: Any) -> None:
    organisation, _, _ = prepare(staged, mode="approve")
    rotation = request(organisation, clock)
    organisation.services.rotation.decisions.cancel(rotation.id, actor="user:ann")
    clock.advance(DAY)
    assert organisation.night() == []


def test_mode_notify_never_touches_the_item_by_night_or_by_hand(staged: Staged, clock: Any) -> None:
    organisation, service, old_id = prepare(staged, mode="notify")
    assert organisation.night() == []
    for ask in (
        organisation.services.rotation.opening.request,
        organisation.services.rotation.opening.request_emergency,
    ):
        with pytest.raises(RefusedError, match="replaced by its owner alone"):
            ask(TOKEN, asked_by="test")
    assert service.calls("POST") == 0
    assert service.live_tokens("ticketing") == [old_id]


def test_four_eyes_are_two_people(staged: Staged, clock: Any) -> None:
    organisation, service, _ = prepare(staged, four_eyes=True)
    asked = organisation.services.rotation.opening.request(TOKEN, asked_by="user:ann")
    assert asked.state is State.REQUESTED
    with pytest.raises(RefusedError, match="was asked for by user:ann, and its policy wants four eyes"):
        organisation.services.rotation.decisions.approve(asked.id, actor="user:ann")
    assert service.calls("POST") == 0
    organisation.services.rotation.decisions.approve(asked.id, actor="user:bob")
    drive_on(organisation, clock)
    assert get_rotation(organisation, asked.id).state is State.WATCHING


@pytest.mark.parametrize("emergency", [False, True])
def test_four_eyes_hold_for_what_the_night_has_planned_and_a_person_wants_now(
    staged: Staged, clock: Any, emergency: bool
) -> None:
    organisation, service, _ = prepare(staged, four_eyes=True, windows=["0 6 * * * for 1h"])
    organisation.night()
    (planned,) = organisation.rotations()
    assert planned.state is State.SCHEDULED
    opening = organisation.services.rotation.opening
    ask = opening.request_emergency if emergency else opening.request
    asked = ask(TOKEN, asked_by="user:ann")
    assert (asked.id, asked.state, asked.emergency) == (planned.id, State.REQUESTED, emergency)
    with pytest.raises(RefusedError, match="wants four eyes"):
        organisation.services.rotation.decisions.approve(asked.id, actor="user:ann")
    assert service.calls("POST") == 0
    organisation.services.rotation.decisions.approve(asked.id, actor="user:bob")
    drive_on(organisation, clock)
    ended = get_rotation(organisation, asked.id)
    assert ended.state is (State.DONE if emergency else State.WATCHING)


def test_four_eyes_hold_for_an_emergency_in_the_middle(staged: Staged, clock: Any) -> None:
    organisation, service, old_id = prepare(staged, four_eyes=True)
    organisation.night()
    with pytest.raises(RefusedError, match="is watching, and its policy wants four eyes"):
        organisation.services.rotation.opening.request_emergency(TOKEN, asked_by="user:ann")
    assert old_id in service.live_tokens("ticketing")


def change_the_value(organisation: Organisation, item_id: str) -> None:
    services = organisation.services
    with services.database.write() as connection:
        services.vault.update(connection, item_id, value=Secret("another-value"), actor="test")


def change_the_policy(organisation: Organisation, item_id: str) -> None:
    services = organisation.services
    with services.database.write() as connection:
        policy = replace(services.vault.get(connection, item_id).policy, overlap=timedelta(hours=3))
        services.vault.update(connection, item_id, policy=policy, actor="test")


@pytest.mark.parametrize("change", [change_the_value, change_the_policy])
@pytest.mark.parametrize("approved", [False, True])
def test_what_was_changed_after_it_was_asked_for_is_not_what_was_approved(
    staged: Staged, clock: Any, change: Callable[[Organisation, str], None], approved: bool
) -> None:
    organisation, service, _ = prepare(staged, mode="approve")
    rotation = request(organisation, clock)
    deciding = organisation.services.rotation.decisions
    if not approved:
        change(organisation, rotation.item_id)
        with pytest.raises(RefusedError, match=f"was changed since.*nightkey rotation cancel {rotation.id}"):
            deciding.approve(rotation.id, actor="user:ann")
        assert get_rotation(organisation, rotation.id) == rotation
        return
    deciding.approve(rotation.id, actor="user:ann")
    change(organisation, rotation.item_id)
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation.id)
    assert (ended.state, say(ended.last_error)) in (
        (State.ROLLED_BACK, "its policy or value was changed after it was approved: ask again"),
        (State.CANCELLED, "its owner gave it another value meanwhile"),
    )
    assert service.calls("POST") == 0
    assert "pending" not in organisation.stages(TOKEN)


# Where it ends


@pytest.mark.parametrize("state", [state for state in State if state in BEFORE_ACTIVATION])
def test_cancelled_before_its_activation_it_leaves_the_old_value_alone(
    staged: Staged, clock: Any, state: State
) -> None:
    organisation, service, old_id = prepare(staged)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, state)
    organisation.services.rotation.decisions.cancel(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    assert (ended.state, say(ended.last_error)) == (State.ROLLED_BACK, "taken back by user:ann")
    assert service.live_tokens("ticketing") == [old_id]
    assert organisation.stages(TOKEN) == ["current", "destroyed"][: 1 if state is State.PLANNED else 2]
    assert runs_well(organisation)
    assert said_of(organisation, rotation_id)["rotation.cancel"] == "user:ann"


@pytest.mark.parametrize("state", [State.WATCHING, State.CANARY, State.RETIRING])
def test_what_is_active_is_not_cancelled_but_rolled_back(staged: Staged, clock: Any, state: State) -> None:
    organisation, service, old_id = prepare(staged, canary="auto")
    if state is State.CANARY:
        organisation.add_workflow(OTHER, TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    if state is State.RETIRING:
        step_to(organisation, clock, rotation_id, State.WATCHING)
        assert runs_well(organisation)
    step_to(organisation, clock, rotation_id, state)
    with pytest.raises(RefusedError, match="cannot be cancelled"):
        organisation.services.rotation.decisions.cancel(rotation_id, actor="user:ann")
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert organisation.stages(TOKEN) == ["current", "destroyed"]
    assert service.live_tokens("ticketing") == [old_id]
    assert runs_well(organisation)


def get_stuck(organisation: Organisation, service: ScriptedService, clock: Any, state: State) -> str:
    """A rotation that is stuck in that state, because what lets us in is refused there, or for days away."""
    rotation_id = begin_by_hand(organisation, TOKEN)
    services = organisation.services
    if state is State.INSTALLED:
        step_to(organisation, clock, rotation_id, state)
        service.fail_next("/v1/", times=100_000)
    if state is State.DISCARDING:
        service.default_scopes["ticketing"] = ["nothing"]
        organisation.add_workflow(OTHER, TOKEN, path="/v1/tickets")
    if state in (State.RETIRING, State.UNDOING):
        step_to(organisation, clock, rotation_id, State.WATCHING)
    if state is State.RETIRING:
        services.runs.runs.start(WORKFLOW, actor="test")
    if state is State.UNDOING:
        services.rotation.decisions.roll_back(rotation_id, actor="test")
    if state is not State.INSTALLED:
        step_to(organisation, clock, rotation_id, state)
        service.admin_token = "another-one"
    stuck = step_to(organisation, clock, rotation_id, State.STUCK)
    assert (stuck.stuck_in, stuck.next_at) == (state, None)
    assert len(service.live_tokens("ticketing")) == 2, "both values are kept"
    assert ("stuck", TOKEN) in organisation.findings()
    service._failures.clear()
    return rotation_id


def test_what_got_stuck_before_it_began_can_be_ended(staged: Staged) -> None:
    """Whatever kept it from being admitted for days: nothing was made, so nothing is taken back."""
    organisation, service, old_id = prepare(staged)
    services = organisation.services
    rotation_id = begin_by_hand(organisation, TOKEN)
    with services.database.write() as connection:
        queued = rotation_rows.get_rotation(connection, rotation_id)
        stuck = replace(queued, state=State.STUCK, stuck_in=State.QUEUED, next_at=None)
        change_rows.change_rotation(connection, queued, stuck)
    decisions = services.rotation.decisions
    offered = [one.command.split()[2] for one in services.rotation.views.view(rotation_id).choices]
    assert offered == ["retry", "cancel"]
    with pytest.raises(RefusedError, match="`nightkey rotation cancel` ends it"):
        decisions.roll_back(rotation_id, actor="user:ann")
    decisions.cancel(rotation_id, actor="user:ann")
    assert get_rotation(organisation, rotation_id).state is State.CANCELLED
    assert service.live_tokens("ticketing") == [old_id]


def let_in_again(service: ScriptedService) -> None:
    service.admin_token = "the-admin-token-of-the-tests"
    service.default_scopes.clear()


STUCK_IN = (State.INSTALLED, State.DISCARDING, State.UNDOING, State.RETIRING)


@pytest.mark.parametrize("state", STUCK_IN)
def test_retry_goes_on_where_it_stopped(staged: Staged, clock: Any, state: State) -> None:
    organisation, service, old_id = prepare(staged)
    rotation_id = get_stuck(organisation, service, clock, state)
    let_in_again(service)
    organisation.services.rotation.decisions.retry(rotation_id, actor="user:ann")
    assert ("stuck", TOKEN) not in organisation.findings()
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    expected = {
        State.INSTALLED: State.WATCHING,
        State.DISCARDING: State.WATCHING,
        State.UNDOING: State.ROLLED_BACK,
        State.RETIRING: State.DONE,
    }
    assert (ended.state, ended.stuck_in) == (expected[state], None)
    live, stages = service.live_tokens("ticketing"), organisation.stages(TOKEN)
    if state is State.UNDOING:
        assert (live, stages) == ([old_id], ["current", "destroyed"])
    elif state is State.RETIRING:
        assert (len(live), stages) == (1, ["destroyed", "current"])
        assert old_id not in live
    else:
        thrown_away = ["destroyed"] * (state is State.DISCARDING)
        assert (len(live), stages) == (2, ["previous", *thrown_away, "current"])
    assert runs_well(organisation)
    assert said_of(organisation, rotation_id)["rotation.retry"] == "user:ann"


@pytest.mark.parametrize("state", STUCK_IN)
def test_rollback_ends_on_the_old_value(staged: Staged, clock: Any, state: State) -> None:
    organisation, service, old_id = prepare(staged)
    rotation_id = get_stuck(organisation, service, clock, state)
    if state in (State.INSTALLED, State.RETIRING):
        let_in_again(service)  # the worker takes the new one away
    organisation.services.rotation.decisions.roll_back(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    assert ended.state is State.ROLLED_BACK
    assert organisation.stages(TOKEN) == ["current", "destroyed"]
    live = service.live_tokens("ticketing")
    assert live[0] == old_id
    assert len(live) == (1 if state in (State.INSTALLED, State.RETIRING) else 2)  # else a person sees to it
    assert runs_well(organisation)
    assert ("stuck", TOKEN) not in organisation.findings()
    assert said_of(organisation, rotation_id)["rotation.rollback"] == "user:ann"


@pytest.mark.parametrize("state", STUCK_IN)
def test_accept_ends_on_the_new_value(staged: Staged, clock: Any, state: State) -> None:
    organisation, service, old_id = prepare(staged)
    rotation_id = get_stuck(organisation, service, clock, state)
    accepted = organisation.services.rotation.decisions.accept(rotation_id, actor="user:ann")
    if state is State.RETIRING:
        assert accepted.state is State.DONE
        assert organisation.stages(TOKEN) == ["destroyed", "current"]
    else:
        assert (accepted.state, accepted.activated_at) == (State.WATCHING, clock())
        assert organisation.stages(TOKEN) == ["previous", "current"]
    assert organisation.item(TOKEN).version == 2
    assert len(service.live_tokens("ticketing")) == 2
    assert runs_well(organisation)
    assert ("stuck", TOKEN) not in organisation.findings()
    assert said_of(organisation, rotation_id)["rotation.accept"] == "user:ann"
    if state is State.RETIRING:
        return
    let_in_again(service)  # and then it is watched and retired like any other
    if state is State.DISCARDING:
        organisation.services.rotation.decisions.waive(rotation_id, OTHER, why="it goes", actor="user:ann")
    ended = step_to(organisation, clock, rotation_id, State.DONE)
    assert ended.stuck_in is None
    assert old_id not in service.live_tokens("ticketing")
    assert len(service.live_tokens("ticketing")) == 1


def test_decisions_that_do_not_fit_say_what_does(staged: Staged, clock: Any) -> None:
    organisation, _, _ = prepare(staged)
    deciding = organisation.services.rotation.decisions
    rotation_id = begin_by_hand(organisation, TOKEN)
    acts: list[tuple[Callable[[], object], str]] = [
        (lambda: deciding.approve(rotation_id, actor="a"), "it waits for no approval"),
        (lambda: deciding.retry(rotation_id, actor="a"), "it has nothing to try again"),
        (lambda: deciding.accept(rotation_id, actor="a"), "it is not stuck"),
        (lambda: deciding.extend(rotation_id, clock() + DAY, actor="a"), "no overlap that could be longer"),
        (lambda: deciding.waive(rotation_id, WORKFLOW, why="x", actor="a"), "it waits for no consumer"),
        (lambda: deciding.prove(rotation_id, WORKFLOW, actor="a"), "it waits for no consumer"),
        (lambda: deciding.cancel("rot_nobody", actor="a"), "no rotation 'rot_nobody'"),
    ]
    for act, says in acts:
        with pytest.raises(NightkeyError, match=says) as caught:
            act()
        assert "\n" not in str(caught.value)
    assert get_rotation(organisation, rotation_id).state is State.PLANNED


def test_a_decision_is_not_taken_from_under_a_worker(on_both: Staged, clock: Any) -> None:
    organisation, service, old_id = prepare(on_both)
    rotation_id = begin_by_hand(organisation, TOKEN)
    gate = service.gate("/v1/tokens", method="POST")
    worker = threading.Thread(target=advance, args=(organisation.services, rotation_id))
    worker.start()
    assert gate.reached.wait(120)
    with pytest.raises(ConflictError, match="a worker is at"):
        organisation.services.rotation.decisions.cancel(rotation_id, actor="user:ann")
    gate.open()
    worker.join(120)
    organisation.services.rotation.decisions.cancel(rotation_id, actor="user:ann")
    drive_on(organisation, clock)
    assert service.live_tokens("ticketing") == [old_id]


def decide_at_once(*acts: Callable[[], Rotation]) -> tuple[list[State], list[NightkeyError]]:
    """All at the same moment, each as somebody of their own: what came of it, and what was refused."""
    heard: list[State] = []
    refused: list[NightkeyError] = []
    ready = threading.Barrier(len(acts))

    def decide(act: Callable[[], Rotation]) -> None:
        ready.wait(120)
        try:
            heard.append(act().state)
        except NightkeyError as error:
            refused.append(error)

    people = [threading.Thread(target=decide, args=(act,)) for act in acts]
    for person in people:
        person.start()
    for person in people:
        person.join(120)
    return heard, refused


def test_of_two_who_decide_at_once_one_is_heard(on_both: Staged, clock: Any) -> None:
    organisation, service, _ = prepare(on_both)
    rotation_id = get_stuck(organisation, service, clock, State.RETIRING)
    let_in_again(service)
    deciding = organisation.services.rotation.decisions
    heard, refused = decide_at_once(
        lambda: deciding.accept(rotation_id, actor="user:ann"),
        lambda: deciding.roll_back(rotation_id, actor="user:bob"),
    )
    assert (len(heard), len(refused)) == (1, 1)
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id).state
    stages = {State.DONE: ["destroyed", "current"], State.ROLLED_BACK: ["current", "destroyed"]}
    assert organisation.stages(TOKEN) == stages[ended]
    decisions = {"rotation.accept", "rotation.rollback"} & said_of(organisation, rotation_id).keys()
    assert len(decisions) == 1
    assert runs_well(organisation)


def test_of_two_who_try_again_at_once_one_does(on_both: Staged, clock: Any) -> None:
    organisation, service, old_id = prepare(on_both)
    rotation_id = get_stuck(organisation, service, clock, State.UNDOING)
    let_in_again(service)
    deciding = organisation.services.rotation.decisions
    heard, refused = decide_at_once(
        *(lambda who=who: deciding.retry(rotation_id, actor=who) for who in ("user:ann", "user:bob"))
    )
    assert (heard, len(refused)) == ([State.UNDOING], 1)
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.ROLLED_BACK
    assert service.live_tokens("ticketing") == [old_id]


def test_what_is_approved_and_cancelled_at_once_leaves_nothing_half_done(on_both: Staged, clock: Any) -> None:
    organisation, service, old_id = prepare(on_both, mode="approve")
    rotation = request(organisation, clock)
    deciding = organisation.services.rotation.decisions
    heard, refused = decide_at_once(
        lambda: deciding.approve(rotation.id, actor="user:ann"),
        lambda: deciding.cancel(rotation.id, actor="user:bob"),
    )
    assert State.CANCELLED in heard  # one that was just approved has not begun, and is cancelled all the same
    assert len(heard) + len(refused) == 2
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation.id).state is State.CANCELLED
    assert service.live_tokens("ticketing") == [old_id]
    assert service.calls("POST") == 0


def test_each_decision_is_in_the_record_with_who_and_why(staged: Staged, clock: Any) -> None:
    organisation, _, _ = prepare(staged)
    organisation.add_workflow(OTHER, TOKEN, is_active=False)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    deciding = organisation.services.rotation.decisions
    deciding.extend(rotation_id, clock() + 2 * DAY, actor="user:ann")
    deciding.waive(rotation_id, OTHER, why="it is retired", actor="user:bob")
    deciding.roll_back(rotation_id, actor="user:cleo")
    with organisation.services.database.read() as connection:
        rows = connection.execute(
            select(audit.c.actor, audit.c.action, audit.c.details).where(audit.c.subject == rotation_id)
        ).all()
    told_of = {(row.actor, row.action): row.details for row in rows}
    assert ("user:ann", "rotation.extend") in told_of
    assert told_of["user:bob", "rotation.waive"]["why"] == "it is retired"
    assert ("user:cleo", "rotation.rollback") in told_of
