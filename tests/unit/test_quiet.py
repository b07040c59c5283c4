"""Quiet hours: by the wall clock of their zone, over midnight, and when summer time begins and ends."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from vaultcore.quiet import QuietHours, check_zone, parse_quiet, quiet_until

ZURICH = "Europe/Zurich"
NIGHTS = parse_quiet("22:00-07:00")
NOON = parse_quiet("12:00-13:30")


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet", "zone", "now", "until"),
    [
        (None, "UTC", "2026-03-01 03:00", "2026-03-01 03:00"),
        (NIGHTS, "UTC", "2026-03-01 21:59", "2026-03-01 21:59"),
        (NIGHTS, "UTC", "2026-03-01 22:00", "2026-03-02 07:00"),
        (NIGHTS, "UTC", "2026-03-01 23:59", "2026-03-02 07:00"),
        (NIGHTS, "UTC", "2026-03-02 00:00", "2026-03-02 07:00"),
        (NIGHTS, "UTC", "2026-03-02 06:59", "2026-03-02 07:00"),
        (NIGHTS, "UTC", "2026-03-02 07:00", "2026-03-02 07:00"),
        (NOON, "UTC", "2026-03-01 12:00", "2026-03-01 13:30"),
        (NOON, "UTC", "2026-03-01 13:30", "2026-03-01 13:30"),
        (NIGHTS, ZURICH, "2026-03-01 02:00", "2026-03-01 06:00"),
        (NIGHTS, ZURICH, "2026-07-01 02:00", "2026-07-01 05:00"),
        (NIGHTS, "America/New_York", "2026-03-01 02:00", "2026-03-01 02:00"),
        (NIGHTS, "America/New_York", "2026-03-01 04:00", "2026-03-01 12:00"),
        # The night in which summer time begins is an hour shorter, and the one in which it ends longer.
        (NIGHTS, ZURICH, "2026-03-28 21:30", "2026-03-29 05:00"),
        (NIGHTS, ZURICH, "2026-10-24 20:30", "2026-10-25 06:00"),
        # An end that the clock jumps over, and one that it shows twice: the first is past, the second holds.
        (parse_quiet("01:00-02:30"), ZURICH, "2026-03-29 00:30", "2026-03-29 01:30"),
        (parse_quiet("01:00-02:30"), ZURICH, "2026-10-25 00:10", "2026-10-25 00:30"),
        (parse_quiet("01:00-02:30"), ZURICH, "2026-10-25 01:10", "2026-10-25 01:30"),
    ],
)
def test_who_is_quiet_is_told_when_it_ends(quiet, zone, now, until):
    assert quiet_until(quiet, zone, utc(now)) == utc(until)


TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
ALWAYS_THE_SAME = ["UTC", "Asia/Kathmandu"]


@given(
    st.tuples(TIMES, TIMES).filter(lambda pair: pair[0] != pair[1]),
    st.sampled_from([*ALWAYS_THE_SAME, ZURICH, "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_nobody_waits_longer_than_a_day_or_is_told_in_their_quiet_hours(pair, zone, now):
    quiet = QuietHours(start=pair[0], end=pair[1])
    told = quiet_until(quiet, zone, now)

    assert now <= told <= now + timedelta(hours=25)
    if zone in ALWAYS_THE_SAME:
        assert quiet_until(quiet, zone, told) == told


@pytest.mark.parametrize("text", ["22:00-07:00", "00:00-23:59", "09:05-09:06"])
def test_quiet_hours_are_shown_as_they_are_written(text):
    assert str(parse_quiet(text)) == text


@pytest.mark.parametrize("text", ["", "22-7", "22:00", "24:00-07:00", "22:60-07:00", "22:00-07:00 UTC", "9-10"])
def test_what_are_no_quiet_hours_is_said(text):
    with pytest.raises(InvalidInputError, match="write them like 22:00-07:00"):
        parse_quiet(text)


def test_quiet_hours_leave_an_hour():
    with pytest.raises(InvalidInputError, match="would never end"):
        parse_quiet("07:00-07:00")
    assert parse_quiet("00:00-23:59").start == time(0, 0)


@pytest.mark.parametrize("name", ["", "Zurich", "../etc/passwd", "Europe/Nowhere", "a" * 300, "\0"])
def test_what_is_no_time_zone_is_said(name):
    with pytest.raises(InvalidInputError, match="is not a time zone: write one like Europe/Zurich"):
        check_zone(name)
