"""When a window is open and a freeze is on, also on the days when the clocks change."""

import pickle
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from worker.domain.slots import next_slot
from worker.domain.windows import LENGTH_MAX, Window, find_moment, open_until, parse_window, show_window

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
UNHURRIED = settings(deadline=None)

NIGHTS = "0 2 * * 1-5 for 4h in Europe/Zurich"
WEEKENDS = "0 22 * * 5 for 54h in Europe/Zurich"
CHRISTMAS = "0 0 20 12 * for 14d in Europe/Zurich"


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moment_of(windows, freezes, now, **limits):
    return find_moment(map(parse_window, windows), map(parse_window, freezes), now, **limits)


# What may be written.


@pytest.mark.parametrize(
    ("text", "cron", "length", "zone"),
    [
        ("0 2 * * 1-5 for 4h", "0 2 * * 1-5", 4 * HOUR, "UTC"),
        ("0 22 * * 5 for 54h in Europe/Zurich", "0 22 * * 5", 54 * HOUR, "Europe/Zurich"),
        ("  0  22 * *\t5 for 2d6h\nin Europe/Zurich ", "0 22 * * 5", 54 * HOUR, "Europe/Zurich"),
        ("0 22 * jan-mar fri for 90m", "0 22 * JAN-MAR FRI", 90 * MINUTE, "UTC"),
        ("* * * * * for 1s", "* * * * *", timedelta(seconds=1), "UTC"),
        ("0 0 29 2 * for 366d", "0 0 29 2 *", LENGTH_MAX, "UTC"),
    ],
)
def test_a_window_is_read(text, cron, length, zone):
    assert parse_window(text) == Window(cron=cron, length=length, zone=ZoneInfo(zone))


def test_the_default_zone_is_for_a_window_that_names_none():
    assert parse_window("0 2 * * * for 4h", default_zone="Asia/Kathmandu").zone == ZoneInfo("Asia/Kathmandu")
    assert parse_window("0 2 * * * for 4h in UTC", default_zone="Asia/Kathmandu").zone == ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not a cron expression, `for` and a duration"),
        ("always", "not a cron expression, `for` and a duration"),
        ("0 2 * * 1-5", "not a cron expression, `for` and a duration"),
        ("0 2 * * 1-5 for", "not a cron expression, `for` and a duration"),
        ("for 4h", "not a cron expression, `for` and a duration"),
        ("0 2 * * 1-5 for 4 h", "not a cron expression, `for` and a duration"),
        ("0 2 * * 1-5 for 4h at Europe/Zurich", "not a cron expression, `for` and a duration"),
        ("0 2 * * 1-5 for 4h in", "not a cron expression, `for` and a duration"),
        ("0 2 * * 1-5 for 4h in Europe/Zurich please", "not a cron expression, `for` and a duration"),
        ("0 2 * * for 4h", "'0 2 * *' is not the five fields"),
        ("0 0 2 * * * for 4h", "is not the five fields"),
        ("@daily for 4h", "is not the five fields"),
        ("61 2 * * * for 4h", "'61 2 * * *' is not a cron expression (Bad minute)"),
        ("0 2 * * MOO for 4h", "is not a cron expression (Bad day-of-week)"),
        ("0 2 30 2 * for 4h", "is not a cron expression (Bad day-of-month)"),
        ("0 2 */31 * MON#2 for 4h", "names no day that ever comes"),
        ("0 2 * * * for 4x", "'4x' is not a duration"),
        ("0 2 * * * for -4h", "'-4h' is not a duration"),
        ("0 2 * * * for 0h", "'0h' is no time at all"),
        ("0 2 * * * for 366d1s", "'366d1s' is longer than 366d"),
        ("0 2 * * * for 101w", "'101w' is longer than 366d"),
        ("0 2 * * * for 99999w", "'99999w' is longer than a hundred years"),
        ("0 2 * * * for 4h in Europe/Zürich", "'Europe/Zürich' is not a time zone"),
        ("0 2 * * * for 4h in Europe", "'Europe' is not a time zone"),
        ("0 2 * * * for 4h in ../../etc/passwd", "'../../etc/passwd' is not a time zone"),
        ("0 2 * * * for 4h in Europe/\x00", "is not a time zone"),
        ("0 2 * * *\n\u2028for what it is worth", "not a cron expression, `for` and a duration"),
        ("1," * 4000 + "1 2 * * * for 4h", "it has 8016 characters, 200 at most"),
    ],
)
def test_what_is_no_window_is_refused_in_one_line_with_an_example(text, why):
    with pytest.raises(InvalidInputError) as refusal:
        parse_window(text)

    message = str(refusal.value)
    assert why in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    parse_window(message.partition("a right one is ")[2])
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


def test_a_wrong_default_zone_is_refused_too():
    with pytest.raises(InvalidInputError, match="'Mars' is not a time zone"):
        parse_window("0 2 * * * for 4h", default_zone="Mars")


@UNHURRIED
@given(st.text() | st.text(alphabet="0123456789*/,-#LWFRI for in4hm", max_size=40))
def test_any_text_is_a_window_or_refused(text):
    try:
        window = parse_window(text)
    except InvalidInputError:
        return
    assert parse_window(show_window(window)) == window


@UNHURRIED
@given(st.lists(st.text(alphabet="0123456789*/,-#LWMON", min_size=1, max_size=6), min_size=5, max_size=5))
def test_any_five_fields_are_a_cron_or_refused(fields):
    text = " ".join([*fields, "for 4h"])
    try:
        window = parse_window(text)
    except InvalidInputError:
        return
    assert window.cron == " ".join(fields)


def test_windows_are_compared_by_what_they_say():
    window = parse_window(NIGHTS)

    assert {window, parse_window(NIGHTS), pickle.loads(pickle.dumps(window))} == {window}
    assert window != replace(window, zone=ZoneInfo("UTC"))
    assert window != parse_window(WEEKENDS)


# When it is open.


@pytest.mark.parametrize(
    ("text", "now", "until"),
    [
        # Open from the start on, closed at the end.
        ("0 2 * * * for 4h", "2026-03-01 01:59:59.999999", None),
        ("0 2 * * * for 4h", "2026-03-01 02:00", "2026-03-01 06:00"),
        ("0 2 * * * for 4h", "2026-03-01 05:59:59.999999", "2026-03-01 06:00"),
        ("0 2 * * * for 4h", "2026-03-01 06:00", None),
        # Past midnight, and over a weekend.
        ("0 22 * * * for 4h", "2026-03-01 01:00", "2026-03-01 02:00"),
        (WEEKENDS, "2026-07-03 19:59", None),
        (WEEKENDS, "2026-07-03 20:00", "2026-07-06 02:00"),
        (WEEKENDS, "2026-07-06 01:59", "2026-07-06 02:00"),
        (WEEKENDS, "2026-07-06 02:00", None),
        # What began long ago.
        ("0 0 1 1 * for 364d", "2026-12-30 23:59", "2026-12-31 00:00"),
        ("0 0 29 2 * for 366d", "2025-02-28 23:59", "2025-03-01 00:00"),
        ("0 0 29 2 * for 366d", "2025-03-01 00:00", None),
        # Openings that overlap or touch are one.
        ("0,30 9-11 * * * for 1h", "2026-03-01 09:15", "2026-03-01 12:30"),
        ("* 8-17 * * 1-5 for 1m", "2026-03-02 12:00", "2026-03-02 18:00"),
        ("0 12 * * 1-5 for 24h", "2026-03-02 12:00", "2026-03-07 12:00"),
        ("*/15 * 1 3 * for 16d", "2026-03-01 00:00", "2026-03-17 23:45"),
        ("*/15 * 1 3 * for 16d", "2026-03-17 23:44", "2026-03-17 23:45"),
        ("*/15 * 1 3 * for 16d", "2026-03-17 23:45", None),
        ("*/2 * * * * for 1m", "2026-03-01 09:00:30", "2026-03-01 09:01"),
        # The length is elapsed time: a night in which the clocks change ends at another hour.
        ("0 22 * * 6 for 8h in Europe/Zurich", "2026-03-28 21:00", "2026-03-29 05:00"),
        ("0 22 * * 6 for 8h in Europe/Zurich", "2026-10-24 20:00", "2026-10-25 04:00"),
        # A whole day of elapsed time is an hour short of the day on which summer ends.
        ("0 0 * * 0 for 24h in Europe/Zurich", "2026-10-25 21:59", "2026-10-25 22:00"),
        ("0 0 * * 0 for 24h in Europe/Zurich", "2026-10-25 22:00", None),
    ],
)
def test_how_long_a_window_stays_open(text, now, until):
    assert open_until(parse_window(text), utc(now)) == (until and utc(until))


def test_a_window_that_never_closes_is_open_for_more_than_a_year():
    now = utc("2026-03-01 02:00")

    assert open_until(parse_window("0 * * * * for 1h"), now) > now + LENGTH_MAX


@pytest.mark.parametrize(
    ("text", "now", "opens"),
    [
        # Spring, Zurich: 02:30 does not exist, and the first minute that does stands for it.
        ("30 2 * * * for 10m in Europe/Zurich", "2026-03-29 00:00", "2026-03-29 01:00"),
        ("30 2 * * * for 10m in Europe/Zurich", "2026-03-29 01:10", "2026-03-30 00:30"),
        ("0,15,30 2-3 * * * for 5m in Europe/Zurich", "2026-03-29 00:00", "2026-03-29 01:00"),
        ("0,15,30 2-3 * * * for 5m in Europe/Zurich", "2026-03-29 01:05", "2026-03-29 01:15"),
        # What recurs by the clock does not come in an hour that the clock does not show.
        ("*/30 2 * * * for 10m in Europe/Zurich", "2026-03-29 00:00", "2026-03-30 00:00"),
        ("*/30 * * * * for 10m in Europe/Zurich", "2026-03-29 00:40", "2026-03-29 01:00"),
        # Autumn, Zurich: 02:30 comes twice, and the first of the two counts.
        ("30 2 * * * for 10m in Europe/Zurich", "2026-10-25 00:00", "2026-10-25 00:30"),
        ("30 2 * * * for 10m in Europe/Zurich", "2026-10-25 00:40", "2026-10-26 01:30"),
        ("30 2 * * * for 10m in Europe/Zurich", "2026-10-25 01:30", "2026-10-26 01:30"),
        ("0 3 * * * for 10m in Europe/Zurich", "2026-10-25 00:40", "2026-10-25 02:00"),
        # What recurs by the clock goes on through both hours.
        ("*/30 * * * * for 10m in Europe/Zurich", "2026-10-25 00:40", "2026-10-25 01:00"),
        ("*/30 2 * * * for 10m in Europe/Zurich", "2026-10-25 01:10", "2026-10-25 01:30"),
        # Lord Howe, April: at two, which is 15:00 in UTC, it is half past one again.
        ("45 1 * * * for 10m in Australia/Lord_Howe", "2026-04-04 14:00", "2026-04-04 14:45"),
        ("45 1 * * * for 10m in Australia/Lord_Howe", "2026-04-04 14:55", "2026-04-05 15:15"),
        ("0 2 * * * for 10m in Australia/Lord_Howe", "2026-04-04 14:55", "2026-04-04 15:30"),
        ("0 */2 * * * for 10m in Australia/Lord_Howe", "2026-04-04 14:55", "2026-04-04 15:30"),
        ("45 * * * * for 10m in Australia/Lord_Howe", "2026-04-04 14:55", "2026-04-04 15:15"),
        # Lord Howe, October: after 01:59, which is 15:29 in UTC, it is half past two.
        ("15 2 * * * for 10m in Australia/Lord_Howe", "2026-10-03 14:00", "2026-10-03 15:30"),
        ("15 2 * * * for 10m in Australia/Lord_Howe", "2026-10-03 15:40", "2026-10-04 15:15"),
        ("45 2 * * * for 10m in Australia/Lord_Howe", "2026-10-03 14:00", "2026-10-03 15:45"),
        ("* 3 * * * for 1m in Australia/Lord_Howe", "2026-10-03 14:00", "2026-10-03 16:00"),
        # Midnight itself is skipped in Havana, and is there twice in autumn.
        ("0 0 * * * for 1h in America/Havana", "2026-03-08 00:00", "2026-03-08 05:00"),
        ("30 0 * * * for 10m in America/Havana", "2026-11-01 04:40", "2026-11-02 05:30"),
        # Santiago is at 23:00 again when midnight would come.
        ("30 23 * * * for 10m in America/Santiago", "2026-04-05 02:40", "2026-04-06 03:30"),
        ("*/30 23 * * * for 10m in America/Santiago", "2026-04-05 02:40", "2026-04-05 03:00"),
        # In St. John's it was yesterday again one minute into Sunday, at 02:31 in UTC.
        ("*/30 23 * * 6 for 10m in America/St_Johns", "2010-11-07 02:40:30", "2010-11-07 03:00"),
        # Apia left out the 30th of December 2011.
        ("0 12 * * * for 1h in Pacific/Apia", "2011-12-30 00:00", "2011-12-30 10:00"),
        ("0 */12 30 12 * for 1h in Pacific/Apia", "2011-12-29 12:00", "2012-12-29 10:00"),
    ],
)
def test_a_window_opens_by_the_clock_of_its_zone(text, now, opens):
    assert moment_of([text], [], utc(now)) == utc(opens)


# When something may be done.


@pytest.mark.parametrize(
    ("windows", "freezes", "now", "moment"),
    [
        # Nothing said: at once.
        ([], [], "2026-03-01 12:00:00.000001", "2026-03-01 12:00:00.000001"),
        # A window that is open, or the first that opens.
        ([NIGHTS], [], "2026-07-01 01:23:45", "2026-07-01 01:23:45"),
        ([NIGHTS], [], "2026-07-01 04:00", "2026-07-02 00:00"),
        ([NIGHTS], [], "2026-07-03 04:00", "2026-07-06 00:00"),
        ([NIGHTS, WEEKENDS], [], "2026-07-03 04:00", "2026-07-03 20:00"),
        ([WEEKENDS, NIGHTS], [], "2026-07-05 23:00", "2026-07-05 23:00"),
        (["0 0 29 2 * for 1h"], [], "2027-12-31 00:00", "2028-02-29 00:00"),
        # A freeze holds until its end, which is the first moment without it.
        ([], ["0 12 * * * for 2h"], "2026-03-01 12:00", "2026-03-01 14:00"),
        ([], ["0 12 * * * for 2h"], "2026-03-01 11:59", "2026-03-01 11:59"),
        ([], ["0 12 * * * for 2h", "0 13 * * * for 2h"], "2026-03-01 12:00", "2026-03-01 15:00"),
        (["0 10 * * * for 8h"], ["0 9 * * * for 2h"], "2026-03-01 08:00", "2026-03-01 11:00"),
        # The moment is in a window that outlasts the freeze, or in the next.
        (["0 10 * * * for 1h"], ["0 9 * * * for 2h"], "2026-03-01 08:00", None),
        (["0 10 * * * for 1h"], ["0 9 * * 1-6 for 2h"], "2026-03-02 08:00", "2026-03-08 10:00"),
        (["0 10,20 * * * for 1h"], ["0 9 * * * for 2h"], "2026-03-01 08:00", "2026-03-01 20:00"),
        # Christmas: from the 20th to the 2nd; the 3rd of January 2027 is a Sunday.
        ([NIGHTS], [CHRISTMAS], "2026-12-18 03:00", "2026-12-18 03:00"),
        ([NIGHTS], [CHRISTMAS], "2026-12-18 12:00", "2027-01-04 01:00"),
        ([NIGHTS], [CHRISTMAS], "2026-12-25 02:00", "2027-01-04 01:00"),
        ([WEEKENDS], [CHRISTMAS], "2026-12-19 22:59:59", "2026-12-19 22:59:59"),
        ([WEEKENDS], [CHRISTMAS], "2026-12-19 23:00", "2027-01-02 23:00"),
        ([], [CHRISTMAS], "2026-12-25 02:00", "2027-01-02 23:00"),
        # A freeze that covers every window, and one that never ends.
        ([NIGHTS], ["0 0 * * 1-5 for 24h"], "2026-03-01 12:00", None),
        ([NIGHTS, WEEKENDS], ["0 0 * * * for 24h"], "2026-03-01 12:00", None),
        ([], ["0 * * * * for 1h"], "2026-03-01 12:00", None),
        # A freeze of 24 hours a day leaves the twenty-fifth.
        ([], ["0 0 * * * for 24h in Europe/Zurich"], "2026-03-01 12:00", "2026-10-25 22:00"),
    ],
)
def test_the_first_moment_in_a_window_and_in_no_freeze(windows, freezes, now, moment):
    assert moment_of(windows, freezes, utc(now)) == (moment and utc(moment))


def test_a_moment_at_the_horizon_is_found_and_one_beyond_it_is_not():
    now = utc("2026-03-01 00:00")

    assert moment_of(["0 2 * * * for 1h"], [], now, horizon=2 * HOUR) == now + 2 * HOUR
    assert moment_of(["0 2 * * * for 1h"], [], now, horizon=2 * HOUR - INSTANT) is None
    assert moment_of([], ["0 0 * * * for 2h"], now, horizon=2 * HOUR) == now + 2 * HOUR
    assert moment_of([], ["0 0 * * * for 2h"], now, horizon=2 * HOUR - INSTANT) is None
    assert moment_of(["0 2 29 2 * for 1h"], [], now) is None
    before = utc("2010-11-07 02:20")  # half an hour later it is still Saturday there, but was Sunday between
    assert (
        moment_of(["0 0 * * 0 for 9m in America/St_Johns"], [], before, horizon=HOUR / 2)
        == before + 10 * MINUTE
    )
    assert moment_of(["0 2 29 2 * for 1h"], [], now, horizon=3 * LENGTH_MAX) == utc("2028-02-29 02:00")


def test_now_may_come_in_any_zone_and_answers_are_in_utc():
    now = utc("2026-03-29 00:30").astimezone(ZoneInfo("Europe/Zurich"))

    for found in (
        moment_of([], [], now),
        moment_of(["0 3 * * * for 1h in Europe/Zurich"], [], now),
        open_until(parse_window("0 1 * * * for 5h in Europe/Zurich"), now),
    ):
        assert found.tzinfo is UTC
    assert moment_of(["0 3 * * * for 1h in Europe/Zurich"], [], now) == utc("2026-03-29 01:00")
    assert moment_of(["0 3 * * * for 1h in Europe/Zurich"], [], now, horizon=29 * MINUTE) is None


@pytest.mark.timeout(30)  # to walk through each minute of the year, 20 times, takes longer
@pytest.mark.parametrize(
    ("windows", "freezes", "moment"),
    [
        (["* * * * * for 1m"], ["0 0 1 1 * for 364d"], "2026-12-31 00:00"),
        (["* * * * * for 1s"], ["0 0 1 1 * for 364d"], "2026-12-31 00:00"),
        (["* * * * * for 16d in Europe/Zurich"], ["*/5 * * * * for 5m"], None),
        ([], ["* 8-17 * * * for 366d"], None),
    ],
)
def test_long_freezes_and_frequent_openings_take_no_time_to_speak_of(windows, freezes, moment):
    for second in range(20):
        now = utc("2026-01-01 12:00") + timedelta(seconds=second)
        assert moment_of(windows, freezes, now) == (moment and utc(moment))


# The same, found by walking through the minutes with a watch.

ZONES = ["Europe/Zurich", "America/New_York", "UTC", "Asia/Kathmandu", "America/Havana", "Australia/Lord_Howe"]
CHANGES = ["2026-03-29", "2026-10-25", "2026-03-08", "2026-11-01", "2026-04-05", "2026-10-04", "2026-07-01"]
LONGEST = 2 * DAY


@dataclass(frozen=True)
class Field:
    text: str
    values: frozenset


def every(count, step=1):
    return Field("*" if step == 1 else f"*/{step}", frozenset(range(0, count, step)))


def listed(count):
    numbers = st.frozensets(st.integers(0, count - 1), min_size=1, max_size=3)
    return numbers.map(lambda values: Field(",".join(map(str, sorted(values))), values))


@dataclass(frozen=True)
class Case:
    """A window as text, and its fields as sets."""

    minutes: Field
    hours: Field
    weekdays: Field
    length: timedelta
    zone: str

    @property
    def window(self):
        seconds = int(self.length.total_seconds())
        return parse_window(
            f"{self.minutes.text} {self.hours.text} * * {self.weekdays.text} for {seconds}s in {self.zone}"
        )

    def says(self, wall):
        return (
            wall.minute in self.minutes.values
            and wall.hour in self.hours.values
            and wall.isoweekday() % 7 in self.weekdays.values
        )

    def open_minutes(self, start, end):
        """Every minute of `start` to `end` in which it is open."""
        by_the_clock = "*" in self.minutes.text + self.hours.text
        found, open_to = set(), start - LONGEST
        before = None
        minute = start - LONGEST - HOUR
        while minute < end:
            wall = minute.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
            if before is None or wall > before:
                passed = [wall] if before is None or by_the_clock else minutes_between(before, wall)
                before = wall
            else:  # the clock went back
                passed = [wall] if by_the_clock else []
                before = wall if by_the_clock else before
            if any(map(self.says, passed)):
                open_to = minute + self.length
            if start <= minute < open_to:
                found.add(minute)
            minute += MINUTE
        return found


def minutes_between(before, wall):
    return [wall - MINUTE * back for back in range((wall - before) // MINUTE)]


cases = st.builds(
    Case,
    minutes=st.sampled_from([every(60), every(60, 15), every(60, 30)]) | listed(60),
    hours=st.sampled_from([every(24), every(24, 2), every(24, 6), Field("1-3", frozenset({1, 2, 3}))])
    | listed(24),
    weekdays=st.sampled_from([every(7), Field("1-5", frozenset(range(1, 6))), Field("SUN", frozenset({0}))]),
    length=st.sampled_from([MINUTE, 10 * MINUTE, 45 * MINUTE, HOUR, 4 * HOUR, DAY, LONGEST]),
    zone=st.sampled_from(ZONES),
)
moments = st.builds(
    lambda day, minutes, rest: utc(day) + minutes * MINUTE + rest,
    st.sampled_from(CHANGES),
    st.integers(-30 * 60, 30 * 60),
    st.sampled_from([timedelta(0), INSTANT, timedelta(seconds=59)]),
)


def walked(now, end):
    """`now`, and then each full minute up to the end, included."""
    yield now
    minute = now.replace(second=0, microsecond=0) + MINUTE
    while minute <= end:
        yield minute
        minute += MINUTE


def minute_of(moment):
    return moment.replace(second=0, microsecond=0)


@settings(UNHURRIED, max_examples=60)
@given(windows=st.lists(cases, max_size=2), freezes=st.lists(cases, max_size=2), now=moments)
@example(
    windows=[Case(Field("45", frozenset({45})), every(24, 2), every(7), HOUR, "Australia/Lord_Howe")],
    freezes=[],
    now=utc("2026-04-04 14:00"),
)
def test_nothing_earlier_than_the_moment_found_would_do(windows, freezes, now):
    end = now + DAY
    start = minute_of(now)
    opened = [case.open_minutes(start, end + MINUTE) for case in windows]
    frozen = [case.open_minutes(start, end + MINUTE) for case in freezes]
    expected = next(
        (
            moment
            for moment in walked(now, end)
            if (not opened or any(minute_of(moment) in minutes for minutes in opened))
            and not any(minute_of(moment) in minutes for minutes in frozen)
        ),
        None,
    )

    found = find_moment((case.window for case in windows), (case.window for case in freezes), now, horizon=DAY)

    assert found == expected


@settings(UNHURRIED, max_examples=60)
@given(case=cases, now=moments)
def test_a_window_is_open_until_the_first_minute_in_which_it_is_closed(case, now):
    end = now + DAY
    minutes = case.open_minutes(minute_of(now), end + MINUTE)
    closed = next((moment for moment in walked(now, end) if minute_of(moment) not in minutes), None)

    until = open_until(case.window, now)

    if closed is None:
        assert until > end
    else:
        assert until == (None if closed == now else closed)


@UNHURRIED
@given(windows=st.lists(cases, max_size=3), freezes=st.lists(cases, max_size=3), now=moments)
def test_the_moment_found_is_open_not_frozen_not_past_and_found_again(windows, freezes, now):
    windows, freezes = [case.window for case in windows], [case.window for case in freezes]

    moment = find_moment(windows, freezes, now)

    if moment is None:
        assert freezes
    else:
        assert now <= moment <= now + LENGTH_MAX
        assert not windows or any(open_until(window, moment) for window in windows)
        assert not any(open_until(freeze, moment) for freeze in freezes)
        assert find_moment(windows, freezes, moment) == moment
        halfway = now + (moment - now) / 2
        assert find_moment(windows, freezes, halfway) == moment


@UNHURRIED
@given(case=cases, now=moments)
def test_the_end_is_not_before_that_of_any_opening_that_holds_now(case, now):
    window = case.window

    until = open_until(window, now)
    moment = find_moment([window], [], now)

    if until is None:
        assert moment > now
        assert open_until(window, moment) >= moment + window.length
    else:
        assert moment == now
        assert until > now
        assert open_until(window, until) is None or until > now + LENGTH_MAX


@UNHURRIED
@given(case=cases, now=moments)
def test_a_window_opens_at_the_slots_of_its_cron(case, now):
    """As slots.py has them, whose library loses some where clocks change by half an hour or at midnight."""
    if case.zone in ("Australia/Lord_Howe", "America/Havana"):
        case = replace(case, zone="Europe/Zurich")
    window = replace(case.window, length=INSTANT)

    assert find_moment([window], [], now + INSTANT) == next_slot(window.cron, window.zone, now)


@UNHURRIED
@given(
    case=cases,
    length=st.timedeltas(timedelta(seconds=1), LENGTH_MAX).map(
        lambda length: timedelta(length.days, length.seconds)
    ),
    default_zone=st.sampled_from(ZONES),
)
def test_a_window_shown_is_read_back(case, length, default_zone):
    window = replace(case.window, length=max(length, timedelta(seconds=1)))

    assert parse_window(show_window(window), default_zone=default_zone) == window
