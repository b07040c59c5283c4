"""What a transition, a failure and a decision make of a rotation."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vaultcore.errors import Cause
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation, apply, count_failure, decide
from worker.domain.saga import Failure, State, Transition
from worker.wording.reasons import say

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AT_WORK = Rotation(
    id="rot_1",
    item_id="vlt_1",
    item="prod-ticketing-api-token",
    rotator="http",
    state=State.INSTALLED,
    reason=Reason.of(Code.BY_HAND),
    asked_by="",
    old_number=1,
    next_at=NOW,
    created_at=NOW - MINUTE,
    attempts=3,
    outages=2,
    failing_since=NOW - MINUTE,
    polls=4,
    propagating_since=NOW - 2 * MINUTE,
    waits_for=[Reason.failed("the other side")],
)


def tries(rotation: Rotation) -> tuple[object, ...]:
    return (rotation.attempts, rotation.outages, rotation.failing_since, rotation.polls)


def test_another_step_counts_its_tries_anew_and_the_time_to_spread_over_all() -> None:
    after = apply(AT_WORK, Transition(state=State.ACCEPTED, next_at=NOW), now=NOW)
    assert tries(after) == (0, 0, None, 0)
    assert (after.propagating_since, after.waits_for, after.next_at) == (AT_WORK.propagating_since, [], NOW)
    later = apply(AT_WORK, Transition(state=State.WORKFLOW_TESTED, next_at=NOW), now=NOW)
    assert later.propagating_since is None


def test_a_try_that_is_repeated_goes_on_counting() -> None:
    to = Transition(state=State.INSTALLED, next_at=NOW + MINUTE, waits_for=(Reason.failed("it"),), retries=True)
    failure = Failure(cause=Cause.OUTAGE, why=Reason.failed("away"))
    after = apply(AT_WORK, to, now=NOW, **count_failure(AT_WORK, failure, to, now=NOW))
    assert tries(after) == (3, 3, AT_WORK.failing_since, 4)
    assert (after.propagating_since, after.waits_for, say(after.last_error)) == (
        None,
        [Reason.failed("it")],
        "away",
    )


def test_a_try_that_keeps_to_the_other_sides_word_does_not_count() -> None:
    to = Transition(state=State.INSTALLED, next_at=NOW + MINUTE, retries=True, held=True)
    changes = count_failure(AT_WORK, Failure(cause=Cause.OUTAGE, why=Reason.failed("later")), to, now=NOW)
    assert (changes["outages"], changes["attempts"]) == (2, 2)


def test_who_is_stuck_is_known_by_where_and_a_decision_ends_that() -> None:
    to = Transition(state=State.STUCK, next_at=None)
    changes = count_failure(AT_WORK, Failure(cause=Cause.MISTAKE, why=Reason.failed("no")), to, now=NOW)
    stuck = apply(AT_WORK, to, now=NOW, **changes)
    assert (stuck.stuck_in, stuck.next_at, stuck.finished_at) == (State.INSTALLED, None, None)
    decided = decide(stuck, state=State.INSTALLED, next_at=NOW)
    assert (decided.stuck_in, decided.waits_for, tries(decided)) == (None, [], (0, 0, None, 0))


@pytest.mark.parametrize(("said", "due"), [(NOW, NOW + MINUTE), (NOW + 5 * MINUTE, NOW + 5 * MINUTE)])
def test_who_comes_to_no_other_state_is_not_due_at_once(said: datetime, due: datetime) -> None:
    after = apply(AT_WORK, Transition(state=State.INSTALLED, next_at=said), now=NOW)
    assert after.next_at == due


def test_what_is_over_has_ended_now_and_waits_for_nothing() -> None:
    to = Transition(state=State.DONE, next_at=None, waits_for=(Reason.failed("a word"),))
    after = apply(replace(AT_WORK, state=State.RETIRING), to, now=NOW)
    assert (after.finished_at, after.waits_for) == (NOW, [])
