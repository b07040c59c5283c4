"""Which scheduled time has come, also on the days when the clocks change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.domain.slots import latest_slot, may_begin, next_slot

ZURICH = ZoneInfo("Europe/Zurich")
NEW_YORK = ZoneInfo("America/New_York")
ZONES = [
    ZURICH,
    NEW_YORK,
    ZoneInfo("UTC"),
    ZoneInfo("Australia/Lord_Howe"),  # its clocks change by half an hour
    ZoneInfo("Asia/Kathmandu"),
    ZoneInfo("Pacific/Kiritimati"),
]
CHANGES = [
    date(2026, 3, 29),  # Zurich, spring
    date(2026, 10, 25),  # Zurich, autumn
    date(2026, 3, 8),  # New York, spring
    date(2026, 11, 1),  # New York, autumn
    date(2026, 4, 5),  # Lord Howe
    date(2026, 10, 4),
]
INSTANT = timedelta(microseconds=1)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "now", "latest", "following"),
    [
        # At the minute, before and after it.
        ("0 2 * * *", "UTC", "2026-03-01 02:00:00", "2026-03-01 02:00", "2026-03-02 02:00"),
        ("0 2 * * *", "UTC", "2026-03-01 02:00:00.000001", "2026-03-01 02:00", "2026-03-02 02:00"),
        ("0 2 * * *", "UTC", "2026-03-01 02:00:59", "2026-03-01 02:00", "2026-03-02 02:00"),
        ("0 2 * * *", "UTC", "2026-03-01 01:59:59.999999", "2026-02-28 02:00", "2026-03-01 02:00"),
        ("*/5 * * * *", "UTC", "2026-03-01 02:03:00", "2026-03-01 02:00", "2026-03-01 02:05"),
        ("0 2 29 2 *", "UTC", "2026-03-01 02:00:00", "2024-02-29 02:00", "2028-02-29 02:00"),
        ("0 2 * * MON", "UTC", "2026-03-01 02:00:00", "2026-02-23 02:00", "2026-03-02 02:00"),
        # The zone decides what two o'clock is.
        ("0 2 * * *", "Europe/Zurich", "2026-03-01 12:00:00", "2026-03-01 01:00", "2026-03-02 01:00"),
        ("0 2 * * *", "Europe/Zurich", "2026-07-01 12:00:00", "2026-07-01 00:00", "2026-07-02 00:00"),
        ("0 22 * * *", "America/New_York", "2026-07-01 01:00:00", "2026-06-30 02:00", "2026-07-01 02:00"),
        # Spring, Zurich: 02:30 does not exist, and the night begins at the first minute that does.
        ("30 2 * * *", "Europe/Zurich", "2026-03-29 00:59:59", "2026-03-28 01:30", "2026-03-29 01:00"),
        ("30 2 * * *", "Europe/Zurich", "2026-03-29 01:00:00", "2026-03-29 01:00", "2026-03-30 00:30"),
        ("30 2 * * *", "Europe/Zurich", "2026-03-29 02:00:00", "2026-03-29 01:00", "2026-03-30 00:30"),
        # Autumn, Zurich: 02:30 comes twice, and the night is the first of the two, once.
        ("30 2 * * *", "Europe/Zurich", "2026-10-25 00:29:59", "2026-10-24 00:30", "2026-10-25 00:30"),
        ("30 2 * * *", "Europe/Zurich", "2026-10-25 00:30:00", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", "Europe/Zurich", "2026-10-25 01:15:00", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", "Europe/Zurich", "2026-10-25 01:30:00", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("0 2 * * *", "Europe/Zurich", "2026-10-25 01:00:00", "2026-10-25 00:00", "2026-10-26 01:00"),
        # What recurs within the hour goes on through both.
        ("*/30 * * * *", "Europe/Zurich", "2026-10-25 01:10:00", "2026-10-25 01:00", "2026-10-25 01:30"),
        ("*/30 * * * *", "Europe/Zurich", "2026-03-29 01:10:00", "2026-03-29 01:00", "2026-03-29 01:30"),
        # New York.
        ("30 2 * * *", "America/New_York", "2026-03-08 07:00:00", "2026-03-08 07:00", "2026-03-09 06:30"),
        ("30 1 * * *", "America/New_York", "2026-11-01 06:30:00", "2026-11-01 05:30", "2026-11-02 06:30"),
    ],
)
def test_the_slot_that_has_come_and_the_one_that_will(cron, zone, now, latest, following):
    assert latest_slot(cron, ZoneInfo(zone), utc(now)) == utc(latest)
    assert next_slot(cron, ZoneInfo(zone), utc(now)) == utc(following)


@pytest.mark.parametrize("change", CHANGES, ids=str)
@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("wall", [time(0, 0), time(1, 30), time(2, 0), time(2, 30), time(3, 0)], ids=str)
def test_rung_every_ten_minutes_each_night_comes_once_and_in_order(change, zone, wall):
    """Beat only rings, all the time: each local day has one slot, and none comes back."""
    start = datetime.combine(change, time(), tzinfo=UTC) - timedelta(days=1)
    rings = [start + timedelta(minutes=minutes) for minutes in range(0, 3 * 24 * 60, 10)]

    found = [latest_slot(f"{wall.minute} {wall.hour} * * *", zone, ring) for ring in rings]

    assert found == sorted(found)
    nights = [slot.astimezone(zone).date() for slot in dict.fromkeys(found)]
    assert nights == [nights[0] + timedelta(days=days) for days in range(len(nights))]


around_changes = st.builds(
    lambda day, away: datetime.combine(day, time(), tzinfo=UTC) + away,
    st.sampled_from(CHANGES),
    st.timedeltas(min_value=timedelta(hours=-30), max_value=timedelta(hours=54)),
)
any_time = st.datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1)).map(  # noqa: DTZ001  # made aware next
    lambda moment: moment.replace(tzinfo=UTC)
)
moments = around_changes | any_time
zones = st.sampled_from(ZONES)
fixed = st.builds(lambda hour, minute: f"{minute} {hour} * * *", st.integers(0, 23), st.integers(0, 59))
crons = fixed | st.sampled_from(
    [
        "0 2 * * *",
        "30 2 * * *",
        "*/15 * * * *",
        "0 * * * *",
        "15 */6 * * *",
        "0,30 1-3 * * *",
        "0 2 * * SUN",
        "0 2 1 * *",
        "30 2 L * *",
        "59 23 * * *",
    ]
)


@given(cron=crons, zone=zones, now=moments)
@example(cron="30 2 * * *", zone=ZURICH, now=utc("2026-10-25 01:15"))
@example(cron="0 2 * * *", zone=ZURICH, now=utc("2026-10-25 01:00"))
@example(cron="30 1 * * *", zone=NEW_YORK, now=utc("2026-11-01 06:30"))
def test_now_lies_between_two_slots_and_there_is_none_between_them(cron, zone, now):
    latest, following = latest_slot(cron, zone, now), next_slot(cron, zone, now)

    assert latest <= now < following
    assert next_slot(cron, zone, latest) == following
    assert latest_slot(cron, zone, following - INSTANT) == latest
    assert latest_slot(cron, zone, latest) == latest
    assert latest_slot(cron, zone, following) == following


@given(cron=crons, zone=zones, first=moments, second=moments)
def test_the_latest_slot_never_goes_back(cron, zone, first, second):
    earlier, later = sorted([first, second])

    assert latest_slot(cron, zone, earlier) <= latest_slot(cron, zone, later)


@given(wall=st.builds(time, st.integers(0, 23), st.integers(0, 59)), zone=zones, now=moments)
def test_a_nightly_slot_is_that_time_of_the_wall_clock_once_a_day(wall, zone, now):
    """Against a count by hand: each day's time, the first of two, or the first minute after a gap."""
    today = now.astimezone(zone).date()
    expected = sorted(
        first_minute(datetime.combine(today + timedelta(days=days), wall, tzinfo=zone)) for days in range(-2, 3)
    )
    cron = f"{wall.minute} {wall.hour} * * *"

    assert latest_slot(cron, zone, now) == max(slot for slot in expected if slot <= now)
    assert next_slot(cron, zone, now) == min(slot for slot in expected if slot > now)


def first_minute(local):
    while local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) != local.replace(tzinfo=None):
        local += timedelta(minutes=1)
    return local.astimezone(UTC)


@given(cron=crons, zone=zones, now=moments)
def test_slots_are_in_utc(cron, zone, now):
    assert latest_slot(cron, zone, now).tzinfo is UTC
    assert next_slot(cron, zone, now).tzinfo is UTC


MADE, SLOT, NOW = utc("2026-03-01 12:00"), utc("2026-03-05 02:00"), utc("2026-03-05 12:00")


@pytest.mark.parametrize(
    ("made", "awake", "begins"),
    [
        (MADE, MADE, True),
        (MADE, SLOT, True),
        (MADE, SLOT + INSTANT, False),  # begun after it, and nobody was there before
        (MADE, NOW, False),
        (SLOT, SLOT, True),
        (SLOT + INSTANT, SLOT - timedelta(days=9), False),  # older than the vault
        (NOW, NOW, False),  # made and begun just now
        (NOW + timedelta(days=730), MADE, True),  # made by a clock that was two years ahead
        (NOW + timedelta(days=730), NOW, False),
        (None, MADE, True),
        (None, NOW, False),
    ],
)
def test_no_night_is_older_than_the_vault_or_than_the_start_after_a_silence(made, awake, begins):
    assert may_begin(SLOT, made_at=made, awake_since=awake, now=NOW) is begins
