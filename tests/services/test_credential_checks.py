"""Whether credentials still work: asked by nights, one after the other at a target, and never in a storm."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from nightkey_demo.loopback import Answer, Incoming
from tests.faults.vault_copy import let_leases_lapse
from tests.organisation import ADMIN, Organisation
from tests.services.staging import (
    REFUSED,
    TOKEN,
    ScriptedService,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    reopen,
    start_organisation,
    told,
    what_is_wrong,
)
from vaultcore.errors import ConflictError, RefusedError
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.credential_checks import BEGUN_MAX, CheckOutcome
from worker.domain.policies import PolicyChange
from worker.domain.saga import State
from worker.domain.work import AtTarget, Task, Work
from worker.rows import credential_checks as check_rows
from worker.rows import nights as night_rows
from worker.rows.credential_checks import LastCheck
from worker.rows.tables import credential_checks
from worker.wording.reasons import say

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
PATIENCE = 120
AWAY = Answer(status=503, body={})


@pytest.fixture
def staged(services: Services) -> Iterator[Staged]:
    with start_organisation(services) as (organisation, service), reopen(organisation, check_every_days=7):
        yield organisation, service


def make_due(organisation: Organisation) -> None:
    """As after the days in which each comes due by its own share: all of them are."""
    services = organisation.services
    services.rotation.credential_checks.choose(services.clock())
    with services.database.write() as connection:
        for item_id in connection.execute(select(credential_checks.c.item_id)).scalars().all():
            check_rows.wake(connection, item_id, services.clock())


def night(organisation: Organisation) -> dict[str, int]:
    """A whole night: its rotations, its checks, its notices. What it counted."""
    services = organisation.services
    slot = services.clock()
    services.night.nights.begin(slot)
    organisation.drive()
    check_all(services)
    assert services.night.nights.close(slot) is not None
    organisation.deliver()
    with services.database.read() as connection:
        return night_rows.get_night(connection, slot).counts


def check_all(services: Services) -> None:
    """As the bells go: whose turn it is at each target, and who follows there."""
    work = [Work(Task.CHECK, one) for one in services.rotation.credential_checks.find_ready()]
    while work:
        work += [one for one in services.night.dispatch.do(work.pop(0)) if one.task is Task.CHECK]


def last(organisation: Organisation, name: str = TOKEN) -> LastCheck | None:
    item = organisation.item(name)
    with organisation.services.database.read() as connection:
        return check_rows.find(connection, item.id)


def outcome(organisation: Organisation, name: str = TOKEN) -> CheckOutcome | None:
    found = last(organisation, name)
    return None if found is None else found.outcome


def asked(service: ScriptedService) -> int:
    return service.calls("GET", "/v1/account")


def add_many(organisation: Organisation, number: int) -> list[str]:
    names = [f"prod-{index}-api-token" for index in range(number)]
    for index, name in enumerate(names):
        organisation.add_token(name, f"account-{index}", days=300)
    return names


@pytest.mark.both
def test_a_credential_that_was_taken_away_there_is_found_told_and_set_anew_by_one_command(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    organisation.add_workflow("ticket-sync", TOKEN)
    make_due(organisation)
    assert night(organisation)["checked"] == 1
    assert outcome(organisation) is CheckOutcome.ACCEPTED
    assert ("refused", TOKEN) not in organisation.findings()

    service.end_all("ticketing")
    clock.advance(WEEK)
    counted = night(organisation)
    assert (counted["checked"], counted["refused"]) == (1, 1)
    assert ("refused", TOKEN) in organisation.findings()
    ((owner, digest),) = [one for one in told(organisation, "digest") if TOKEN in one[1]]
    assert owner == "support"
    assert all(one in digest for one in (f"nightkey item rotate {TOKEN}", "ticket-sync", "refuses version 1"))
    assert any(TOKEN in one and "does not work any more" in one for one in what_is_wrong(organisation.services))

    before = asked(service)
    for _ in range(8):
        clock.advance(DAY)
        assert "checked" not in night(organisation)
    assert asked(service) == before, "a refused one is not tried night after night"
    assert ("refused", TOKEN) in organisation.findings()

    rotation_id = begin_by_hand(organisation, TOKEN)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    assert ("refused", TOKEN) not in organisation.findings()
    clock.advance(DAY)
    assert night(organisation)["refused"] == 0
    assert outcome(organisation) is CheckOutcome.ACCEPTED


@pytest.mark.both
def test_a_refused_one_that_was_mended_there_is_well_once_a_check_accepts_it(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    checks = organisation.services.rotation.credential_checks
    service.script = lambda incoming: REFUSED if incoming.path == "/v1/account" else None
    checked = checks.check_now(TOKEN, actor="user:ann")
    assert checked.answer.outcome is CheckOutcome.REFUSED
    assert asked(service) == 2, "what is refused once is asked once more, and no more often"
    assert checked.command == f"nightkey item rotate {TOKEN}"
    assert ("refused", TOKEN) in organisation.findings()
    service.script = lambda _: None
    assert checks.check_now(TOKEN, actor="user:ann").answer.outcome is CheckOutcome.ACCEPTED
    assert ("refused", TOKEN) not in organisation.findings()
    with organisation.services.database.read() as connection:
        rows = connection.execute(select(audit.c.actor).where(audit.c.action == "item.check")).scalars().all()
        opened = connection.execute(select(audit).where(audit.c.action == "version.reveal")).all()
    assert rows == ["user:ann", "user:ann"]
    assert {one.details["purpose"] for one in opened} == {"check"}


def test_a_check_that_takes_any_value_tells_nothing(staged: Staged) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    settings = organisation.item(TOKEN).policy.settings
    assert settings["verify_id"] == "token_id"
    service.script = lambda one: (
        Answer(status=200, body={"token_id": "tok_any"}) if one.path == "/v1/account" else None
    )
    checked = organisation.services.rotation.credential_checks.check_now(TOKEN, actor="test")
    assert checked.answer.outcome is CheckOutcome.CANNOT_TELL
    assert "takes a made-up value, too" in say(checked.answer.detail)


def test_an_outage_leaves_the_rest_of_its_target_to_another_night_and_is_waited_out(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    names = add_many(organisation, 3)
    make_due(organisation)
    service.script = lambda incoming: AWAY if incoming.path == "/v1/account" else None
    assert night(organisation)["checked"] == 1
    first = [name for name in names if outcome(organisation, name) is CheckOutcome.UNREACHABLE]
    assert len(first) == 1
    before = asked(service)
    check_all(organisation.services)
    assert asked(service) == before, "nothing is asked twice in a night"
    assert not [kind for kind, _ in organisation.findings() if kind == "refused"]

    clock.advance(DAY)
    assert night(organisation)["checked"] == 1, "still away: the next in line was told so"
    service.script = lambda _: None
    clock.advance(DAY)
    night(organisation)
    clock.advance(DAY)
    night(organisation)
    assert {outcome(organisation, name) for name in names} == {CheckOutcome.ACCEPTED}


def test_no_more_than_so_many_of_a_target_are_asked_in_a_night_and_who_waits_is_first(
    staged: Staged, clock: Any
) -> None:
    organisation, _ = staged
    names = add_many(organisation, 5)
    make_due(organisation)
    with reopen(organisation, check_target_cap=2):
        nights = []
        for _ in range(4):
            known = {name for name in names if outcome(organisation, name) is not None}
            night(organisation)
            nights.append({name for name in names if outcome(organisation, name) is not None} - known)
            clock.advance(DAY)
    assert [len(one) for one in nights] == [2, 2, 1, 0]


def test_a_credential_comes_again_in_the_right_night_and_not_before(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    checked = []
    for _ in range(15):
        clock.advance(timedelta(minutes=1))  # as long as a night takes to come to it
        checked.append(night(organisation).get("checked", 0))
        clock.advance(DAY - timedelta(minutes=1))
    assert checked == [1, *[0] * 6, 1, *[0] * 6, 1]


@pytest.mark.both
def test_one_is_asked_at_a_target_at_a_time_and_a_doubled_bell_asks_nothing(staged: Staged) -> None:
    organisation, service = staged
    names = add_many(organisation, 2)
    make_due(organisation)
    checks = organisation.services.rotation.credential_checks
    checks.choose(organisation.services.clock())
    (ready,) = checks.find_ready()
    (other,) = {organisation.item(name).id for name in names} - {ready}
    gate = service.gate("/v1/account", method="GET")
    following: list[Any] = []
    thread = threading.Thread(target=lambda: following.append(checks.run(ready)))
    thread.start()
    assert gate.reached.wait(PATIENCE)
    assert checks.find_ready() == []
    assert checks.run(ready) is None
    assert checks.run(other) is None
    with pytest.raises(ConflictError, match="others are checked or replaced at 127"):
        checks.check_now(other, actor="test")
    gate.open()
    thread.join(PATIENCE)
    assert following == [AtTarget(checks=(other,))]
    assert checks.run(ready) is None
    assert checks.run(other) == AtTarget()


@pytest.mark.both
def test_who_lost_its_turn_writes_nothing_and_the_check_is_made_again(staged: Staged) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    checks = organisation.services.rotation.credential_checks
    checks.choose(organisation.services.clock())
    (ready,) = checks.find_ready()
    gate = service.gate("/v1/account", method="GET")
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(checks.run(ready)))
    thread.start()
    assert gate.reached.wait(PATIENCE)
    let_leases_lapse(organisation.services)
    assert checks.run(ready) == AtTarget()
    assert outcome(organisation) is CheckOutcome.ACCEPTED
    gate.open()
    thread.join(PATIENCE)
    assert answers == [None]
    with organisation.services.database.read() as connection:
        assert len(connection.execute(select(audit).where(audit.c.action == "item.check")).all()) == 1


def test_what_kills_each_worker_that_asks_is_left_alone_in_the_end(staged: Staged) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    services = organisation.services
    services.rotation.credential_checks.choose(services.clock())
    (ready,) = services.rotation.credential_checks.find_ready()
    with services.database.write() as connection:
        connection.execute(update(credential_checks).values(begun=BEGUN_MAX))
    assert services.rotation.credential_checks.run(ready) == AtTarget()
    found = last(organisation)
    assert found is not None
    assert (found.outcome, "did not come back" in say(found.detail)) == (CheckOutcome.CANNOT_TELL, True)
    assert asked(service) == 0


def test_a_value_that_was_given_while_the_old_one_was_asked_is_not_taken_for_refused(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    service.end_all("ticketing")
    _, another = service.issue("ticketing", label="by hand")
    services = organisation.services

    def give(incoming: Incoming) -> Answer | None:
        if incoming.path == "/v1/account" and organisation.item(TOKEN).version == 1:
            change = ItemChange(expires_at=clock() + 90 * DAY)
            services.items.updates.update(TOKEN, change, value=Secret(another), actor="user:ann")
        return None

    service.script = give
    night(organisation)
    assert ("refused", TOKEN) not in organisation.findings()
    assert last(organisation) is None
    service.script = lambda _: None
    clock.advance(DAY)
    assert night(organisation)["checked"] == 1
    assert outcome(organisation) is CheckOutcome.ACCEPTED


def test_another_value_is_asked_of_in_the_next_night_and_the_finding_is_gone_at_once(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    service.end_all("ticketing")
    night(organisation)
    assert ("refused", TOKEN) in organisation.findings()
    _, another = service.issue("ticketing", label="by hand")
    change = ItemChange(expires_at=clock() + 90 * DAY)
    organisation.services.items.updates.update(TOKEN, change, value=Secret(another), actor="user:ann")
    assert ("refused", TOKEN) not in organisation.findings()
    clock.advance(DAY)
    assert night(organisation)["checked"] == 1
    assert outcome(organisation) is CheckOutcome.ACCEPTED


def test_a_refused_one_that_was_asked_of_again_in_vain_is_well_once_it_is_replaced(staged: Staged) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    checks = organisation.services.rotation.credential_checks
    service.end_all("ticketing")
    checks.check_now(TOKEN, actor="test")
    service.script = lambda incoming: AWAY if incoming.path == "/v1/account" else None
    assert checks.check_now(TOKEN, actor="test").answer.outcome is CheckOutcome.UNREACHABLE
    assert ("refused", TOKEN) in organisation.findings()
    service.script = lambda _: None
    begin_by_hand(organisation, TOKEN)
    organisation.drive()
    assert organisation.item(TOKEN).version == 2
    assert ("refused", TOKEN) not in organisation.findings()


def test_whom_nobody_can_ask_of_is_never_asked_and_says_so_by_hand(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_item(
        "prod-signing-secret", "a-value-of-ours-alone", days=300, mode="auto", rotator="random"
    )
    organisation.add_item("prod-portal-password", "somebody-types-it", days=300, mode="notify")
    make_due(organisation)
    assert "checked" not in night(organisation)
    checks = organisation.services.rotation.credential_checks
    for name, why in (("prod-signing-secret", "works here alone"), ("prod-portal-password", "no rotator")):
        answer = checks.check_now(name, actor="test").answer
        assert (answer.outcome, why in say(answer.detail)) == (CheckOutcome.CANNOT_TELL, True)


def test_what_is_being_replaced_lapsed_or_is_not_compared_is_left_alone(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    organisation.add_token("prod-lapsed-api-token", "lapsed", days=1)
    clock.advance(DAY)
    make_due(organisation)
    service.script = lambda one: AWAY if (one.method, one.path) == ("POST", "/v1/tokens") else None
    rotation_id = begin_by_hand(organisation, TOKEN)
    checks = organisation.services.rotation.credential_checks
    with pytest.raises(RefusedError, match="is being replaced, and tested by that"):
        checks.check_now(TOKEN, actor="test")
    make_due(organisation)
    checks.choose(organisation.services.clock())
    assert checks.find_ready() == []
    service.script = lambda _: None
    drive_on(organisation, clock, until=lambda: get_rotation(organisation, rotation_id).state is State.WATCHING)
    assert checks.check_now(TOKEN, actor="test").answer.outcome is CheckOutcome.ACCEPTED, (
        "the new one is current"
    )


def test_where_the_value_lets_its_own_rotator_in_a_person_replaces_it(staged: Staged) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    settings = json.loads(json.dumps(organisation.token_policy("ticketing")["settings"]).replace(ADMIN, TOKEN))
    organisation.services.items.updates.update(
        TOKEN, ItemChange(policy=PolicyChange(parts={"settings": settings})), actor="test"
    )
    service.end_all("ticketing")
    checked = organisation.services.rotation.credential_checks.check_now(TOKEN, actor="test")
    assert checked.answer.outcome is CheckOutcome.REFUSED
    assert checked.command == f"nightkey item update {TOKEN} --value-file PATH"


def test_a_row_that_somebody_edited_is_passed_over_and_written_anew_by_hand(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    service.end_all("ticketing")
    night(organisation)
    services = organisation.services
    with services.database.write() as connection:
        connection.exec_driver_sql("UPDATE credential_checks SET outcome = 'accepted'")
    assert last(organisation) is None
    assert services.upkeep.row_verification.check_all().wrong
    services.rotation.credential_checks.check_now(TOKEN, actor="test")
    assert outcome(organisation) is CheckOutcome.REFUSED
    assert not services.upkeep.row_verification.check_all().wrong


def test_a_night_does_not_end_before_its_checks_and_leaves_what_nobody_asks(staged: Staged, clock: Any) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    slot, nights = clock(), organisation.services.night.nights
    nights.begin(slot)
    assert nights.close(slot) is None
    clock.advance(timedelta(hours=7))
    assert nights.close(slot) is not None
    assert organisation.services.rotation.credential_checks.find_ready() == []
    assert night(organisation)["checked"] == 1


def test_nights_ask_nothing_where_that_is_switched_off(staged: Staged) -> None:
    organisation, service = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    with reopen(organisation, check_every_days=0):
        assert "checked" not in night(organisation)
    assert asked(service) == 0


def test_a_night_in_one_process_asks_too_and_says_how_many(staged: Staged) -> None:
    organisation, _ = staged
    add_many(organisation, 2)
    make_due(organisation)
    done = organisation.services.night.inline_night.run_night(lambda _: None)
    assert (done.counts["checked"], done.counts["refused"]) == (2, 0)


def test_a_check_whose_bell_was_lost_is_found_by_the_next_sweep(staged: Staged) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing", days=300)
    make_due(organisation)
    services = organisation.services
    services.night.nights.begin(services.clock())
    wanted = Work(Task.CHECK, organisation.item(TOKEN).id)
    assert wanted in services.night.resume_sweep.find_work()
    services.night.dispatch.do(wanted)
    assert wanted not in services.night.resume_sweep.find_work()
    assert outcome(organisation) is CheckOutcome.ACCEPTED
