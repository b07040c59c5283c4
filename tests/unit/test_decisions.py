"""Where a person's decision leads a rotation, for every state: pure."""

from datetime import UTC, datetime

import pytest

from worker.domain import saga
from worker.domain.advice import Choice, advise
from worker.domain.decisions import (
    after_accept,
    after_approval,
    after_cancel,
    after_retry,
    after_roll_back,
    after_waiver,
    has_consumers_to_wait_for,
)
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
BEGUN = saga.BEFORE_ACTIVATION | saga.WATCHED | {State.RETIRING, State.UNDOING, State.DISCARDING}
STANDS = [*((state, None) for state in sorted(State) if state is not State.STUCK)] + [
    (State.STUCK, stuck_in) for stuck_in in sorted(BEGUN | saga.NOT_BEGUN)
]
ASKED = {
    Choice.APPROVE: after_approval,
    Choice.CANCEL: after_cancel,
    Choice.RETRY: after_retry,
    Choice.ANOTHER: lambda rotation: after_retry(rotation, another=True),
    Choice.ROLL_BACK: after_roll_back,
    Choice.ACCEPT: after_accept,
}


def rotation(state: State, stuck_in: State | None = None, *, failing: bool = False, gated: bool = False):
    return Rotation(
        id="rot_1",
        item_id="vlt_1",
        item="prod-ticketing-api-token",
        rotator="http",
        state=state,
        stuck_in=stuck_in,
        reason=Reason.of(Code.BY_HAND),
        asked_by="",
        gated=gated,
        old_number=1,
        failing_since=NOW if failing else None,
        next_at=None,
        created_at=NOW,
    )


@pytest.mark.parametrize(("state", "stuck_in"), STANDS)
@pytest.mark.parametrize("failing", [False, True])
def test_what_is_advised_is_never_refused(state: State, stuck_in: State | None, failing: bool) -> None:
    one = rotation(state, stuck_in, failing=failing)
    found = advise(one.id, state, stuck_in, failing, (), item=one.item, number=2)
    assert [advice.choice for advice in found if ASKED[advice.choice](one) is None] == []


@pytest.mark.parametrize("state", sorted(saga.FINISHED))
def test_of_what_is_over_nothing_can_be_decided(state: State) -> None:
    assert [choice for choice, leads in ASKED.items() if leads(rotation(state)) is not None] == []
    assert after_waiver(rotation(state)) is after_waiver(rotation(state), check=True) is None


def test_an_approved_one_waits_for_its_window_where_it_keeps_to_one() -> None:
    assert after_approval(rotation(State.REQUESTED)) is State.PLANNED
    assert after_approval(rotation(State.REQUESTED, gated=True)) is State.SCHEDULED


def test_a_retry_goes_on_where_it_stopped() -> None:
    for stuck_in in BEGUN:
        assert after_retry(rotation(State.STUCK, stuck_in)) is stuck_in
        another = State.DISCARDING if stuck_in in saga.BEFORE_ACTIVATION else None
        assert after_retry(rotation(State.STUCK, stuck_in), another=True) is another
    assert after_retry(rotation(State.CREATED)) is None
    assert after_retry(rotation(State.CREATED, failing=True)) is State.CREATED


def test_the_way_back_is_gone_by_the_worker_unless_that_is_what_got_stuck() -> None:
    assert after_roll_back(rotation(State.WATCHING)) is State.UNDOING
    assert after_roll_back(rotation(State.UNDOING)) is None
    assert after_roll_back(rotation(State.STUCK, State.RETIRING)) is State.UNDOING
    assert after_roll_back(rotation(State.STUCK, State.UNDOING)) is State.ROLLED_BACK
    assert after_roll_back(rotation(State.STUCK, State.RETIRING), differs=True) is State.ROLLED_BACK
    assert after_roll_back(rotation(State.WATCHING), differs=True) is State.UNDOING


def test_what_has_not_begun_is_cancelled_and_never_rolled_back() -> None:
    for state in saga.NOT_BEGUN:
        for one in (rotation(state), rotation(State.STUCK, state)):
            assert after_cancel(one) is State.CANCELLED
            assert after_roll_back(one) is after_accept(one) is None


def test_consumers_are_answered_for_while_they_are_waited_for_and_the_value_until_the_old_one_went() -> None:
    watched = {state for state, stuck_in in STANDS if stuck_in is None and after_waiver(rotation(state))}
    assert watched == saga.WATCHED == {state for state in State if has_consumers_to_wait_for(rotation(state))}
    assert after_waiver(rotation(State.RETIRING)) is None
    assert after_waiver(rotation(State.RETIRING), check=True) is State.RETIRING
    assert after_waiver(rotation(State.STUCK, State.RETIRING), check=True) is State.RETIRING
    assert after_waiver(rotation(State.STUCK, State.CREATED), check=True) is None
