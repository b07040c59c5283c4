"""What another side asks of who calls it, in the forms that there are; what cannot be read is not heard."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.outbound.pace import bound_wait, held_at_most_until
from worker.outbound.wishes import WAIT_MAX, asked_to_wait

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "60"}, 60),
        ({"retry-after": " 60 "}, 60),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "Sun, 01 Mar 2026 02:02:00 GMT"}, 120),
        ({"retry-after": "Sunday, 01-Mar-26 02:02:00 GMT"}, 120),
        ({"retry-after": "Sun Mar  1 02:02:00 2026"}, 120),
        ({"retry-after": "2026-03-01T03:02:00+01:00"}, 120),
        ({"retry-after": str(EPOCH + 30)}, 30),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(EPOCH + 30)}, 30),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((EPOCH + 30) * 1000)}, 30),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "30"}, 30),
        ({"ratelimit": '"burst";r=0;t=30'}, 30),
        ({"ratelimit": '"burst";r=4;t=3, "day";r=0;t=40'}, 40),
        ({"ratelimit": '"burst";r=0;t=3, "day";r=0;t=40'}, 40),
        ({"ratelimit": "limit=100, remaining=0, reset=50"}, 50),
        ({"retry-after": "5", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "90"}, 5),
        ({"retry-after": "315360000"}, WAIT_MAX.total_seconds()),
        ({"retry-after": "Sun, 01 Mar 2036 02:02:00 GMT"}, WAIT_MAX.total_seconds()),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 11}, WAIT_MAX.total_seconds()),
    ],
)
def test_it_is_heard_in_every_form_and_bounded(headers, seconds):
    assert asked_to_wait(headers, NOW) == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": ""},
        {"retry-after": "0"},
        {"retry-after": "-5"},
        {"retry-after": "soon"},
        {"retry-after": "9" * 400},
        {"retry-after": "\u0661"},
        {"retry-after": "Sun, 01 Mar 2020 02:02:00 GMT"},
        {"retry-after": "Sun, 99 Mar 2026 99:02:00 GMT"},
        {"x-ratelimit-remaining": "0"},
        {"x-ratelimit-remaining": "1", "x-ratelimit-reset": "30"},
        {"x-ratelimit-reset": "30"},
        {"ratelimit": '"burst";r=1;t=30'},
        {"ratelimit": '"burst";r=0'},
        {"ratelimit": "r=0;" * 100_000},
    ],
)
def test_what_asks_for_nothing_is_not_waited_for(headers):
    assert asked_to_wait(headers, NOW) is None


@given(text=st.text(max_size=60) | st.integers().map(str) | st.floats().map(str) | st.datetimes().map(str))
def test_nothing_that_is_said_breaks_it_or_is_waited_for_too_long(text):
    for headers in ({"retry-after": text}, {"ratelimit": text}):
        until = asked_to_wait(headers, NOW)
        assert until is None or NOW < until <= NOW + WAIT_MAX
    limit = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": text}
    until = asked_to_wait(limit, NOW)
    assert until is None or NOW < until <= NOW + WAIT_MAX


def test_it_is_kept_to_for_as_long_as_there_is_time():
    later = NOW + timedelta(minutes=9)
    assert bound_wait(None, NOW) is None
    assert bound_wait(NOW, NOW) is None
    assert bound_wait(later, NOW) == later
    with held_at_most_until(NOW + timedelta(minutes=3)):
        assert bound_wait(later, NOW) == NOW + timedelta(minutes=3)
        assert bound_wait(later, NOW + timedelta(minutes=3)) is None
    with held_at_most_until(None):
        assert bound_wait(later, NOW) == later
