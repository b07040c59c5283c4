"""No consumer, no proof: what nothing here reads is not replaced, and what it knew before is not taken away."""

from datetime import timedelta
from typing import Any

import pytest

from tests.organisation import ADMIN, Organisation
from tests.services.conftest import Moves
from tests.services.staging import TOKEN, Staged, begin_by_hand, drive_on, get_rotation, step_to
from vaultcore.errors import RefusedError
from vaultcore.model import Kind
from vaultcore.rules import kind_of
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.plan import PlannedAction
from worker.domain.policies import PolicyChange, build_policy
from worker.domain.saga import State
from worker.rows import findings as finding_rows
from worker.services.rotation.offboarding import Fate
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules


DAY = timedelta(days=1)
NAME, WORKFLOW = "prod-orders-webhook-secret", "ticket-sync"
RANDOM = {"mode": "auto", "rotator": "random"}


def create(services: Services, name: str = NAME, **parts: Any) -> Any:
    made, _ = services.items.creation.create(
        name,
        read_value=None if kind_of(name) is Kind.API_KEY else lambda: Secret(f"the-first-value-of-{name}"),
        owners=[],
        expires_at=None,
        policy=PolicyChange(parts=parts),
        actor="test",
    )
    return made


def change(organisation: Organisation, **parts: Any) -> None:
    wanted = ItemChange(policy=PolicyChange(parts=parts))
    organisation.services.items.updates.update(TOKEN, wanted, actor="test")


def add_unread(on_file: Staged, **policy: Any) -> tuple[Organisation, str]:
    """A token that is due, and that nothing here uses: from before anybody asked for that."""
    organisation, _ = on_file
    return organisation, organisation.add_token(TOKEN, "ticketing", consumers="required", **policy)


def lose_consumers(organisation: Organisation) -> None:
    """The one workflow goes on with another item."""
    organisation.add_workflow(WORKFLOW, ADMIN)


def kinds(organisation: Organisation) -> set[str]:
    return {kind for kind, item in organisation.findings() if item == TOKEN}


# Created


@pytest.mark.parametrize("mode", ["auto", "approve"])
@pytest.mark.both
def test_what_nothing_reads_is_not_made_one_that_is_replaced_here(
    services: Services, moves: Moves, mode: str
) -> None:
    parts = RANDOM | {"mode": mode}
    with pytest.raises(RefusedError, match=rf"no active .* here uses {NAME}.*--consumers none.*--mode notify"):
        create(services, **parts)
    moves.use("orders", NAME, active=False)
    with pytest.raises(RefusedError):
        create(services, **parts)
    moves.use("orders", NAME)
    made = create(services, **parts)
    with services.database.read() as connection:
        (reference,) = services.references.of_item(connection, made.id)
    assert reference.consumer_name == "orders"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (NAME, RANDOM | {"consumers": "none"}),
        (NAME, {"mode": "notify"}),
        (NAME, {}),
        ("api-key:partner", {"mode": "auto"}),
    ],
)
def test_what_nothing_needs_to_read_is_made(services: Services, name: str, parts: Any) -> None:
    assert create(services, name, **parts).name == name


def test_what_nothing_reads_does_not_become_one_that_is_replaced_here(services: Services, moves: Moves) -> None:
    moves.add(NAME)
    wanted = ItemChange(policy=PolicyChange(parts=RANDOM))
    with pytest.raises(RefusedError, match="no active workflow here uses"):
        services.items.updates.update(NAME, wanted, actor="test")
    moves.use("orders", NAME)
    assert services.items.updates.update(NAME, wanted, actor="test").item.policy.mode == "auto"
    moves.use("orders", "prod-other-secret")
    lead = ItemChange(policy=PolicyChange(parts={"lead": "3d"}))
    assert services.items.updates.update(NAME, lead, actor="test").changes, (
        "one that is so already may be changed"
    )


@pytest.mark.both
def test_the_rotator_of_another_item_reads_it_and_its_own_does_not(services: Services, moves: Moves) -> None:
    call = {"url": "https://x.example.org/", "headers": {"A": f"{{{{ vault.{NAME} }}}}"}}
    http = {"rotator": "http", "settings": {"issue": call, "verify": call, "revoke": call}}
    item = moves.add(NAME, policy=build_policy(None, {"mode": "auto"} | http)).item
    with services.database.read() as connection:
        assert services.vault.is_unread(connection, item)
    moves.add("prod-other-token", policy=build_policy(None, {"mode": "notify"} | http))
    with services.database.read() as connection:
        assert not services.vault.is_unread(connection, item)


# Rotated


@pytest.mark.parametrize("mode", ["auto", "approve"])
def test_the_night_holds_what_nothing_reads_and_tells_of_it_until_something_does(
    on_file: Staged, clock: Any, mode: str
) -> None:
    organisation, old = add_unread(on_file, mode=mode)
    (seen,) = [one for one in organisation.services.night.nights.preview(clock()).due if one.name == TOKEN]
    assert seen.decision is not None
    assert seen.decision.action is PlannedAction.HOLD
    assert "no active workflow here uses it" in say(seen.decision.why)
    assert organisation.night() == []
    assert kinds(organisation) == {"expiring", "no-consumer"}
    assert on_file[1].is_live(old)
    with pytest.raises(RefusedError, match=rf"uses {TOKEN}.*--consumers none.*--compromised"):
        begin_by_hand(organisation, TOKEN)
    organisation.add_workflow(WORKFLOW, TOKEN)
    clock.advance(DAY)
    assert [one.item for one in organisation.night()] == [TOKEN]
    assert "no-consumer" not in kinds(organisation)


def test_what_nothing_needs_to_read_is_replaced_and_is_no_finding(on_file: Staged, clock: Any) -> None:
    organisation, old = add_unread(on_file, overlap="0s")
    change(organisation, consumers="none")
    (rotation,) = organisation.night()
    assert rotation.state is State.DONE
    assert not on_file[1].is_live(old)
    assert kinds(organisation) == set()


def test_one_that_loses_its_last_consumer_before_it_begins_is_called_off(on_file: Staged, clock: Any) -> None:
    organisation, old = add_unread(on_file)
    organisation.add_workflow(WORKFLOW, TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    lose_consumers(organisation)
    drive_on(organisation, clock)
    ended = get_rotation(organisation, rotation_id)
    assert (ended.state, len(on_file[1].live_tokens("ticketing"))) == (State.CANCELLED, 1)
    assert "no active workflow here uses" in say(ended.last_error)
    assert on_file[1].is_live(old)


def test_without_a_consumer_there_is_no_proof_so_the_old_value_stays(on_file: Staged, clock: Any) -> None:
    organisation, old = add_unread(on_file, overlap="1h")
    organisation.add_workflow(WORKFLOW, TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    lose_consumers(organisation)
    for _ in range(3):
        clock.advance(DAY)
        organisation.night()
    waiting = get_rotation(organisation, rotation_id)
    assert waiting.state is State.WATCHING
    assert say_each(waiting.waits_for) == ["a workflow that uses it: nothing here has read the new value"]
    assert on_file[1].is_live(old)
    assert "no-consumer" in kinds(organisation)
    change(organisation, consumers="none")
    clock.advance(DAY)
    drive_on(organisation, clock, until=lambda: get_rotation(organisation, rotation_id).state is State.DONE)
    assert not on_file[1].is_live(old)


def test_an_inactive_consumer_for_which_somebody_answers_is_one(on_file: Staged, clock: Any) -> None:
    organisation, old = add_unread(on_file, overlap="0s")
    organisation.add_workflow(WORKFLOW, TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.WATCHING)
    organisation.add_workflow(WORKFLOW, TOKEN, is_active=False)
    clock.advance(DAY)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    organisation.services.rotation.decisions.waive(
        rotation_id, WORKFLOW, why="it is switched off", actor="test"
    )
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert not on_file[1].is_live(old)


def test_what_its_owner_replaced_by_hand_is_not_revoked_without_a_consumer(on_file: Staged, clock: Any) -> None:
    organisation, old = add_unread(on_file, overlap="0s")
    _, given = on_file[1].issue("ticketing", label="by hand")
    organisation.services.items.updates.update(TOKEN, ItemChange(), value=Secret(given), actor="test")
    clock.advance(DAY)
    organisation.night()
    assert organisation.stages(TOKEN) == ["previous", "current"]
    assert on_file[1].is_live(old)


# In an emergency


def test_what_somebody_else_knows_is_taken_away_all_the_same(on_file: Staged) -> None:
    organisation, old = add_unread(on_file)
    rotation = organisation.services.night.inline_night.run_emergency(
        TOKEN, lambda _: None, asked_by="user:ann"
    )
    assert rotation.state is State.DONE
    assert not on_file[1].is_live(old)
    assert organisation.stages(TOKEN) == ["destroyed", "current"]


def test_what_who_leaves_could_read_is_taken_away_all_the_same(on_file: Staged, clock: Any) -> None:
    organisation, old = add_unread(on_file)
    leaving = organisation.services.rotation.offboarding
    begun = leaving.begin("support", emergency=False, actor="user:ann")
    position = 0
    while (found := leaving.open_next(begun, after=position, actor="user:ann")) is not None:
        position = found[0].position
        drive_on(organisation, clock)
    (left,) = [one for one in leaving.read(begun.id).items if one.item == TOKEN]
    assert (left.fate, "nothing here can hand out the new value" in say(left.why)) == (Fate.REPLACED, True)
    assert not on_file[1].is_live(old)


def test_what_is_told_of_it_names_the_ways_out(on_file: Staged) -> None:
    organisation, _ = add_unread(on_file)
    organisation.night()
    with organisation.services.database.read() as connection:
        (found,) = [one for one in finding_rows.list_open(connection) if one.kind == "no-consumer"]
    assert found.command == f"nightkey item update {TOKEN} --mode notify"
    assert f"nightkey item update {TOKEN} --consumers none" in say(found.detail)
