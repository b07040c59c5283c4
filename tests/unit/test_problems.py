"""What is wrong with a rotation, in which order problems are told, and that each has its sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from worker.domain.problems import RESTING_LATE, Problem, ProblemKind, judge_rotation, worst_first
from worker.domain.reasons import Code, Reason
from worker.domain.saga import State
from worker.wording.problems import describe

NOW = datetime(2026, 3, 1, 2, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def judge(state, *, at_end=True, **values):
    row: dict[str, Any] = {
        "waits_for": (), "failed": False, "failing": False, "error": None, "next_at": NOW, "lease_until": None,
    } | values  # fmt: skip
    return judge_rotation(state, now=NOW, at_end=at_end, **row)


@pytest.mark.parametrize(
    ("state", "values", "kind"),
    [
        (State.DONE, {}, None),
        (State.WATCHING, {"waits_for": ("the overlap",)}, None),
        (State.CANARY, {}, None),
        (State.REQUESTED, {"waits_for": ("a person's approval",), "next_at": NOW + 100 * MINUTE}, None),
        (State.SCHEDULED, {"next_at": NOW + 100 * MINUTE}, None),
        (State.STUCK, {"error": "no"}, ProblemKind.STUCK),
        (State.ROLLED_BACK, {"error": "no"}, ProblemKind.NOT_REPLACED),
        (State.UNDOING, {"waits_for": ("what may take effect late",)}, ProblemKind.GOING_BACK),
        (State.UNDOING, {"failing": True}, ProblemKind.GOING_BACK),
        (State.CANCELLED, {}, None),
        (State.CANCELLED, {"error": Reason.of(Code.GIVEN_MEANWHILE)}, None),
        (State.CANCELLED, {"failed": True}, ProblemKind.NOT_BEGUN),
        (State.CANCELLED, {"error": Reason.of(Code.NIGHT_STOPPED)}, ProblemKind.NOT_BEGUN),
        (State.CANCELLED, {"error": Reason.of(Code.NOBODY_APPROVED)}, ProblemKind.NOT_BEGUN),
        (State.PLANNED, {"failing": True, "waits_for": ("the other side",)}, ProblemKind.RETRYING),
        (State.PLANNED, {"failing": True}, ProblemKind.RETRYING),
        (State.WATCHING, {"failing": True}, ProblemKind.RETRYING),
        (State.NODE_TESTED, {}, ProblemKind.UNFINISHED),
        (State.NODE_TESTED, {"lease_until": NOW + MINUTE}, ProblemKind.HELD),
        (State.NODE_TESTED, {"lease_until": NOW - MINUTE}, ProblemKind.HELD),
        (State.QUEUED, {}, ProblemKind.UNFINISHED),
        (State.DISCARDING, {}, ProblemKind.UNFINISHED),
        (State.RETIRING, {"waits_for": ("what may take effect late",), "next_at": NOW + 9 * MINUTE}, None),
    ],
)
def test_at_the_end_of_a_night_what_is_not_done_or_at_rest_is_a_problem(state, values, kind):
    assert judge(state, **values) is kind


@pytest.mark.parametrize(
    ("state", "values", "kind"),
    [
        (State.NODE_TESTED, {}, None),
        (State.NODE_TESTED, {"next_at": NOW - 14 * MINUTE}, None),
        (State.NODE_TESTED, {"next_at": NOW - 16 * MINUTE}, ProblemKind.UNFINISHED),
        (State.NODE_TESTED, {"next_at": NOW - 16 * MINUTE, "lease_until": NOW + MINUTE}, None),
        (
            State.NODE_TESTED,
            {"next_at": NOW - 16 * MINUTE, "lease_until": NOW - MINUTE},
            ProblemKind.UNFINISHED,
        ),
        (State.WATCHING, {"next_at": NOW - 16 * MINUTE}, None),
        (State.WATCHING, {"next_at": NOW - RESTING_LATE - MINUTE}, ProblemKind.UNFINISHED),
        (State.WATCHING, {"next_at": None}, None),
    ],
)
def test_meanwhile_only_what_should_long_have_gone_on_is(state, values, kind):
    assert judge(state, at_end=False, **values) is kind


def test_no_state_is_forgotten():
    for state in State:
        assert judge(state, at_end=False) in {None, *ProblemKind}


def test_the_worst_comes_first_and_nothing_twice():
    late = Problem(kind=ProblemKind.NIGHT_LATE, subject="", at=NOW)
    stuck = [Problem(kind=ProblemKind.STUCK, subject=name, id=f"rot_{name}") for name in ("a", "b")]
    beat = Problem(kind=ProblemKind.HEARTBEAT, subject="fail", at=NOW)
    assert worst_first([beat, stuck[1], stuck[0], late, stuck[1]]) == [late, *stuck, beat]


@pytest.mark.parametrize("kind", ProblemKind)
def test_each_has_a_sentence_of_one_line_that_leaves_nothing_open(kind):
    said = describe(
        Problem(
            kind=kind,
            subject="{prod}",
            id="rot_1",
            error=Reason.failed("the service said {no}"),
            at=NOW,
            number=2,
        )
    )
    assert "\n" not in said
    assert "None" not in said
    assert not said.endswith(".")
    assert describe(Problem(kind=kind, subject="x"))
