"""What may pass is tried again, what cannot is not; tries, last error and next try stand on the rotation."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Nightkey
from tests.faults.vault_copy import let_leases_lapse
from tests.organisation import Organisation
from tests.services.staging import (
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    step_to,
    turn_to_next,
)
from tests.stepping import advance
from worker.domain.saga import State
from worker.rows import rotation_leases as lease_rows
from worker.wording.reasons import say, say_each

CUT_OFF_LIMIT = 10


@pytest.mark.parametrize("status", [408, 500, 502, 504, 599])
def test_an_answer_that_may_be_another_one_later_is_asked_for_again(
    on_file: Staged, clock: Any, status: int
) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    service.fail_next("/v1/tokens", status=status, method="POST")
    organisation.drive()
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.last_cause) == (State.PLANNED, "outage")
    assert service.calls("POST") == 1
    turn_to_next(organisation, clock)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    assert service.calls("POST") == 2


@pytest.mark.parametrize(
    ("status", "cause"),
    [(403, "rejected"), (407, "rejected"), (404, "mistake"), (410, "mistake"), (422, "mistake")],
)
def test_an_answer_that_stays_the_same_is_not_asked_for_again(on_file: Staged, status: int, cause: str) -> None:
    organisation, service = on_file
    old = organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    service.fail_next("/v1/tokens", status=status, method="POST", times=1000)
    organisation.drive()  # to its end, without the clock being turned
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.last_cause) == (State.ROLLED_BACK, cause)
    assert service.calls("POST") == 1
    assert service.is_live(old)


def test_tries_their_last_error_and_the_next_one_stand_on_the_rotation_and_are_shown(
    on_file: Staged, clock: Any, tmp_path: Path
) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    began = clock()
    for number, status in enumerate((503, 429, 502), start=1):
        turn_to_next(organisation, clock)
        service.fail_next("/v1/account", status=status)
        advance(organisation.services, rotation_id)
        rotation = get_rotation(organisation, rotation_id)
        assert (rotation.attempts, rotation.outages) == (number, number)
        assert say(rotation.last_error) == f"verify: the service answered {status}"
        assert rotation.failing_since == began
        assert rotation.next_at is not None
        assert rotation.next_at > clock()

    nightkey = Nightkey(tmp_path)
    shown = nightkey.json("rotation", "show", rotation_id)
    assert (shown["state"], shown["attempts"], shown["cause"]) == ("installed", 3, "outage")
    assert shown["error"] == "verify: the service answered 502"
    assert shown["waits_for"] == ["the other side to come back: verify: the service answered 502"]
    assert _utc(shown["failing_since"]) == f"{began:%Y-%m-%dT%H:%M:%S}"
    assert _utc(shown["next_at"]) == f"{rotation.next_at:%Y-%m-%dT%H:%M:%S}"
    tries = [one for one in shown["steps"] if one["step"] == "verify"]
    assert [(one["result"], one["cause"], one["message"]) for one in tries] == [
        ("retry", "outage", f"verify: the service answered {status}") for status in (503, 429, 502)
    ]
    assert f"nightkey rotation retry {rotation_id}" in [one["command"] for one in shown["choices"]]
    text = nightkey("rotation", "show", rotation_id).stdout
    assert (
        f"try 3 failed, failing since {began:%Y-%m-%d %H:%M} UTC; "
        f"next try {rotation.next_at:%Y-%m-%d %H:%M} UTC"
    ) in text
    (listed,) = nightkey.json("rotation", "list")
    assert (listed["error"], listed["next_at"]) == (shown["error"], shown["next_at"])


def test_a_step_that_succeeds_leaves_nothing_of_its_failures_to_the_next(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    organisation.add_workflow("ticket-sync", TOKEN)
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    service.fail_next("/v1/account", times=4)
    rotation = step_to(organisation, clock, rotation_id, State.ACCEPTED)
    assert (rotation.attempts, rotation.outages, rotation.failing_since) == (0, 0, None)
    assert (rotation.last_cause, rotation.last_error, rotation.waits_for) == (None, None, [])
    old, good_in_a_row, made_up = 2, 3, 1
    assert service.calls("GET", "/v1/account") == old + 4 + good_in_a_row + made_up
    service.fail_next("/v1/account")
    organisation.drive()
    assert rotation.state is State.ACCEPTED
    again = get_rotation(organisation, rotation_id)
    assert (again.attempts, again.outages, again.failing_since) == (1, 1, clock())
    assert again.next_at is not None
    assert again.next_at - clock() <= timedelta(seconds=10)  # the first pause, not the fifth


def test_a_person_has_a_step_tried_again_before_its_time_and_its_pauses_begin_anew(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    step_to(organisation, clock, rotation_id, State.INSTALLED)
    service.fail_next("/v1/account", times=5)
    for _ in range(4):
        organisation.drive()
        turn_to_next(organisation, clock)
    organisation.drive()
    waiting = get_rotation(organisation, rotation_id)
    assert waiting.outages == 5
    assert advance(organisation.services, rotation_id) is None
    service.fail_next("/v1/account")
    organisation.services.rotation.decisions.retry(rotation_id, actor="test")
    organisation.drive()
    again = get_rotation(organisation, rotation_id)
    assert (again.state, again.outages, say_each(again.waits_for)) == (State.INSTALLED, 1, [])
    assert waiting.next_at is not None
    assert again.next_at is not None
    assert again.next_at < waiting.next_at
    drive_on(organisation, clock)
    assert get_rotation(organisation, rotation_id).state is State.WATCHING


def test_a_step_that_keeps_ending_its_worker_is_not_tried_for_ever(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    old = organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    for _ in range(CUT_OFF_LIMIT + 1):
        _lease_and_die(organisation, rotation_id)
    organisation.drive()
    rotation = get_rotation(organisation, rotation_id)
    assert (rotation.state, rotation.last_cause) == (State.ROLLED_BACK, "mistake")
    assert say(rotation.last_error) == "its step was cut off 11 times: see the worker's log"
    assert service.calls("POST") == 0
    assert service.is_live(old)


def test_workers_that_end_in_the_middle_and_outages_are_counted_apart(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing")
    rotation_id = begin_by_hand(organisation, TOKEN)
    service.fail_next("/v1/tokens", times=6, method="POST")
    for _ in range(6):
        organisation.drive()
        turn_to_next(organisation, clock)
    assert get_rotation(organisation, rotation_id).outages == 6
    for _ in range(CUT_OFF_LIMIT):
        _lease_and_die(organisation, rotation_id)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    assert service.calls("POST") == 7


def _lease_and_die(organisation: Organisation, rotation_id: str) -> None:
    """A worker takes the rotation, and is never seen again."""
    services = organisation.services
    with services.database.write() as connection:
        leased = lease_rows.lease_rotation(
            connection, rotation_id, now=services.clock(), lease=services.settings.lease, at_once=1
        )
    assert leased is not None
    let_leases_lapse(services)


def _utc(shown: str) -> str:
    """To the second, as it is shown in JSON."""
    return shown[:19].replace(" ", "T")
