"""A rotation as a table of states, and what the retirement of an old value waits for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaultcore.errors import Cause
from vaultcore.model import Consumer, Reference
from worker.domain.saga import (
    FINISHED,
    MOVING,
    Failure,
    Limits,
    State,
    Step,
    after_failure,
    after_success,
    after_waiting,
    next_step,
    retirement_waits,
)

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
LIMITS = Limits(attempts=3, pause=timedelta(seconds=10))
OUTAGE = Failure(cause=Cause.OUTAGE, message="connect timed out")
REJECTED = Failure(cause=Cause.REJECTED, message="401")
MISTAKE = Failure(cause=Cause.MISTAKE, message="no such setting")

ON_THE_WAY = [
    (State.PLANNED, Step.CREATE, State.CREATED),
    (State.CREATED, Step.INSTALL, State.INSTALLED),
    (State.INSTALLED, Step.TEST_NODES, State.NODE_TESTED),
    (State.NODE_TESTED, Step.TEST_WORKFLOWS, State.WORKFLOW_TESTED),
    (State.WORKFLOW_TESTED, Step.ACTIVATE, State.ACTIVATED),
]


# The table


@pytest.mark.parametrize(
    ("state", "step", "reached"),
    [
        *ON_THE_WAY,
        (State.ACTIVATED, Step.WATCH, State.WATCHING),
        (State.WATCHING, Step.WATCH, State.WATCHING),
        (State.UNDOING, Step.UNDO, State.ROLLED_BACK),
    ],
)
def test_each_state_has_its_step_and_each_step_its_state(state, step, reached):
    assert next_step(state) is step
    assert after_success(step, NOW).state is reached


def test_retirement_ends_it():
    assert after_success(Step.RETIRE, NOW).state is State.DONE


@pytest.mark.parametrize("state", [State.DONE, State.ROLLED_BACK, State.CANCELLED, State.STUCK])
def test_nothing_follows_an_end_or_a_person(state):
    assert next_step(state) is None
    assert state not in MOVING


def test_a_stuck_rotation_is_not_finished():
    assert State.STUCK not in FINISHED


def test_every_state_moves_rests_or_is_finished():
    assert set(State) == MOVING | FINISHED | {State.WATCHING, State.STUCK}
    assert not MOVING & FINISHED
    assert all(next_step(state) is not None for state in MOVING)


@pytest.mark.parametrize("step", Step)
def test_success_forgets_the_tries_and_goes_on_at_once_unless_it_is_the_end(step):
    transition = after_success(step, NOW)

    assert transition.attempts == 0
    assert transition.next_at == (None if transition.state in FINISHED else NOW)


# Failures


@pytest.mark.parametrize(("attempts", "pause"), [(1, 10), (2, 20)])
@pytest.mark.parametrize(("state", "step", "_"), [*ON_THE_WAY, (State.UNDOING, Step.UNDO, None)])
def test_an_outage_is_waited_out_with_a_pause_that_doubles(state, step, _, attempts, pause):
    transition = after_failure(step, state, OUTAGE, attempts=attempts, limits=LIMITS, now=NOW)

    assert transition.state is state
    assert transition.attempts == attempts
    assert transition.next_at == NOW + timedelta(seconds=pause)


@pytest.mark.parametrize(
    ("failure", "attempts"), [(OUTAGE, 3), (OUTAGE, 4), (REJECTED, 1), (MISTAKE, 1), (REJECTED, 9)]
)
@pytest.mark.parametrize(
    ("state", "step", "expected"),
    [
        *[(state, step, State.UNDOING) for state, step, _ in ON_THE_WAY],
        (State.ACTIVATED, Step.WATCH, State.UNDOING),
        (State.WATCHING, Step.WATCH, State.UNDOING),
        (State.WATCHING, Step.RETIRE, State.STUCK),
        (State.UNDOING, Step.UNDO, State.STUCK),
    ],
)
def test_what_cannot_be_waited_out_goes_back_or_to_a_person(failure, attempts, state, step, expected):
    transition = after_failure(step, state, failure, attempts=attempts, limits=LIMITS, now=NOW)

    assert transition.state is expected
    assert transition.next_at == (NOW if expected is State.UNDOING else None)


def test_the_tries_of_the_way_there_do_not_count_for_the_way_back():
    assert after_failure(Step.INSTALL, State.CREATED, OUTAGE, attempts=3, limits=LIMITS, now=NOW).attempts == 0


def test_one_attempt_means_no_second_try():
    once = replace(LIMITS, attempts=1)

    assert (
        after_failure(Step.INSTALL, State.CREATED, OUTAGE, attempts=1, limits=once, now=NOW).state
        is State.UNDOING
    )


@pytest.mark.parametrize(("until", "expected"), [(NOW + DAY, NOW + DAY), (NOW, NOW), (NOW - DAY, NOW)])
def test_waiting_is_never_due_in_the_past(until, expected):
    transition = after_waiting(NOW, until)

    assert transition.state is State.WATCHING
    assert transition.attempts == 0
    assert transition.next_at == expected


# Whole sagas

RESTS = {State.DONE, State.ROLLED_BACK, State.STUCK, State.WATCHING}
RETIRING = "retiring"
"""Marks the failure of a retirement: watching found nothing to wait for."""

outcomes = st.sampled_from(["success", "waits", *Cause]) | st.tuples(st.just(RETIRING), st.sampled_from(Cause))


def drive(script: Sequence, limits: Limits):
    """A rotation from its plan to its rest, driven as the service drives it.

    Each entry is how one try ends; when the script has run out, everything succeeds, and what watches
    rests. Gives each state in order, with the step that led there.
    """
    state, attempts, now = State.PLANNED, 0, NOW
    path = [(state, None)]
    ends = iter(script)
    for _ in range(len(script) + len(State)):
        step = next_step(state)
        end = next(ends, None)
        if step is None or (end is None and state is State.WATCHING):
            return path
        attempts += 1
        is_retiring = isinstance(end, tuple)
        cause = end[1] if is_retiring else end
        watches = step is Step.WATCH and (cause in ("waits", None) or state is State.ACTIVATED)
        if step is Step.WATCH and state is State.WATCHING and (is_retiring or cause == "success"):
            step = Step.RETIRE
        if isinstance(cause, Cause):
            failure = Failure(cause=cause, message="no")
            transition = after_failure(step, state, failure, attempts=attempts, limits=limits, now=now)
        elif watches:
            transition = after_waiting(now, now + DAY if cause == "waits" else now)
        else:
            transition = after_success(step, now)
        assert transition.next_at is None or transition.next_at >= now
        assert (transition.next_at is None) == (next_step(transition.state) is None)
        state, attempts, now = transition.state, transition.attempts, transition.next_at or now
        path.append((state, step))
    raise AssertionError(f"it neither ended nor rested: {path}")


scripts = st.lists(outcomes, max_size=60)
limits = st.builds(Limits, attempts=st.integers(1, 6), pause=st.just(timedelta(seconds=10)))


def states_of(path):
    return [state for state, _ in path]


@given(scripts, limits)
@example([], LIMITS)
@example(["success"] * 7, LIMITS)
@example([Cause.OUTAGE] * 60, LIMITS)
def test_every_rotation_ends_or_rests(script, limits):
    assert states_of(drive(script, limits))[-1] in RESTS


@given(scripts, limits)
def test_nothing_is_activated_that_was_not_tested_in_this_order(script, limits):
    states = states_of(drive(script, limits))

    if State.ACTIVATED in states:
        before = [state for state in dict.fromkeys(states) if state is not State.UNDOING]
        assert before[:6] == [
            State.PLANNED,
            State.CREATED,
            State.INSTALLED,
            State.NODE_TESTED,
            State.WORKFLOW_TESTED,
            State.ACTIVATED,
        ]
        assert states[states.index(State.ACTIVATED) - 1] is State.WORKFLOW_TESTED


@given(scripts, limits)
def test_nothing_is_watched_or_done_that_was_not_activated(script, limits):
    states = states_of(drive(script, limits))

    for later in (State.WATCHING, State.DONE):
        if later in states:
            assert State.ACTIVATED in states[: states.index(later)]


@given(scripts, limits)
def test_the_way_back_leads_back_or_to_a_person_and_never_on(script, limits):
    states = states_of(drive(script, limits))

    if State.UNDOING in states:
        assert set(states[states.index(State.UNDOING) :]) <= {State.UNDOING, State.ROLLED_BACK, State.STUCK}


@given(scripts, limits)
def test_only_undoing_and_retiring_get_stuck(script, limits):
    path = drive(script, limits)

    if path[-1][0] is State.STUCK:
        assert path[-1][1] in (Step.UNDO, Step.RETIRE)
        assert path[-2][0] in (State.UNDOING, State.WATCHING)


@given(scripts, limits)
def test_no_step_is_tried_more_often_than_the_limit(script, limits):
    path = drive(script, limits)
    tries = 0
    for (state, _), (reached, step) in pairwise(path):
        tries = tries + 1 if reached is state and step is not Step.WATCH else 0
        assert tries < limits.attempts


@given(st.sampled_from([Cause.REJECTED, Cause.OUTAGE, Cause.MISTAKE]), st.integers(0, 4), limits)
def test_a_failure_at_any_step_before_the_watch_leaves_the_old_value_in_charge(cause, step, limits):
    script = ["success"] * step + [cause] * limits.attempts
    states = states_of(drive(script if cause is Cause.OUTAGE else script[: step + 1], limits))

    assert states[-2:] == [State.UNDOING, State.ROLLED_BACK]


@given(st.integers(0, 9), st.sampled_from([Cause.REJECTED, Cause.MISTAKE]), limits)
def test_a_rejected_production_run_goes_back_and_an_undo_that_fails_asks_a_person(waits, undoing, limits):
    watched = ["success"] * 5 + ["waits"] * waits + [Cause.REJECTED]

    assert states_of(drive(watched, limits))[-2:] == [State.UNDOING, State.ROLLED_BACK]
    assert states_of(drive([*watched, undoing], limits))[-2:] == [State.UNDOING, State.STUCK]


@given(st.integers(0, 9), st.sampled_from([Cause.REJECTED, Cause.MISTAKE]), limits)
def test_a_retirement_that_fails_keeps_both_values_and_asks_a_person(waits, cause, limits):
    script = ["success"] * 6 + ["waits"] * waits + [(RETIRING, cause)]

    assert states_of(drive(script, limits))[-2:] == [State.WATCHING, State.STUCK]


def test_a_rotation_without_trouble_is_done():
    assert states_of(drive(["success"] * 7, LIMITS)) == [
        State.PLANNED,
        *(reached for _, _, reached in ON_THE_WAY),
        State.WATCHING,
        State.DONE,
    ]


# Retirement

REFERENCE = Reference(
    consumer=Consumer.WORKFLOW,
    consumer_id="fl_1",
    consumer_name="intake",
    active=True,
    node_id="call",
    written="prod-smtp",
    item_id="vlt_1",
    pinned=None,
    last_version=2,
    last_run_at=NOW,
    proven_version=2,
    proven_at=NOW,
)


def ref(**fields):
    return replace(REFERENCE, **fields)


def waits_for(*references, activated_at=NOW - 2 * DAY, overlap=DAY, unclaimed=False, now=NOW):
    return retirement_waits(
        references=references,
        new_number=2,
        activated_at=activated_at,
        overlap=overlap,
        unclaimed=unclaimed,
        now=now,
    )


FIRST_RUN = "the first good production run of"


@pytest.mark.parametrize(
    ("references", "reasons"),
    [
        ([], []),
        ([ref()], []),
        ([ref(proven_version=None)], [f"{FIRST_RUN} intake"]),
        ([ref(proven_version=1)], [f"{FIRST_RUN} intake"]),
        ([ref(active=False, proven_version=1)], []),
        ([ref(pinned=2)], []),
        ([ref(pinned=2, proven_version=1)], [f"{FIRST_RUN} intake"]),
        ([ref(pinned=1)], ["intake, which is pinned to version 1"]),
        ([ref(pinned=1, proven_version=2)], ["intake, which is pinned to version 1"]),
        ([ref(pinned=1, active=False)], ["intake, which is pinned to version 1"]),
        ([ref(consumer=Consumer.ROTATOR, proven_version=None)], []),
        # A run resolves its values once: one good node of a workflow proves the workflow.
        ([ref(proven_version=None), ref(node_id="retry")], []),
        ([ref(), ref(node_id="retry", proven_version=None)], []),
        (
            [ref(consumer_name="zeta", proven_version=1), ref(proven_version=1), ref(proven_version=1)],
            [f"{FIRST_RUN} intake", f"{FIRST_RUN} zeta"],
        ),
        ([ref(), ref(consumer_name="zeta", proven_version=1)], [f"{FIRST_RUN} zeta"]),
    ],
)
def test_the_old_value_waits_for_those_who_may_still_need_it(references, reasons):
    assert [wait.reason for wait in waits_for(*references)] == reasons


@pytest.mark.parametrize(
    ("passed", "waits"), [(timedelta(0), True), (DAY - SECOND, True), (DAY, False), (DAY + SECOND, False)]
)
def test_the_overlap_is_kept_to_its_end(passed, waits):
    found = waits_for(ref(), activated_at=NOW - passed)

    assert bool(found) is waits
    if waits:
        assert found[0].until == NOW - passed + DAY
        assert found[0].reason.startswith("the overlap, until 2026-03-0")


def test_a_key_that_nobody_has_collected_keeps_the_old_one():
    assert [wait.reason for wait in waits_for(ref(), unclaimed=True)] == [
        "its owner, who has not collected the new key"
    ]


def test_who_is_unproven_is_named_so_that_its_owner_can_be_asked():
    assert [wait.unproven for wait in waits_for(ref(proven_version=1), ref(consumer_name="b", pinned=1))] == [
        None,
        "intake",
    ]


references = st.lists(
    st.builds(
        ref,
        consumer=st.sampled_from(Consumer),
        consumer_name=st.sampled_from(["a", "b", "c"]),
        active=st.booleans(),
        pinned=st.sampled_from([None, 1, 2, 3]),
        proven_version=st.sampled_from([None, 1, 2, 3]),
    ),
    max_size=8,
)


@given(
    references=references,
    passed=st.timedeltas(min_value=timedelta(0), max_value=3 * DAY),
    overlap=st.timedeltas(min_value=timedelta(0), max_value=2 * DAY),
    unclaimed=st.booleans(),
)
def test_the_old_value_goes_only_when_nobody_needs_it(references, passed, overlap, unclaimed):
    waits = waits_for(*references, activated_at=NOW - passed, overlap=overlap, unclaimed=unclaimed)

    workflows = [reference for reference in references if reference.consumer is Consumer.WORKFLOW]
    following = [reference for reference in workflows if reference.active and reference.pinned in (None, 2)]
    unproven = {reference.consumer_name for reference in following} - {
        reference.consumer_name for reference in following if reference.proven_version == 2
    }
    needed = (
        passed < overlap
        or unclaimed
        or any(reference.pinned not in (None, 2) for reference in workflows)
        or bool(unproven)
    )
    assert bool(waits) is needed
    assert {wait.unproven for wait in waits} - {None} == unproven
    assert sum(wait.until is not None for wait in waits) == (passed < overlap)


@given(references=references, later=st.timedeltas(min_value=timedelta(0), max_value=30 * DAY))
def test_time_alone_proves_nobody(references, later):
    """Once the overlap is over, waiting longer changes nothing."""
    assert waits_for(*references) == waits_for(*references, now=NOW + later)
