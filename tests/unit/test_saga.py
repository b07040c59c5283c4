"""A rotation as a table: each state has its step, and what follows from how the step ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vaultcore.errors import Cause
from worker.domain.backoff import backoff
from worker.domain.reasons import Reason
from worker.domain.saga import (
    BEFORE_ACTIVATION,
    FINISHED,
    NOT_BEGUN,
    WATCHED,
    Failure,
    Limits,
    Progress,
    State,
    Step,
    after_failure,
    after_success,
    is_moving,
    next_step,
    slack_ends,
)
from worker.wording.reasons import say_all, say_each

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
LIMITS = Limits(
    attempts=3,
    pause=timedelta(seconds=10),
    pause_max=HOUR,
    patience=72 * HOUR,
    candidates=3,
    propagation=timedelta(seconds=30),
)
FRESH = Progress(rotation_id="rot_1", outages=0, failing_since=None, candidates=0)
OUTAGE = Failure(cause=Cause.OUTAGE, why=Reason.failed("connect timed out"))
REJECTED = Failure(cause=Cause.REJECTED, why=Reason.failed("401"))
MISTAKE = Failure(cause=Cause.MISTAKE, why=Reason.failed("no such setting"))

ON_THE_WAY = [
    (State.PLANNED, Step.CREATE, State.CREATED),
    (State.CREATED, Step.INSTALL, State.INSTALLED),
    (State.INSTALLED, Step.VERIFY, State.ACCEPTED),
    (State.ACCEPTED, Step.TEST_NODES, State.NODE_TESTED),
    (State.NODE_TESTED, Step.TEST_WORKFLOWS, State.WORKFLOW_TESTED),
    (State.WORKFLOW_TESTED, Step.ACTIVATE, State.ACTIVATED),
]
AFTER_ACTIVATION = [
    (State.ACTIVATED, Step.WATCH),
    (State.CANARY, Step.WATCH),
    (State.WATCHING, Step.WATCH),
    (State.RETIRING, Step.RETIRE),
]
ON_THE_WAY_BACK = [(State.DISCARDING, Step.DISCARD), (State.UNDOING, Step.UNDO)]
ALL = [(state, step) for state, step, _ in ON_THE_WAY] + AFTER_ACTIVATION + ON_THE_WAY_BACK


def fail(step, state, failure, *, limits=LIMITS, **progress):
    return after_failure(step, state, failure, progress=replace(FRESH, **progress), limits=limits, now=NOW)


# The table


@pytest.mark.parametrize(
    ("state", "step", "reached"),
    [
        (State.REQUESTED, Step.EXPIRE, State.CANCELLED),
        (State.SCHEDULED, Step.ADMIT, State.PLANNED),
        (State.QUEUED, Step.ADMIT, State.PLANNED),
        *ON_THE_WAY,
        (State.RETIRING, Step.RETIRE, State.DONE),
        (State.DISCARDING, Step.DISCARD, State.PLANNED),
        (State.UNDOING, Step.UNDO, State.ROLLED_BACK),
    ],
)
def test_each_state_has_its_step_and_each_step_its_state(state, step, reached):
    assert next_step(state) is step
    assert after_success(step, NOW).state is reached


@pytest.mark.parametrize("state", [State.ACTIVATED, State.CANARY, State.WATCHING])
def test_after_activation_it_is_watched(state):
    assert next_step(state) is next_step(state, emergency=True) is Step.WATCH


@pytest.mark.parametrize("state", State)
def test_in_an_emergency_only_the_tests_with_consumers_are_left_out(state):
    untested = state in (State.ACCEPTED, State.NODE_TESTED)

    assert next_step(state, emergency=True) is (Step.ACTIVATE if untested else next_step(state))


@pytest.mark.parametrize("state", State)
def test_nothing_follows_an_end_or_a_person_and_everything_else_has_a_step(state):
    assert (next_step(state) is None) == (state in FINISHED | {State.STUCK})


def test_every_state_belongs_to_one_part_of_the_way():
    parts = [NOT_BEGUN, BEFORE_ACTIVATION, WATCHED, FINISHED]
    rest = {State.RETIRING, State.DISCARDING, State.UNDOING, State.STUCK}

    assert sum(map(len, parts)) + len(rest) == len(State)
    assert rest.union(*parts) == set(State)


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.WATCH])
def test_a_success_goes_on_at_once_unless_it_is_the_end(step):
    transition = after_success(step, NOW)

    assert transition.next_at == (None if transition.state in FINISHED else NOW)
    assert not transition.retries


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("waits_for", [(), (Reason.failed("away"),)])
def test_a_night_waits_for_what_is_at_work_and_for_what_has_its_turn_in_it(state, waits_for):
    rests = FINISHED | {State.REQUESTED, State.SCHEDULED, State.CANARY, State.WATCHING, State.STUCK}
    expected = state is State.QUEUED or (state not in rests and not waits_for)

    assert is_moving(state, waits_for) is expected
    assert is_moving(state, waits_for, emergency=True) is (expected or (state in WATCHED and not waits_for))


# Outages


@pytest.mark.parametrize(("state", "step"), ALL)
@pytest.mark.parametrize(("outages", "pause"), [(0, 10), (1, 20), (5, 320), (20, 3600)])
def test_an_outage_is_waited_out_in_the_same_state_with_a_pause_that_doubles(state, step, outages, pause):
    transition = fail(step, state, OUTAGE, outages=outages, failing_since=NOW - HOUR)

    assert transition.state is state
    assert transition.retries
    assert pause / 2 <= (transition.next_at - NOW).total_seconds() <= pause


@pytest.mark.parametrize(("outages", "waits"), [(0, False), (1, False), (2, True), (9, True)])
def test_after_its_tries_the_night_no_longer_waits_for_it(outages, waits):
    transition = fail(Step.INSTALL, State.CREATED, OUTAGE, outages=outages, failing_since=NOW - HOUR)

    assert is_moving(transition.state, transition.waits_for) is not waits
    assert say_all(transition.waits_for) == ("the other side to come back: connect timed out" if waits else "")


@pytest.mark.parametrize(("state", "step"), ALL)
@pytest.mark.parametrize(("for_", "stuck"), [(72 * HOUR - SECOND, False), (72 * HOUR, True)])
def test_an_outage_beyond_patience_asks_a_person_and_judges_nothing(state, step, for_, stuck):
    transition = fail(step, state, OUTAGE, outages=9, failing_since=NOW - for_)

    assert transition.state is (State.STUCK if stuck else state)
    assert (transition.next_at is None) is stuck


# Rejections and mistakes


@pytest.mark.parametrize("state_and_step", [(state, step) for state, step, _ in ON_THE_WAY[1:5]])
@pytest.mark.parametrize(
    ("candidates", "expected"), [(0, State.DISCARDING), (1, State.DISCARDING), (2, State.UNDOING)]
)
def test_a_rejection_throws_the_candidate_away_and_makes_another_a_bounded_number_of_times(
    state_and_step, candidates, expected
):
    state, step = state_and_step
    transition = fail(step, state, REJECTED, candidates=candidates, propagating_since=NOW - HOUR)

    assert (transition.state, transition.next_at) == (expected, NOW)


@pytest.mark.parametrize(
    ("state", "step"), [(State.PLANNED, Step.CREATE), (State.WORKFLOW_TESTED, Step.ACTIVATE)]
)
def test_what_says_nothing_of_the_candidate_makes_no_other_one(state, step):
    assert fail(step, state, REJECTED).state is State.UNDOING


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (State.INSTALLED, Step.VERIFY),
        (State.ACCEPTED, Step.TEST_NODES),
        (State.NODE_TESTED, Step.TEST_WORKFLOWS),
    ],
)
@pytest.mark.parametrize(("since", "polls"), [(None, True), (29, True), (30, False)])
def test_a_new_value_is_asked_again_while_the_other_side_may_need_a_moment(state, step, since, polls):
    propagating = None if since is None else NOW - since * SECOND
    transition = fail(step, state, REJECTED, propagating_since=propagating)

    assert transition.state is (state if polls else State.DISCARDING)
    if polls:
        assert NOW < transition.next_at <= NOW + SECOND
        assert transition.polls
        assert not transition.retries, "it is no outage, and its patience is not used up"
        assert is_moving(transition.state, transition.waits_for)


def test_a_policy_may_give_no_moment_to_propagate():
    limits = replace(LIMITS, propagation=timedelta(0))

    assert fail(Step.VERIFY, State.INSTALLED, REJECTED, limits=limits).state is State.DISCARDING


@pytest.mark.parametrize(
    ("state", "step"), [*((state, step) for state, step, _ in ON_THE_WAY[1:]), (State.RETIRING, Step.RETIRE)]
)
@pytest.mark.parametrize("failure", [REJECTED, MISTAKE])
def test_where_the_old_value_is_dead_nothing_goes_back_and_a_person_is_asked(state, step, failure):
    transition = fail(step, state, failure, one_way=True, propagating_since=NOW - HOUR)

    assert (transition.state, transition.next_at) == (State.STUCK, None)


def test_where_the_old_value_is_dead_the_policy_may_say_that_another_is_made():
    limits = replace(LIMITS, renew=True)
    transition = fail(
        Step.VERIFY, State.INSTALLED, REJECTED, limits=limits, one_way=True, propagating_since=NOW - HOUR
    )

    assert transition.state is State.DISCARDING


@pytest.mark.parametrize(("state", "step"), [(state, step) for state, step, _ in ON_THE_WAY])
def test_a_mistake_goes_back_at_once_and_makes_no_other_candidate(state, step):
    transition = fail(step, state, MISTAKE)

    assert (transition.state, transition.next_at) == (State.UNDOING, NOW)


def test_an_outage_before_does_not_shorten_the_time_to_propagate():
    transition = fail(Step.VERIFY, State.INSTALLED, REJECTED, outages=7, failing_since=NOW - 5 * HOUR)

    assert (transition.state, transition.polls) == (State.INSTALLED, True)


@pytest.mark.parametrize("state", [State.ACTIVATED, State.CANARY, State.WATCHING])
def test_what_is_rejected_in_production_goes_back_at_once(state):
    assert fail(Step.WATCH, state, REJECTED).state is State.UNDOING


@pytest.mark.parametrize("state", [State.ACTIVATED, State.CANARY, State.WATCHING])
def test_a_mistake_of_ours_while_watching_judges_no_value_and_goes_to_a_person(state):
    assert fail(Step.WATCH, state, MISTAKE).state is State.STUCK


@pytest.mark.parametrize(
    ("state", "step"),
    [(State.REQUESTED, Step.EXPIRE), (State.SCHEDULED, Step.ADMIT), (State.QUEUED, Step.ADMIT)],
)
def test_what_cannot_even_begin_is_cancelled(state, step):
    assert fail(step, state, MISTAKE).state is State.CANCELLED


def test_nobody_goes_back_to_what_an_owner_has_replaced():
    assert fail(Step.RETIRE, State.RETIRING, REJECTED, by_owner=True).state is State.STUCK


@pytest.mark.parametrize(("state", "step"), ALL)
def test_who_says_when_to_come_back_is_not_asked_before_and_the_night_does_not_wait(state, step):
    later = replace(OUTAGE, why=Reason.failed("too many requests"), retry_at=NOW + 3 * HOUR)
    transition = fail(step, state, later)

    assert (transition.state, transition.next_at) == (state, NOW + 3 * HOUR)
    assert say_each(transition.waits_for) == ["too many requests"]
    assert transition.held
    assert not is_moving(transition.state, transition.waits_for)


@pytest.mark.parametrize(
    ("lapses_at", "hours"),
    [(None, 72), (NOW + 400 * HOUR, 72), (NOW + 10 * HOUR, 5), (NOW, 0), (NOW - 2 * HOUR, -1)],
)
def test_the_other_sides_word_is_kept_to_for_half_of_what_is_left(lapses_at, hours):
    assert slack_ends(NOW, lapses_at, LIMITS.patience) == NOW + hours * HOUR


def test_a_time_that_is_over_before_the_pause_is_changes_nothing():
    soon = replace(OUTAGE, retry_at=NOW + timedelta(milliseconds=1))

    assert fail(Step.CREATE, State.PLANNED, soon) == fail(Step.CREATE, State.PLANNED, OUTAGE)


@pytest.mark.parametrize(
    ("state", "step", "failure", "expected"),
    [
        # The new value is refused while the old one still works: everybody goes back to the old one.
        (State.RETIRING, Step.RETIRE, REJECTED, State.UNDOING),
        (State.RETIRING, Step.RETIRE, MISTAKE, State.STUCK),
        (State.UNDOING, Step.UNDO, REJECTED, State.STUCK),
        (State.UNDOING, Step.UNDO, MISTAKE, State.STUCK),
        (State.DISCARDING, Step.DISCARD, REJECTED, State.STUCK),
        (State.DISCARDING, Step.DISCARD, MISTAKE, State.STUCK),
    ],
)
def test_where_there_is_no_way_back_a_person_decides(state, step, failure, expected):
    transition = fail(step, state, failure)

    assert transition.state is expected
    assert (transition.next_at is None) == (expected is State.STUCK)


# Pauses


@given(st.integers(1, 200), st.text(max_size=20))
@example(10_000, "rot_1")
def test_a_pause_is_between_half_and_whole_of_its_doubling_and_never_longer_than_the_longest(tries, key):
    pause = backoff(tries, pause=10 * SECOND, most=HOUR, key=key)
    whole = min(10 * 2 ** (tries - 1), 3600)

    assert whole / 2 <= pause.total_seconds() <= whole
    assert pause == backoff(tries, pause=10 * SECOND, most=HOUR, key=key)


def test_what_failed_together_does_not_come_back_together():
    pauses = {backoff(1, pause=10 * SECOND, most=HOUR, key=f"rot_{number}") for number in range(100)}

    assert len(pauses) == 100
    assert max(pauses) - min(pauses) > 4 * SECOND
