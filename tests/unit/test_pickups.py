"""Who may collect a generated key, how often and until when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.pickups import REPEATS_FOR, Pickup, Refusal, judge_pickup

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
ANN, BOB = "user:ann", "user:bob"

FRESH = Pickup(
    id="clm_1",
    item_id="vlt_1",
    item="api-key:partner",
    number=2,
    rotation_id="rot_1",
    created_at=NOW,
    expires_at=NOW + 14 * DAY,
    taken_by=None,
    taken_at=None,
    arrived_at=None,
    ended_at=None,
    used_at=None,
    kept=True,
    is_key=True,
)
TAKEN = replace(FRESH, taken_by=ANN, taken_at=NOW)
ARRIVED = replace(TAKEN, arrived_at=NOW)
ENDED = replace(ARRIVED, ended_at=NOW + REPEATS_FOR, kept=False)


@pytest.mark.parametrize(
    ("pickup", "after", "refusal"),
    [
        (FRESH, 13 * DAY, None),
        (FRESH, 14 * DAY, Refusal.GONE),
        (replace(FRESH, expires_at=None), 1000 * DAY, None),
        (replace(FRESH, item=None), MINUTE, Refusal.GONE),
        (replace(FRESH, kept=False), MINUTE, Refusal.GONE),
        (replace(FRESH, kept=False, is_key=False), MINUTE, Refusal.GONE),
        (replace(FRESH, is_key=False), MINUTE, Refusal.NO_KEY),
        (replace(ARRIVED, is_key=False), MINUTE, Refusal.NO_KEY),
        # Begun, and lost on its way: theirs, until it is taken back.
        (TAKEN, 13 * DAY, None),
        (TAKEN, 14 * DAY, Refusal.GONE),
        (replace(TAKEN, taken_by=BOB), MINUTE, Refusal.OTHERS),
        (replace(TAKEN, taken_by=None), MINUTE, Refusal.OTHERS),
        (replace(TAKEN, ended_at=NOW, kept=False), MINUTE, Refusal.GONE),
        # Arrived: again for an hour, or until its first use.
        (ARRIVED, REPEATS_FOR - MINUTE, None),
        (ARRIVED, REPEATS_FOR, Refusal.LATE),
        (replace(ARRIVED, expires_at=NOW), MINUTE, None),
        (replace(ARRIVED, used_at=NOW), MINUTE, Refusal.USED),
        (replace(ENDED, ended_at=NOW), MINUTE, Refusal.STORED),
        (replace(ENDED, ended_at=NOW, is_key=False), MINUTE, Refusal.GONE),  # it was taken back
        (ENDED, 2 * REPEATS_FOR, Refusal.LATE),
        (replace(ENDED, taken_by=BOB), 2 * REPEATS_FOR, Refusal.OTHERS),
    ],
)
def test_a_pickup_as_ann_finds_it(pickup, after, refusal):
    assert judge_pickup(pickup, actor=ANN, now=NOW + after) is refusal


times = st.none() | st.integers(-50, 50).map(lambda days: NOW + days * DAY / 10)


@given(
    taken_by=st.sampled_from([None, ANN, BOB]),
    times=st.tuples(times, times, times, times, times),
    kept=st.booleans(),
    now=st.integers(-50, 50).map(lambda days: NOW + days * DAY / 10),
)
def test_what_is_shown_is_there_and_nobody_elses(taken_by, times, kept, now):
    expires_at, taken_at, arrived_at, ended_at, used_at = times
    pickup = replace(
        FRESH,
        taken_by=taken_by,
        taken_at=taken_at,
        expires_at=expires_at,
        arrived_at=arrived_at,
        ended_at=ended_at,
        used_at=used_at,
        kept=kept,
    )
    shown = [judge_pickup(pickup, actor=actor, now=now) is None for actor in (ANN, BOB)]
    if any(shown):
        assert kept
        assert ended_at is used_at is None
    if taken_at is not None:
        assert not all(shown)
