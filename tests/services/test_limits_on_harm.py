"""How much a night may do, and when: windows, freezes, caps, the first of its target, the breaker."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from nightkey_demo.loopback import Answer, Incoming
from tests.faults.vault_copy import let_leases_lapse
from tests.organisation import Organisation
from tests.services.dues import find_due
from tests.services.staging import (
    TICK,
    TOKEN,
    Staged,
    begin_by_hand,
    drive_on,
    get_rotation,
    reopen,
    stage,
    step_to,
    told,
)
from tests.stepping import advance
from vaultcore import rules
from vaultcore.errors import RefusedError
from vaultcore.model import Item
from vaultcore.secret import Secret
from vaultcore.tables import items
from worker.domain.plan import PlannedAction
from worker.domain.policies import build_policy
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.domain.work import Task
from worker.rows.tables import sweeps
from worker.wording.reasons import say, say_each

pytestmark = pytest.mark.rules

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
OTHER = "prod-crm-api-token"
FREEZE, THAW = "0 0 1 3 * for 6d", datetime(2026, 3, 7, tzinfo=UTC)
IN_THE_FOLDER = ""
"""The address of a vault's own database, which is a file."""
MISTAKEN = Answer(status=400, body={"error": "the account is closed"})


# Windows


@pytest.mark.parametrize(
    ("night", "opens"),
    [
        pytest.param("2026-03-01T22:00", "2026-03-02T01:30", id="winter"),
        pytest.param("2026-06-01T22:00", "2026-06-02T00:30", id="summer"),
        pytest.param("2026-03-28T22:00", "2026-03-29T01:00", id="the time that is skipped"),
        pytest.param("2026-10-24T22:00", "2026-10-25T00:30", id="the time that comes twice"),
        pytest.param("2026-10-25T01:40", "2026-10-26T01:30", id="the second time is none"),
    ],
)
def test_a_due_item_waits_for_its_window_and_says_until_when(
    on_file: Staged, clock: Any, night: str, opens: str
) -> None:
    organisation, service = on_file
    clock.now = _utc(night)
    organisation.add_token(TOKEN, "ticketing", days=13, windows=["30 2 * * * for 30m in Europe/Berlin"])
    (rotation,) = organisation.night()
    assert (rotation.state, rotation.next_at) == (State.SCHEDULED, _utc(opens))
    assert f"begins {_utc(opens):%Y-%m-%d %H:%M} UTC" in say(rotation.reason)
    clock.now = _utc(opens) - TICK
    organisation.drive()
    assert get_rotation(organisation, rotation.id) == rotation
    assert service.calls("POST") == 0
    clock.now = _utc(opens)
    organisation.drive()
    assert get_rotation(organisation, rotation.id).state is State.WATCHING


def test_a_window_that_opens_later_than_the_next_night_leaves_the_item_to_a_later_one(
    on_file: Staged, clock: Any
) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=13, windows=["0 4 5 * * for 2h"])
    assert organisation.night() == []
    assert _decisions(organisation)[TOKEN] == (PlannedAction.WAIT, "its window opens 2026-03-05 04:00 UTC")
    clock.now = _utc("2026-03-04T06:00")
    (rotation,) = organisation.night()
    assert (rotation.state, rotation.next_at) == (State.SCHEDULED, _utc("2026-03-05T04:00"))


def test_a_window_that_closes_before_the_activation_keeps_the_old_value_until_the_next(
    on_file: Staged, clock: Any
) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=13, windows=["0 2 * * * for 1h"])
    slot = clock()
    (rotation_id,) = organisation.services.night.nights.begin(slot) or []
    step_to(organisation, clock, rotation_id, State.WORKFLOW_TESTED)
    clock.advance(HOUR)
    organisation.drive()
    held = get_rotation(organisation, rotation_id)
    assert held.state is State.WORKFLOW_TESTED
    assert say_each(held.waits_for) == ["a moment in which changes may be made, from 2026-03-02 02:00 UTC"]
    assert organisation.stages(TOKEN) == ["current", "pending"]
    assert organisation.services.night.nights.close(slot) == "good"
    clock.now = _utc("2026-03-02T02:00")
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING


@pytest.mark.parametrize(
    ("freezes", "opens"),
    [((), "2026-03-02T02:00"), (("0 0 2 3 * for 1d12h",), "2026-03-04T02:00")],
)
def test_the_old_value_goes_in_a_moment_in_which_changes_may_be_made(
    staged: Staged, clock: Any, freezes: tuple[str, ...], opens: str
) -> None:
    organisation, service = staged
    window = {"windows": ["0 2 * * * for 1h"], "overlap": "12h"}
    old = organisation.add_token(TOKEN, "ticketing", days=13, **window)
    organisation.night()
    with reopen(organisation, freezes=freezes):
        clock.advance(12 * HOUR)
        organisation.drive()
        (rotation,) = organisation.rotations()
        assert rotation.state is State.WATCHING
        until = f"{_utc(opens):%Y-%m-%d %H:%M} UTC"
        assert say_each(rotation.waits_for) == [f"a moment in which changes may be made, from {until}"]
        clock.now = _utc(opens) - TICK
        organisation.drive()
        assert service.calls("DELETE") == 0
        assert service.is_live(old)
        clock.now = _utc(opens)
        organisation.drive()
        assert get_rotation(organisation, rotation.id).state is State.DONE
        assert not service.is_live(old)


# Expiry against windows


@pytest.mark.parametrize(("days", "begins"), [(5, "2026-03-04T02:00"), (1.5, "2026-03-01T02:00")])
def test_expiry_comes_first_where_the_value_would_lapse_before_its_window_opens(
    on_file: Staged, clock: Any, days: float, begins: str
) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=days, windows=["0 2 10 * * for 4h"])
    lapses = clock() + timedelta(days=days)
    while not (opened := organisation.night()):
        clock.advance(DAY)
    (rotation,) = opened
    assert clock() >= _utc(begins) - DAY
    if rotation.state is State.SCHEDULED:
        assert rotation.next_at == _utc(begins)
        clock.now = _utc(begins)
        organisation.drive()
    rotation = get_rotation(organisation, rotation.id)
    assert (rotation.state, rotation.activated_at) == (State.WATCHING, _utc(begins))
    assert clock() < lapses
    clock.advance(2 * DAY)
    organisation.drive()  # with a new value there is time again: the old one goes in the window
    assert say_each(get_rotation(organisation, rotation.id).waits_for) == [
        "a moment in which changes may be made, from 2026-03-10 02:00 UTC"
    ]


def test_where_the_policy_says_that_windows_come_first_the_value_lapses_and_its_owner_hears_of_it(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    window = {"windows": ["0 2 10 * * for 4h"], "expiry_first": False}
    organisation.add_token(TOKEN, "ticketing", days=5, **window)
    while clock() < _utc("2026-03-10T02:00"):
        assert organisation.night() == []
        clock.advance(DAY)
    assert service.calls("POST") == 0
    assert ("lapsed", TOKEN) in organisation.findings()
    first, *_ = reversed(told(organisation, "digest"))
    assert first[0] == "support"
    assert "its window opens too late, 2026-03-10 02:00 UTC: it lapses first" in first[1]
    (rotation,) = organisation.night()
    assert rotation.state is State.WATCHING


# Freezes


@pytest.mark.parametrize("whose", ["installation", "item"])
def test_in_a_freeze_nothing_is_replaced_and_its_end_is_said(tmp_path: Path, clock: Any, whose: str) -> None:
    settings = {"freezes": (FREEZE,)} if whose == "installation" else {}
    with stage(tmp_path, IN_THE_FOLDER, clock, **settings) as (organisation, service):
        organisation.add_token(TOKEN, "ticketing", days=13, **_item_freeze(whose))
        organisation.add_token(OTHER, "crm", days=13)
        rotated = [rotation.item for rotation in organisation.night()]
        assert rotated == ([] if whose == "installation" else [OTHER])
        assert _decisions(organisation)[TOKEN] == (PlannedAction.WAIT, "its window opens 2026-03-07 00:00 UTC")
        clock.now = THAW - DAY
        opened = organisation.night()
        assert {rotation.item for rotation in opened} == {TOKEN, OTHER} - set(rotated)
        assert {(rotation.state, rotation.next_at) for rotation in opened} == {(State.SCHEDULED, THAW)}
        posted = service.calls("POST")
        clock.now = THAW - TICK
        organisation.drive()
        assert service.calls("POST") == posted
        clock.now = THAW
        organisation.drive()
        assert {rotation.state for rotation in organisation.rotations()} <= {State.WATCHING, State.DONE}
        assert service.calls("POST") == 2


def test_a_freeze_that_was_set_after_the_night_holds_what_it_planned(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", days=13, windows=["0 4 * * * for 2h"])
    (rotation,) = organisation.night()
    with reopen(organisation, freezes=("0 0 1 3 * for 3d",)):
        clock.now = _utc("2026-03-01T04:00")
        organisation.drive()
        held = get_rotation(organisation, rotation.id)
        assert (held.state, held.next_at) == (State.SCHEDULED, _utc("2026-03-04T04:00"))
        assert say_each(held.waits_for) == ["a moment in which changes may be made, from 2026-03-04 04:00 UTC"]
        assert service.calls("POST") == 0


# By hand


def test_by_hand_windows_do_not_hold(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    old = organisation.add_token(TOKEN, "ticketing", days=200, windows=["0 2 10 * * for 4h"])
    rotation_id = begin_by_hand(organisation, TOKEN)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.WATCHING
    clock.advance(DAY)
    organisation.drive()
    assert get_rotation(organisation, rotation_id).state is State.DONE
    assert not service.is_live(old)
    assert clock() < _utc("2026-03-10T02:00")


def test_what_the_night_planned_for_later_begins_by_hand_now(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=13, windows=["0 4 * * * for 2h"])
    (planned,) = organisation.night()
    assert planned.state is State.SCHEDULED
    assert begin_by_hand(organisation, TOKEN) == planned.id
    organisation.drive()
    assert get_rotation(organisation, planned.id).state is State.WATCHING
    clock.advance(DAY)  # outside its window, which holds for it no longer
    organisation.drive()
    assert get_rotation(organisation, planned.id).state is State.DONE


@pytest.mark.parametrize("whose", ["installation", "item"])
def test_by_hand_a_freeze_holds_unless_it_is_said_otherwise(tmp_path: Path, clock: Any, whose: str) -> None:
    settings = {"freezes": (FREEZE,)} if whose == "installation" else {}
    with stage(tmp_path, IN_THE_FOLDER, clock, **settings) as (organisation, service):
        old = organisation.add_token(TOKEN, "ticketing", days=200, **_item_freeze(whose))
        with pytest.raises(RefusedError, match=r"until 2026-03-07 00:00 UTC \(freeze\).* --in-freeze$"):
            begin_by_hand(organisation, TOKEN)
        assert organisation.rotations() == []
        opened = organisation.services.rotation.opening.request(TOKEN, asked_by="test", in_freeze=True)
        organisation.drive()
        clock.advance(DAY)
        organisation.drive()
        assert get_rotation(organisation, opened.id).state is State.DONE
        assert not service.is_live(old)
        assert clock() < THAW


# Caps


def test_the_most_urgent_are_taken_tonight_and_the_rest_the_nights_after(tmp_path: Path, clock: Any) -> None:
    with stage(tmp_path, IN_THE_FOLDER, clock, night_cap=2) as (organisation, _):
        for days in (10, 8, 12, 9, 11):
            _add_secret(organisation, f"prod-crm-{days}", days=days)
        for expected in ({8, 9}, {10, 11}, {12}):
            assert {rotation.item for rotation in organisation.night()} == {f"prod-crm-{n}" for n in expected}
            clock.advance(DAY)
        assert organisation.night() == []


def test_the_first_to_expire_have_their_turn_however_early_others_fell_due(tmp_path: Path, clock: Any) -> None:
    with stage(tmp_path, IN_THE_FOLDER, clock, night_cap=1) as (organisation, _):
        _add_secret(organisation, "prod-crm-early", days=50, lead="60d", lifetime="200d")
        _add_secret(organisation, "prod-crm-late", days=4, lead="5d", lifetime="200d")
        assert [rotation.item for rotation in organisation.night()] == ["prod-crm-late"]


def test_what_a_full_night_leaves_says_so_and_what_would_lapse_is_taken_all_the_same(
    tmp_path: Path, clock: Any
) -> None:
    with stage(tmp_path, IN_THE_FOLDER, clock, night_cap=1) as (organisation, _):
        for name, days in (("prod-crm-a", 1.2), ("prod-crm-b", 1.8), ("prod-crm-c", 8)):
            _add_secret(organisation, name, days=days)
        wait = (PlannedAction.WAIT, "tonight's 1 rotation is taken: another night")
        assert _decisions(organisation)["prod-crm-c"] == wait
        assert {rotation.item for rotation in organisation.night()} == {"prod-crm-a", "prod-crm-b"}


def test_of_one_target_only_so_many_are_taken_in_a_night(tmp_path: Path, clock: Any) -> None:
    with stage(tmp_path, IN_THE_FOLDER, clock, target_cap=1) as (organisation, _):
        for name, days, target in (
            ("prod-crm-b", 9, "crm"),
            ("prod-crm-a", 8, "crm"),
            ("prod-billing-a", 10, "billing"),
            ("prod-site-a", 11, None),
            ("prod-site-b", 12, None),
        ):
            _add_secret(organisation, name, days=days, target=target)
        says = "tonight's 1 rotation at crm is taken: another night"
        assert _decisions(organisation)["prod-crm-b"] == (PlannedAction.WAIT, says)
        taken = {rotation.item for rotation in organisation.night()}
        assert taken == {"prod-crm-a", "prod-billing-a", "prod-site-a", "prod-site-b"}
        clock.advance(DAY)
        assert [rotation.item for rotation in organisation.night()] == ["prod-crm-b"]


@pytest.mark.both
@pytest.mark.parametrize(("cap", "target"), [("night_cap", None), ("target_cap", "crm")])
def test_a_night_whose_scan_was_cut_off_and_done_again_takes_nothing_beyond_its_caps(
    tmp_path: Path, database_url: str, clock: Any, cap: str, target: str | None
) -> None:
    with stage(tmp_path, database_url, clock, **{cap: 2}) as (organisation, _):
        for days in (8, 9, 10, 11):
            _add_secret(organisation, f"prod-crm-{days}", days=days, target=target)
        slot, nights = clock(), organisation.services.night.nights
        assert len(nights.begin(slot) or []) == 2
        with organisation.services.database.write() as connection:
            connection.execute(update(sweeps).values(scanned_at=None))
        let_leases_lapse(organisation.services)
        assert nights.begin(slot) == []
        assert {rotation.item for rotation in organisation.rotations()} == {"prod-crm-8", "prod-crm-9"}


# The first of its target


def test_the_others_of_a_target_start_when_the_first_has_succeeded(staged: Staged, clock: Any) -> None:
    organisation, service = staged
    first, *others = _begin_three(organisation, clock)
    advance(organisation.services, first.id)
    for other in others:
        advance(organisation.services, other.id)
        queued = get_rotation(organisation, other.id)
        assert queued.state is State.QUEUED
        assert say_each(queued.waits_for) == [f"{first.item}, the first at its target system in this night"]
    step_to(organisation, clock, first.id, State.ACTIVATED)
    organisation.drive()  # all that is due, without the clock being turned: they are woken
    assert {rotation.state for rotation in organisation.rotations()} == {State.WATCHING}
    assert service.calls("POST") == 3


def test_where_the_first_fails_the_next_is_the_first_and_another_target_does_not_wait(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    first, second, third = _begin_three(organisation, clock, also=(OTHER, "crm"))
    seen: dict[str, dict[str, State]] = {}

    def refuse_the_first(incoming: Incoming) -> Answer | None:
        if incoming.method != "POST":
            return None
        account = json.loads(incoming.body)["account"]
        seen[account] = {one.item: one.state for one in organisation.rotations()}
        return MISTAKEN if account == _account(first) else None

    service.script = refuse_the_first
    advance(organisation.services, first.id)
    (another,) = [one for one in organisation.rotations() if one.item == OTHER]
    organisation.services.rotation.rotations.drive(another.id)
    assert get_rotation(organisation, another.id).state is State.WATCHING  # it waited for none of them
    drive_on(organisation, clock)
    states = {one.item: one.state for one in organisation.rotations()}
    assert states == {
        first.item: State.ROLLED_BACK,
        second.item: State.WATCHING,
        third.item: State.WATCHING,
        OTHER: State.WATCHING,
    }
    assert [account for account in seen if account != "crm"] == [
        _account(each) for each in (first, second, third)
    ]
    assert seen[_account(second)][first.item] is State.ROLLED_BACK
    assert seen[_account(second)][third.item] is State.QUEUED
    assert seen[_account(third)][second.item] is State.WATCHING


def test_while_the_first_waits_for_the_other_side_the_night_ends_and_the_others_start_after_it(
    staged: Staged, clock: Any
) -> None:
    organisation, service = staged
    slot = clock()
    first, *others = _begin_three(organisation, clock)
    service.fail_next("/v1/tokens", times=1000, method="POST")
    drive_on(organisation, clock, until=lambda: organisation.services.night.nights.close(slot) is not None)
    assert {get_rotation(organisation, other.id).state for other in others} == {State.SCHEDULED}
    tries = get_rotation(organisation, first.id).outages
    assert tries >= 3
    assert service.calls("POST") == tries
    assert told(organisation, "night-failed")
    service._failures.clear()
    drive_on(
        organisation,
        clock,
        until=lambda: {one.state for one in organisation.rotations()} == {State.WATCHING},
    )
    assert service.calls("POST") == tries + 3


# The breaker


@pytest.mark.both
def test_a_night_in_which_too_many_fail_is_stopped_and_the_others_are_left_untouched(
    tmp_path: Path, database_url: str, clock: Any
) -> None:
    with stage(tmp_path, database_url, clock, breaker_failures=2) as (organisation, service):
        tokens = {
            f"prod-{account}-api-token": organisation.add_token(f"prod-{account}-api-token", account)
            for account in ("one", "two", "three", "four", "five")
        }
        organisation.add_token(OTHER, "crm", target="crm")
        slot = clock()
        organisation.services.night.nights.begin(slot)
        begun = next(rotation for rotation in organisation.rotations() if rotation.item == OTHER)
        step_to(organisation, clock, begun.id, State.NODE_TESTED)
        asked: list[str] = []

        def fail(incoming: Incoming) -> Answer | None:
            if incoming.method != "POST":
                return None
            asked.append(json.loads(incoming.body)["account"])
            return MISTAKEN

        service.script = fail
        drive_on(organisation, clock)
        by_state = _by_state(organisation)
        assert {state: len(found) for state, found in by_state.items()} == {
            State.ROLLED_BACK: 2,
            State.CANCELLED: 3,
            State.WATCHING: 1,  # what had begun is not cut off
        }
        assert by_state[State.WATCHING] == {OTHER}
        assert {f"prod-{account}-api-token" for account in asked} == by_state[State.ROLLED_BACK]
        assert len(asked) == 2
        stopped = by_state[State.CANCELLED]
        assert all(organisation.stages(name) == ["current"] for name in stopped)
        assert all(service.is_live(token) for token in tokens.values())
        ((owner, body),) = told(organisation, "night-stopped")
        assert owner == "operators"
        assert all(name in body for name in by_state[State.ROLLED_BACK])
        assert not any(name in body for name in stopped)
        assert organisation.services.night.nights.close(slot) == "failed"
        ((_, failed),) = told(organisation, "night-failed")
        assert all(f"{name} was not begun: {say(Reason.of(Code.NIGHT_STOPPED))}" in failed for name in stopped)

        service.script = lambda _: None
        clock.advance(DAY)
        assert {rotation.item for rotation in organisation.night()} == set(tokens)
        assert len(told(organisation, "night-stopped")) == 1
        assert _by_state(organisation)[State.WATCHING] >= set(tokens)


def test_as_many_failures_among_many_more_successes_stop_no_night(tmp_path: Path, clock: Any) -> None:
    settings = {"breaker_failures": 2, "breaker_share": 0.5}
    with stage(tmp_path, IN_THE_FOLDER, clock, **settings) as (organisation, service):
        accounts = [f"site{number}" for number in range(6)]
        for account in accounts:
            organisation.add_token(f"prod-{account}-api-token", account)
        organisation.services.night.nights.begin(clock())
        failing = {_account(each) for each in sorted(organisation.rotations(), key=lambda one: one.id)[4:]}
        service.script = lambda incoming: (
            MISTAKEN if incoming.method == "POST" and json.loads(incoming.body)["account"] in failing else None
        )
        drive_on(organisation, clock)
        by_state = _by_state(organisation)
        assert {state: len(found) for state, found in by_state.items()} == {
            State.ROLLED_BACK: 2,
            State.WATCHING: 4,
        }
        assert told(organisation, "night-stopped") == []


# Spread


def test_hundreds_of_items_of_one_minute_fall_due_apart_and_at_the_same_times_after_a_restart(
    on_file: Staged, clock: Any
) -> None:
    organisation, _ = on_file
    policy = build_policy(
        None, {"mode": "auto", "rotator": "random", "lifetime": "90d", "lead": "14d", "spread": "4d"}
    )
    made: dict[str, datetime] = {}
    with organisation.services.database.write() as connection:
        for number in range(300):
            clock.advance(timedelta(milliseconds=200))
            created = organisation.services.vault.create(
                connection, name=f"prod-site{number}-password", value=Secret(f"a-value-{number}"), owner_ids=(),
                policy=policy, actor="test",
            )  # fmt: skip
            made[created.item.id] = created.item.expires_at or clock()
    due = _due_times(organisation)
    assert due.keys() == made.keys()
    earlier = {item_id: made[item_id] - 14 * DAY - due[item_id] for item_id in due}
    assert min(earlier.values()) >= timedelta(0)
    assert max(earlier.values()) <= 4 * DAY
    assert len(set(due.values())) == 300
    assert max(due.values()) - min(due.values()) > 3 * DAY
    with reopen(organisation, night_cap=7, time_zone="Europe/Berlin"):
        assert _due_times(organisation) == due
        assert {
            item_id: rules.due_at(policy, expires_at, item_id=item_id) for item_id, expires_at in made.items()
        } == due


# What rotates nothing


def test_enrolling_an_item_and_starting_again_rotate_nothing(on_file: Staged, clock: Any) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", days=300, lifetime="365d")
    organisation.add_workflow("ticket-sync", TOKEN)
    before = organisation.item(TOKEN)
    assert organisation.night() == []
    for settings in ({}, {"night_at": "0 5 * * *", "retry_seconds": 1}, {"candidates": 1, "night_cap": 1}):
        with reopen(organisation, **settings) as services:
            clock.advance(HOUR)
            assert organisation.night() == []
            assert find_due(services, Task.ROTATE) == []
    assert organisation.rotations() == []
    assert organisation.item(TOKEN) == before
    assert service.calls("POST") == 0


def test_policy_fields_that_say_nothing_of_when_change_nothing_of_when(on_file: Staged, clock: Any) -> None:
    organisation, _ = on_file
    organisation.add_token(TOKEN, "ticketing", days=20)
    before = after = organisation.item(TOKEN)
    for change in (
        {"overlap": "2d"},
        {"thresholds": [60, 30, 1]},
        {"windows": ["0 2 * * * for 1h"]},
        {"freezes": ["0 0 24 12 * for 8d"]},
        {"expiry_first": False},
        {"propagation": "45s"},
        {"idle_after": "10d"},
        {"approval": "3d"},
        {"four_eyes": True},
        {"canary": "ticket-sync"},
        {"target": "ticketing"},
    ):
        kept, after = after.policy, _change_policy(organisation, after, change)
        assert after.policy != kept, change
        assert (after.due_at, after.expires_at, after.version) == (before.due_at, before.expires_at, 1), change
        clock.advance(timedelta(minutes=1))
        assert organisation.night() == [], change
    assert before.due_at is not None
    clock.now = before.due_at - TICK
    assert organisation.night() == []


# After a failure


@pytest.mark.parametrize("filled", [False, True])
def test_a_pending_version_that_was_left_behind_does_not_block_the_next_try(
    staged: Staged, filled: bool
) -> None:
    organisation, _ = staged
    organisation.add_token(TOKEN, "ticketing")
    services, item = organisation.services, organisation.item(TOKEN)
    with services.database.write() as connection:
        number = services.versions.begin_pending(connection, item.id, actor="test")
        if filled:
            services.versions.fill_pending(
                connection, item.id, number, Secret("nobody's"), expires_at=None, external={}, actor="test"
            )
    assert organisation.stages(TOKEN) == ["current", "pending"]
    (rotation,) = organisation.night()
    assert (rotation.state, rotation.new_number) == (State.WATCHING, 3)
    assert organisation.stages(TOKEN) == ["previous", "destroyed", "current"]


def test_the_next_try_waits_longer_after_each_failure_and_shortly_again_after_a_success(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", days=60, lifetime="90d", lead="80d", spread="0s")
    service.script = lambda incoming: MISTAKEN if incoming.method == "POST" else None
    for hours in (20, 40, 80, 160, 168):
        (rotation,) = organisation.night()
        assert rotation.state is State.ROLLED_BACK
        held = organisation.item(TOKEN).hold_until
        assert held == clock() + timedelta(hours=hours)
        clock.now = held - TICK
        assert organisation.night() == []
        says = f"its rotation failed, next try after {held:%Y-%m-%d %H:%M} UTC"
        assert _decisions(organisation)[TOKEN] == (PlannedAction.HOLD, says)
        clock.now = held
    service.script = lambda _: None
    (rotation,) = organisation.night()
    assert rotation.state is State.WATCHING
    clock.advance(DAY)
    organisation.drive()
    assert get_rotation(organisation, rotation.id).state is State.DONE
    assert organisation.item(TOKEN).hold_until is None
    service.script = lambda incoming: MISTAKEN if incoming.method == "POST" else None
    clock.advance(20 * DAY)
    (rotation,) = organisation.night()
    assert rotation.state is State.ROLLED_BACK
    assert organisation.item(TOKEN).hold_until == clock() + timedelta(hours=20)


def test_a_failed_item_is_tried_again_in_half_of_the_time_it_has_left_at_most(
    on_file: Staged, clock: Any
) -> None:
    organisation, service = on_file
    organisation.add_token(TOKEN, "ticketing", days=1)
    service.script = lambda incoming: MISTAKEN if incoming.method == "POST" else None
    organisation.night()
    assert organisation.item(TOKEN).hold_until == clock() + 12 * HOUR


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _item_freeze(whose: str) -> dict[str, Any]:
    return {"freezes": [FREEZE]} if whose == "item" else {}


def _add_secret(organisation: Organisation, name: str, *, days: float, **policy: Any) -> None:
    """One that is drawn here: nobody is asked for it. Due as early as it can be."""
    given = {"mode": "auto", "rotator": "random", "lifetime": "90d", "lead": "14d", "spread": "0s"}
    organisation.add_item(name, f"a-value-of-{name}", days=days, **(given | {"overlap": "1d"} | policy))


def _begin_three(
    organisation: Organisation, clock: Any, *, also: tuple[str, str] | None = None
) -> list[Rotation]:
    """Three rotations of one target, queued, in their order; and that of another one."""
    for account in ("one", "two", "three"):
        organisation.add_token(f"prod-{account}-api-token", account)
    if also is not None:
        organisation.add_token(*also, target=also[1])
    organisation.services.night.nights.begin(clock())
    opened = sorted(organisation.rotations(), key=lambda one: one.id)
    assert {one.state for one in opened} == {State.QUEUED}
    return [one for one in opened if one.item != OTHER]


def _account(rotation: Rotation) -> str:
    return rotation.item.split("-")[1]


def _by_state(organisation: Organisation) -> dict[State, set[str]]:
    found: dict[State, set[str]] = {}
    for one in organisation.rotations():
        found.setdefault(one.state, set()).add(one.item)
    return found


def _decisions(organisation: Organisation) -> dict[str, tuple[PlannedAction, str]]:
    """What a night would do now, by item, and what it says of it."""
    due = organisation.services.night.nights.preview(organisation.services.clock()).due
    return {
        seen.name: (seen.decision.action, say(seen.decision.why)) for seen in due if seen.decision is not None
    }


def _due_times(organisation: Organisation) -> dict[str, datetime]:
    with organisation.services.database.read() as connection:
        return {row.id: row.due_at for row in connection.execute(select(items.c.id, items.c.due_at))}


def _change_policy(organisation: Organisation, item: Item, change: dict[str, Any]) -> Item:
    services = organisation.services
    with services.database.write() as connection:
        return services.vault.update(
            connection, item.id, policy=build_policy(item.policy, change), actor="test"
        )
