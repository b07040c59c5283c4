"""One rule for the pause before another try."""

from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from worker.domain.backoff import backoff, double

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
pauses = st.timedeltas(min_value=timedelta(0), max_value=3000 * DAY)


@given(tries=st.integers(-3, 500), pause=pauses, most=pauses)
@example(tries=31, pause=2 * DAY, most=7 * DAY)
def test_it_doubles_up_to_the_most_and_never_overflows(tries: int, pause: timedelta, most: timedelta) -> None:
    waits = double(tries, pause=pause, most=most)
    assert timedelta(0) <= waits <= most or not pause
    assert waits <= double(tries + 1, pause=pause, most=most)
    assert timedelta(0) <= backoff(tries, pause=pause, most=most, key="rot") <= waits


def test_each_pause_is_twice_the_one_before() -> None:
    waits = [double(tries, pause=SECOND, most=10 * SECOND) for tries in range(1, 7)]
    assert waits == [one * SECOND for one in (1, 2, 4, 8, 10, 10)]
