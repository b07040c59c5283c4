"""Whether a rotation was in time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from worker.domain.lateness import Timeliness, judge_lateness
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State

OPENED = datetime(2026, 3, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
LAPSES = OPENED + 5 * DAY
ROTATION = Rotation(
    id="rot_1",
    item_id="vlt_1",
    item="prod-crm-token",
    rotator="random",
    state=State.DONE,
    reason=Reason.of(Code.BY_HAND),
    asked_by="user:ann",
    old_number=1,
    next_at=None,
    created_at=OPENED,
    activated_at=OPENED + DAY,
    finished_at=OPENED + 2 * DAY,
)
END = OPENED + 30 * DAY
CASES = [
    (State.DONE, DAY, 2 * DAY, Timeliness.ON_TIME, None),
    (State.DONE, 5 * DAY, 6 * DAY, Timeliness.ON_TIME, None),
    (State.WATCHING, 7 * DAY, None, Timeliness.LATE, 2 * DAY),
    (State.ROLLED_BACK, DAY, 2 * DAY, Timeliness.NOT_REPLACED, None),
    (State.ROLLED_BACK, DAY, 6 * DAY, Timeliness.LAPSED, DAY),
    (State.CANCELLED, None, 2 * DAY, Timeliness.NOT_REPLACED, None),
    (State.STUCK, None, None, Timeliness.LAPSED, 25 * DAY),
]


@pytest.mark.parametrize(("state", "activated", "finished", "judged", "late"), CASES)
def test_it_is_judged_by_when_the_old_value_lapsed(
    state: State,
    activated: timedelta | None,
    finished: timedelta | None,
    judged: Timeliness,
    late: timedelta | None,
) -> None:
    one = replace(
        ROTATION,
        state=state,
        activated_at=None if activated is None else OPENED + activated,
        finished_at=None if finished is None else OPENED + finished,
    )
    found = judge_lateness(one, expires_at=LAPSES, until=END)
    assert (found.timeliness, found.late, found.lapses_at) == (judged, late, LAPSES)


def test_one_that_is_open_has_time_left_before_its_value_lapses() -> None:
    one = replace(ROTATION, state=State.SCHEDULED, activated_at=None, finished_at=None)
    assert judge_lateness(one, expires_at=LAPSES, until=LAPSES - DAY).timeliness is Timeliness.UNDER_WAY


def test_of_an_item_that_is_gone_the_reason_says_when_it_would_have_lapsed() -> None:
    one = replace(ROTATION, reason=Reason.of(Code.EXPIRES, seconds=3600))
    found = judge_lateness(one, expires_at=None, until=END)
    assert (found.lapses_at, found.timeliness) == (OPENED + timedelta(hours=1), Timeliness.LATE)
    assert judge_lateness(ROTATION, expires_at=None, until=END).timeliness is Timeliness.NO_EXPIRY
