"""A check that takes every value proves nothing: that is said, and no old value is taken away by it."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from nightkey_demo.loopback import Answer, Incoming
from tests.organisation import Organisation
from tests.services.staging import (
    TOKEN,
    ScriptedService,
    Staged,
    bearer_of,
    drive_on,
    step_to,
)
from tests.stepping import advance
from vaultcore.errors import RefusedError
from vaultcore.tables import audit, versions
from vaultcore.versions import Purpose
from worker.domain.changes import ItemChange
from worker.domain.policies import PolicyChange
from worker.domain.proof import ConsumerProof, Proof
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows.rotation_steps import steps_of
from worker.wording.reasons import say, say_all, say_each

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
LOOKS_GOOD = Answer(status=200, body={"ok": False})
BLIND, SEEING = "/v1/account", "/v1/tickets"


def take_everything(incoming: Incoming) -> Answer | None:
    return LOOKS_GOOD if incoming.path == BLIND else None


def add_blind(organisation: Organisation, name: str = TOKEN, *, verify: str = BLIND, **policy: Any) -> str:
    """A token that is verified at a place which takes every value; the token."""
    settings = organisation.token_policy("ticketing")["settings"]
    settings = {key: value for key, value in settings.items() if key != "verify_id"}
    url = organisation.targets.token_service.url
    settings["verify"] = settings["verify"] | {"url": f"{url}{verify}"}
    token = organisation.add_token(name, "ticketing", settings=settings, **policy)
    (token_id,) = organisation.targets.token_service.live_tokens("ticketing")
    with organisation.services.database.write() as connection:
        connection.execute(update(versions).where(versions.c.number == 1).values(external={"id": token_id}))
    return token


def watch_made_up(service: ScriptedService, *, blind: bool) -> list[str]:
    """The paths at which somebody came with a token that the service never issued."""
    seen: list[str] = []

    def script(incoming: Incoming) -> Answer | None:
        if bearer_of(incoming) not in (service.admin_token, "") and not service.is_known(bearer_of(incoming)):
            seen.append(incoming.path)
        return take_everything(incoming) if blind else None

    service.script = script
    return seen


def rotate(organisation: Organisation, clock: Any) -> Rotation:
    organisation.services.night.nights.begin(clock())
    drive_on(organisation, clock)
    return organisation.rotations()[0]


def pass_the_overlap(organisation: Organisation, clock: Any) -> Rotation:
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    clock.advance(2 * DAY)
    drive_on(organisation, clock)
    return organisation.rotations()[0]


def messages(organisation: Organisation, rotation_id: str) -> str:
    with organisation.services.database.read() as connection:
        return " ".join(say_all(row.said) for row in steps_of(connection, rotation_id))


def consumer_proofs(organisation: Organisation, rotation: Rotation) -> tuple[ConsumerProof, ...]:
    with organisation.services.database.read() as connection:
        return organisation.services.rotation.proofs.consumer_proofs(connection, rotation)


def test_a_service_that_takes_everything_never_has_its_old_value_revoked(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    old = add_blind(organisation)
    organisation.add_workflow("ticket-sync", TOKEN, path=BLIND)
    service.script = take_everything
    rotation = rotate(organisation, clock)
    assert (rotation.state, rotation.shown_by) == (State.WATCHING, None)
    said = messages(organisation, rotation.id)
    assert "unproven: the service accepts it (200), but a made-up one passes the same check" in said
    assert "unproven, since no made-up value was refused: ticket-sync/call" in said
    assert "passed: none; unproven, since no made-up value was refused: ticket-sync " in f"{said} "
    organisation.services.runs.runs.start("ticket-sync", actor="test")
    (ran, check) = consumer_proofs(organisation, rotation)
    assert (ran.proof, check.check) == (Proof.UNPROVEN, True)
    assert say(ran.why) == "ticket-sync ran well with version 2, as it may with any value"

    for _ in range(3):
        rotation = pass_the_overlap(organisation, clock)
    assert rotation.state is State.WATCHING
    (waits,) = say_each(rotation.waits_for)
    assert waits.startswith("a check that can fail: nothing has shown that the new value works")
    assert service.is_live(old)
    assert service.calls("DELETE") == 0
    assert ("unproven", TOKEN) in organisation.findings()


def test_a_node_is_asked_with_a_made_up_value_and_none_is_revealed_for_that(staged: Staged, clock: Any) -> None:
    """The new value is revealed for the node alone and for its workflow, never for what does not use it."""
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN, path=SEEING)
    made_up = watch_made_up(service, blind=False)
    rotation = rotate(organisation, clock)
    assert rotation.shown_by == "verification"
    assert SEEING in made_up
    with organisation.services.database.read() as connection:
        revealed = connection.execute(select(audit.c.details).where(audit.c.action == "version.reveal"))
        for_tests = [one.details for one in revealed if one.details["purpose"] == Purpose.TEST]
    assert [one["version"] for one in for_tests] == [2, 2]


def test_a_night_and_a_mended_workflow_look_again_at_what_waits_for_a_check(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    add_blind(organisation)
    organisation.add_workflow("ticket-sync", TOKEN, path=BLIND)
    service.script = take_everything
    rotation = rotate(organisation, clock)
    clock.advance(timedelta(minutes=1))
    for change in (organisation.services.night.nights.begin, None):
        assert (organisation.rotations()[0].next_at or clock()) > clock()
        if change is not None:
            change(clock())
        else:
            organisation.add_workflow("ticket-sync", TOKEN, path=SEEING)
        assert organisation.rotations()[0].next_at == clock()
        organisation.drive()
    again = organisation.rotations()[0]
    assert (again.id, again.shown_by) == (rotation.id, "node-test ticket-sync/call")


def test_once_the_policy_is_mended_the_check_is_asked_again_and_the_rotation_ends(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = add_blind(organisation)
    organisation.add_workflow("ticket-sync", TOKEN, path=BLIND)
    service.script = take_everything
    rotate(organisation, clock)
    assert pass_the_overlap(organisation, clock).state is State.WATCHING

    services = organisation.services
    mended = PolicyChange(assigned={"verify": {"url": f"{service.url}{SEEING}"}})
    services.items.updates.update(TOKEN, ItemChange(policy=mended), actor="test")
    drive_on(organisation, clock)  # at once: no later look is waited for
    rotation = organisation.rotations()[0]
    assert (rotation.state, rotation.shown_by) == (State.DONE, "verification")
    assert not service.is_live(old)
    assert ("unproven", TOKEN) not in organisation.findings()


def test_a_person_may_answer_for_what_no_check_can_tell(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    add_blind(organisation)
    organisation.add_workflow("ticket-sync", TOKEN, path=BLIND)
    service.script = take_everything
    rotation = rotate(organisation, clock)
    pass_the_overlap(organisation, clock)
    deciding = organisation.services.rotation.decisions
    deciding.waive(rotation.id, None, check=True, why="looked at it there", actor="test")
    assert advance(organisation.services, rotation.id).rotation.state is State.RETIRING


def test_nobody_answers_for_what_a_check_has_shown(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    rotation = rotate(organisation, clock)
    with pytest.raises(RefusedError, match="was shown to work already, by verification"):
        organisation.services.rotation.decisions.waive(rotation.id, None, check=True, why="-", actor="test")


def test_a_node_that_can_tell_proves_the_value_where_the_verification_cannot(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    old = add_blind(organisation)
    organisation.add_workflow("ticket-sync", TOKEN, path=SEEING)
    service.script = take_everything
    rotation = rotate(organisation, clock)
    assert rotation.shown_by == "node-test ticket-sync/call"
    assert pass_the_overlap(organisation, clock).state is State.RETIRING  # its refusal cannot be shown there
    assert not service.is_live(old)


@pytest.mark.both
def test_in_an_emergency_too_nothing_is_revoked_that_nothing_has_replaced(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    old = add_blind(organisation)
    service.script = take_everything
    rotation = organisation.services.night.inline_night.run_emergency(TOKEN, lambda _: None, asked_by="test")
    assert (rotation.state, rotation.stuck_in) == (State.STUCK, State.ACTIVATED)
    assert "nothing has shown that the new value works" in say(rotation.last_error)
    assert f"nightkey rotation waive {rotation.id} --check --why TEXT" in say(rotation.last_error)
    assert service.is_live(old)
    organisation.services.rotation.decisions.waive(
        rotation.id, None, check=True, why="seen there", actor="test"
    )
    step_to(organisation, clock, rotation.id, State.RETIRING)


def test_a_check_is_asked_with_a_made_up_value_once_for_its_target_and_settings(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    add_blind(organisation, verify=SEEING)
    organisation.add_workflow("ticket-sync", TOKEN, path="/v1/invoices")
    seen = watch_made_up(service, blind=False)
    assert rotate(organisation, clock).shown_by == "verification"
    assert seen == [SEEING, "/v1/invoices"]
    assert pass_the_overlap(organisation, clock).state is State.DONE

    clock.advance(85 * DAY)
    assert rotate(organisation, clock).shown_by == "verification"
    assert seen == [SEEING, "/v1/invoices"]


def test_a_check_that_could_not_tell_is_asked_again_after_a_day(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    add_blind(organisation)
    seen = watch_made_up(service, blind=True)
    rotate(organisation, clock)
    for _ in range(5):
        clock.advance(timedelta(hours=2))
        drive_on(organisation, clock)
    assert seen == [BLIND]
    clock.advance(DAY)
    drive_on(organisation, clock)
    assert seen == [BLIND, BLIND]


def test_a_failure_that_judges_nothing_is_no_refusal_and_holds_no_good_value_up(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing")

    def break_on_strangers(incoming: Incoming) -> Answer | None:
        known = service.is_known(bearer_of(incoming)) or bearer_of(incoming) == service.admin_token
        return None if known else Answer(status=500)

    service.script = break_on_strangers
    rotation = rotate(organisation, clock)
    assert (rotation.state, rotation.shown_by, rotation.candidates) == (State.WATCHING, None, 0)
    assert "but no made-up one could be shown to it" in messages(organisation, rotation.id)
    service.script = lambda _: None
    clock.advance(2 * DAY)
    drive_on(organisation, clock)
    assert (organisation.rotations()[0].state, organisation.rotations()[0].shown_by) == (
        State.DONE,
        "verification",
    )


def answer_blind(answer: Answer, incoming: Incoming) -> Answer | None:
    return answer if incoming.path == BLIND else None


def test_a_look_at_which_everybody_is_refused_shows_nothing(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    old = add_blind(organisation)
    service.script = take_everything
    rotate(organisation, clock)
    for answer in (Answer(status=404), Answer(status=401)):
        clock.advance(2 * DAY)
        service.script = partial(answer_blind, answer)
        drive_on(organisation, clock)
        assert organisation.rotations()[0].shown_by is None
    assert service.is_live(old)


@pytest.mark.both
def test_a_person_who_has_mended_a_check_has_it_asked_now(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    add_blind(organisation)
    service.script = take_everything
    rotation = rotate(organisation, clock)
    clock.advance(DAY)
    drive_on(organisation, clock)
    services = organisation.services
    mended = PolicyChange(assigned={"verify": {"url": f"{service.url}{SEEING}"}})
    services.items.updates.update(TOKEN, ItemChange(policy=mended), actor="test")
    services.rotation.decisions.retry(rotation.id, actor="test")
    drive_on(organisation, clock)
    assert organisation.rotations()[0].state is State.DONE
