"""How bad an expiry is, and how the time that is left reads."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from vaultcore.rules import parse_duration
from worker.domain.distances import count_seconds_left, show_time_left
from worker.domain.findings import WORST_FIRST, FindingKind, expiry_level, show_lasting

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
THRESHOLDS = (30, 14, 7, 3, 1, 0)


@pytest.mark.parametrize(
    ("left", "level"),
    [
        (31 * DAY, None),
        (30 * DAY + SECOND, None),
        (30 * DAY, 1),
        (14 * DAY + SECOND, 1),
        (14 * DAY, 2),
        (8 * DAY, 2),
        (7 * DAY, 3),
        (3 * DAY, 4),
        (1 * DAY, 5),
        (SECOND, 5),
        (timedelta(0), 100),
        (-SECOND, 100),
        (-1 * DAY + SECOND, 100),
        (-1 * DAY, 101),
        (-40 * DAY, 140),
    ],
)
def test_the_level_counts_the_thresholds_that_were_crossed(left, level):
    assert expiry_level(NOW + left, THRESHOLDS, NOW) == level


@pytest.mark.parametrize("left", [SECOND, DAY, 900 * DAY])
def test_without_thresholds_nothing_is_said_before_the_expiry(left):
    assert expiry_level(NOW + left, (), NOW) is None
    assert expiry_level(NOW - left, (), NOW) >= 100


def test_a_night_that_was_missed_loses_nothing():
    """Looked at with 15 and then with 2 days left, the level has risen past the days between."""
    assert expiry_level(NOW + 15 * DAY, THRESHOLDS, NOW) == 1
    assert expiry_level(NOW + 2 * DAY, THRESHOLDS, NOW) == 4


moments = st.timedeltas(min_value=-400 * DAY, max_value=400 * DAY)


@given(
    thresholds=st.lists(st.integers(0, 365), max_size=12, unique=True).map(tuple),
    earlier=moments,
    later=moments,
)
@example(thresholds=(0,), earlier=-SECOND, later=timedelta(0))
@example(thresholds=THRESHOLDS, earlier=timedelta(0), later=SECOND)
def test_the_level_never_falls_as_time_passes(thresholds, earlier, later):
    """`earlier` and `later` are the two looks, as seen from the expiry."""
    assume(earlier <= later)
    before = expiry_level(NOW, thresholds, NOW + earlier)
    after = expiry_level(NOW, thresholds, NOW + later)

    assert before is None or (after is not None and after >= before)


@given(thresholds=st.lists(st.integers(0, 365), max_size=12, unique=True), left=moments)
def test_the_order_of_the_thresholds_does_not_matter(thresholds, left):
    levels = {
        expiry_level(NOW + left, tuple(order), NOW)
        for order in (thresholds, sorted(thresholds), sorted(thresholds, reverse=True))
    }

    assert len(levels) == 1


@given(left=moments)
def test_what_has_lapsed_is_worse_than_anything_before(left):
    level = expiry_level(NOW + left, THRESHOLDS, NOW)

    assert (level is not None and level >= 100) is (left <= timedelta(0))


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (10 * DAY, "in 10 days"),
        (2 * DAY - SECOND, "in 1 day"),
        (DAY, "in 1 day"),
        (DAY - SECOND, "in 23 hours"),
        (timedelta(hours=1), "in 1 hour"),
        (timedelta(minutes=59, seconds=59), "in 59 minutes"),
        (timedelta(minutes=1), "in 1 minute"),
        (SECOND, "in less than a minute"),
        (timedelta(0), "less than a minute ago"),
        (-SECOND, "less than a minute ago"),
        (-timedelta(minutes=5), "5 minutes ago"),
        (-DAY + SECOND, "23 hours ago"),
        (-DAY, "1 day ago"),
        (-3 * DAY - SECOND, "3 days ago"),
        (59 * DAY, "in 59 days"),
        (60 * DAY, "in 2 months"),
        (-330 * DAY, "11 months ago"),
        (800 * DAY, "in 2 years"),
    ],
)
def test_time_left_reads_in_whole_units(left, text):
    assert show_time_left(NOW + left, NOW) == text


@given(st.timedeltas(min_value=-900 * DAY, max_value=900 * DAY))
@example(timedelta(0))
@example(timedelta(microseconds=1))
@example(timedelta(microseconds=-1))
@example(-SECOND)
def test_seconds_are_whole_and_one_at_least_before_the_expiry(left):
    seconds = count_seconds_left(NOW + left, NOW)

    assert (seconds > 0) == (left > timedelta(0))
    short = abs(left) - abs(seconds) * SECOND
    assert timedelta(0) <= short < SECOND or (seconds == 1 and left < SECOND)


@pytest.mark.parametrize(
    ("lasts", "text"),
    [
        (7 * DAY, "7d"),
        (7 * DAY - SECOND, "7d"),
        (3.5 * DAY, "3d12h"),
        (timedelta(hours=1), "1h"),
        (timedelta(minutes=59, seconds=59), "1h"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(0), "1s"),
    ],
)
def test_how_long_something_lives_reads_as_a_lifetime_that_can_be_given(lasts, text):
    assert show_lasting(lasts) == text
    assert parse_duration(text) > timedelta(0)


def test_a_digest_begins_with_what_is_broken_and_ends_with_what_is_untidy():
    ordered = sorted(FindingKind, key=WORST_FIRST.__getitem__)

    assert ordered[:3] == [FindingKind.LAPSED, FindingKind.REFUSED, FindingKind.STUCK]
    assert ordered[-4:] == [
        FindingKind.NO_OWNER,
        FindingKind.NO_EXPIRY,
        FindingKind.NO_PLAN,
        FindingKind.GENERIC_NAME,
    ]
    assert set(ordered) == set(WORST_FIRST)
