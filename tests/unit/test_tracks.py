"""How far a rotation has come, as its track shows it: each state, and whatever its record holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.rotation_groups import STATES_OF, RotationGroup, group_of
from worker.domain.saga import State, Step
from worker.domain.states import StepResult
from worker.domain.tracks import STOPS, Dot, TriedStep, trace
from worker.wording.rotation_states import say_state
from worker.wording.tracks import say_track

NOW = datetime(2026, 11, 27, 2, tzinfo=UTC)
DONE, FAILED = StepResult.DONE.value, StepResult.FAILED.value
SIGNS = {
    Dot.DONE: "o",
    Dot.PASSED_OVER: "-",
    Dot.NOW: ">",
    Dot.WAITS: "?",
    Dot.FAILED: "x",
    Dot.STOPPED: "/",
    Dot.TO_COME: ".",
}


def make(state: State, **more: Any) -> Rotation:
    given: dict[str, Any] = {
        "id": "rot_1",
        "item_id": "vlt_1",
        "item": "prod-mail-token",
        "rotator": "http",
        "reason": Reason.of(Code.BY_HAND),
        "asked_by": "night",
        "old_number": 1,
        "next_at": None,
        "created_at": NOW,
    }
    return Rotation(state=state, **(given | more))


def record(*steps: Step | str, failed: Step | None = None) -> list[TriedStep]:
    ended = [(str(step), DONE) for step in steps] + ([(failed.value, FAILED)] if failed else [])
    return [
        TriedStep(step=step, result=result, at=NOW + timedelta(minutes=number))
        for number, (step, result) in enumerate(ended, start=1)
    ]


def show(rotation: Rotation, tried: list[TriedStep]) -> str:
    return "".join(SIGNS[stop.mark] for stop in trace(rotation, tried))


TESTED = (Step.CREATE, Step.INSTALL, Step.VERIFY, Step.TEST_NODES)
ACTIVE = (*TESTED, Step.TEST_WORKFLOWS, Step.ACTIVATE)


@pytest.mark.parametrize(
    ("rotation", "tried", "shown"),
    [
        (make(State.REQUESTED), [], "?........"),
        (make(State.SCHEDULED), [], "?........"),
        (make(State.QUEUED), [], ">........"),
        (make(State.PLANNED), [], "o>......."),
        (make(State.CREATED), record(Step.CREATE), "oo>......"),
        (make(State.ACCEPTED), record(*TESTED[:3]), "oooo>...."),
        (make(State.ACCEPTED, emergency=True), record(*TESTED[:3]), "oooo--?..".replace("?", ">")),
        (make(State.WORKFLOW_TESTED), record(*ACTIVE[:5]), "oooooo>.."),
        (make(State.WATCHING), record(*ACTIVE), "ooooooo?."),
        (make(State.RETIRING), record(*ACTIVE, Step.WATCH), "oooooooo>"),
        (make(State.DONE), record(*ACTIVE, Step.WATCH, Step.RETIRE), "ooooooooo"),
        (make(State.PLANNED, failing_since=NOW), [], "o?......."),
        (
            make(State.UNDOING, last_cause="mistake"),
            record(*TESTED, failed=Step.TEST_WORKFLOWS),
            "ooooox...",
        ),
        (
            make(State.ROLLED_BACK, last_cause="mistake"),
            [*record(*TESTED, failed=Step.TEST_WORKFLOWS), *record(Step.UNDO)],
            "ooooox...",
        ),
        (make(State.ROLLED_BACK), [*record(*ACTIVE, "rollback"), *record(Step.UNDO)], "ooooooo/."),
        (
            make(State.STUCK, stuck_in=State.RETIRING),
            record(*ACTIVE, Step.WATCH, failed=Step.RETIRE),
            "oooooooox",
        ),
        (
            make(State.STUCK, stuck_in=State.UNDOING),
            record(*TESTED, failed=Step.TEST_WORKFLOWS),
            "ooooox...",
        ),
        (make(State.CANCELLED), record("cancel"), "/........"),
        (
            make(State.PLANNED),
            [*record(*TESTED[:2], failed=Step.VERIFY), *record(Step.DISCARD)],
            "o>.......",
        ),
        (make(State.RETIRING, reason=Reason.of(Code.BY_OWNER)), [], "o------->"),
    ],
)
def test_a_track_shows_where_a_rotation_is(rotation: Rotation, tried: list[TriedStep], shown: str) -> None:
    assert show(rotation, tried) == shown


def test_a_stop_says_when_it_ended_last() -> None:
    """A value that was thrown away has no times; an approval is when it began."""
    first = record(Step.CREATE, Step.INSTALL, failed=Step.VERIFY)
    again = [*first, TriedStep(step="discard", result=DONE, at=NOW + timedelta(hours=1))]
    again.append(TriedStep(step="create", result=DONE, at=NOW + timedelta(hours=2)))
    stops = {stop.step: stop.at for stop in trace(make(State.CREATED), again)}
    assert stops[Step.ADMIT] == NOW
    assert stops[Step.CREATE] == NOW + timedelta(hours=2)
    assert stops[Step.INSTALL] is None
    (begun, *_) = trace(make(State.PLANNED), record("approve"))
    assert begun.at == NOW + timedelta(minutes=1)


@given(
    state=st.sampled_from(State),
    stuck_in=st.none() | st.sampled_from(State),
    emergency=st.booleans(),
    cause=st.sampled_from([None, "mistake"]),
    tried=st.lists(
        st.builds(
            TriedStep,
            step=st.sampled_from([step.value for step in Step] + ["approve", "retry", "nobody knows it"]),
            result=st.sampled_from([*(one.value for one in StepResult), "?"]),
            at=st.just(NOW),
        ),
        max_size=12,
    ),
)
def test_whatever_is_recorded_there_is_one_place_at_which_it_is(
    state: State, stuck_in: State | None, emergency: bool, cause: str | None, tried: list[TriedStep]
) -> None:
    rotation = make(state, stuck_in=stuck_in, emergency=emergency, last_cause=cause)
    marks = [stop.mark for stop in trace(rotation, tried)]
    assert len(marks) == len(STOPS)
    behind = (Dot.DONE, Dot.PASSED_OVER)
    here = next((place for place, mark in enumerate(marks) if mark not in behind), len(marks))
    assert all(mark is Dot.TO_COME for mark in marks[here + 1 :])
    over = state is State.DONE or (state is State.STUCK and stuck_in is State.DONE)
    assert (here == len(marks)) is over
    assert say_track(trace(rotation, tried))
    assert say_state(rotation)


def test_each_state_is_in_one_group() -> None:
    assert sorted(state for states in STATES_OF.values() for state in states) == sorted(State)
    assert set(STATES_OF) == set(RotationGroup)
    assert group_of(State.STUCK) is RotationGroup.NEEDS_SOMEBODY


def test_a_track_in_words() -> None:
    stops = trace(make(State.UNDOING, last_cause="mistake"), record(*TESTED, failed=Step.TEST_WORKFLOWS))
    assert say_track(stops) == "5 of 9 steps done, workflow test failed"
    hurried = trace(make(State.ACTIVATED, emergency=True), record(*TESTED[:3], Step.ACTIVATE))
    assert say_track(hurried) == "5 of 9 steps done, 2 not needed, watch is under way"
