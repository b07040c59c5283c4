"""What a stored time can mean after the wall clock was ahead and was set right."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.domain.clocks import SKEW, at_the_latest, end_of_lease, is_ahead, put_off_again

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
MINUTE, HOUR, YEARS = timedelta(minutes=1), timedelta(hours=1), timedelta(days=730)
LEASE = MINUTE


@pytest.mark.parametrize(
    ("at", "ahead"),
    [
        (None, False),
        (NOW - YEARS, False),
        (NOW, False),
        (NOW + SKEW, False),
        (NOW + SKEW + timedelta(microseconds=1), True),
        (NOW + 3 * HOUR, True),
        (NOW + YEARS, True),
    ],
)
def test_what_was_done_later_than_now_was_done_now_at_the_latest(at, ahead):
    assert is_ahead(at, NOW) is ahead
    assert at_the_latest(at, NOW) == (NOW if ahead else at)


@pytest.mark.parametrize(
    ("until", "since", "put_right"),
    [
        (None, NOW + YEARS, None),
        (NOW + HOUR, NOW, NOW + HOUR),  # a pause as it should be
        (NOW + YEARS, NOW, NOW + YEARS),  # however long it is
        (NOW - HOUR, NOW - 2 * HOUR, NOW - HOUR),  # due, and left so
        (NOW + YEARS + HOUR, NOW + YEARS, NOW + HOUR),
        (NOW + 3 * HOUR, NOW + 3 * HOUR, NOW),  # due at once by that clock: due now
        (NOW + HOUR, NOW + 3 * HOUR, NOW),  # overdue by that clock
        (NOW + SKEW + HOUR, NOW + SKEW, NOW + SKEW + HOUR),  # two machines
    ],
)
def test_what_was_put_off_from_a_time_later_than_now_is_put_off_from_now(until, since, put_right):
    assert put_off_again(until, since, NOW) == put_right


@pytest.mark.parametrize(
    ("until", "end"),
    [
        (None, None),
        (NOW - HOUR, NOW - HOUR),  # lapsed
        (NOW + LEASE, NOW + LEASE),
        (NOW + LEASE + SKEW, NOW + LEASE + SKEW),
        (NOW + 3 * HOUR, NOW + LEASE),
        (NOW + YEARS, NOW + LEASE),
    ],
)
def test_a_lease_does_not_end_later_than_it_lasts(until, end):
    assert end_of_lease(until, LEASE, NOW) == end


times = st.timedeltas(min_value=-YEARS, max_value=YEARS).map(lambda away: NOW + away)


@given(since=times, pause=st.timedeltas(min_value=timedelta(0), max_value=YEARS))
def test_nothing_waits_longer_than_it_was_to(since, pause):
    put_right = put_off_again(since + pause, since, NOW)
    assert put_right is not None
    assert put_right - NOW <= pause + SKEW
    assert put_off_again(put_right, at_the_latest(since, NOW) or NOW, NOW) == put_right
