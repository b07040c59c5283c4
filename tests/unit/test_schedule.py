"""When a workflow runs next."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.errors import InvalidInputError
from worker.workflows.schedule import SCHEDULE_TYPES, next_run

SUNDAY = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule_type", "value", "expected"),
    [
        ("interval", "1 second", "2026-03-01 08:30:01"),
        ("interval", "5 minutes", "2026-03-01 08:35"),
        ("interval", "1 hour", "2026-03-01 09:30"),
        ("interval", "2 days", "2026-03-03 08:30"),
        ("cron", "0 9 * * *", "2026-03-01 09:00"),
        ("cron", "30 8 * * *", "2026-03-02 08:30"),
        ("cron", "*/15 * * * MON", "2026-03-02 00:00"),
        ("cron", "0 0 29 2 *", "2028-02-29 00:00"),
        ("daily", "09:00", "2026-03-01 09:00"),
        ("daily", "9:00", "2026-03-01 09:00"),
        ("daily", "08:30", "2026-03-02 08:30"),
        ("daily", "00:00", "2026-03-02 00:00"),
        ("daily", "23:59", "2026-03-01 23:59"),
        ("weekly", "mon 09:00", "2026-03-02 09:00"),
        ("weekly", "SUN 09:00", "2026-03-01 09:00"),
        ("weekly", "sun 08:30", "2026-03-08 08:30"),
        ("monthly", "1 09:00", "2026-03-01 09:00"),
        ("monthly", "1 08:00", "2026-04-01 08:00"),
        ("monthly", "31 09:00", "2026-03-31 09:00"),
        ("monthly", "30 08:00", "2026-03-30 08:00"),
    ],
)
def test_the_first_run_after_a_time(schedule_type, value, expected):
    assert next_run(schedule_type, value, SUNDAY) == at(expected)


def test_a_day_that_a_month_lacks_waits_for_one_that_has_it():
    assert next_run("monthly", "31 09:00", at("2026-04-02 00:00")) == at("2026-05-31 09:00")


@pytest.mark.parametrize("value", [None, ""])
def test_a_manual_workflow_never_runs_by_itself(value):
    assert next_run("manual", value, SUNDAY) is None


@pytest.mark.parametrize(
    ("schedule_type", "value", "example"),
    [
        *[
            ("interval", value, "5 minutes")
            for value in (None, "", "0 minutes", "5", "5  minutes", "-5 minutes", "5 weeks", "1.5 hours")
        ],
        ("interval", "1000000 days", "5 minutes"),
        *[
            ("cron", value, r"0 9 \* \* \*")
            for value in (None, "", "0 9 * *", "99 9 * * *", "0 0 30 2 *", "@daily", "09:00")
        ],
        *[
            ("daily", value, "09:00")
            for value in (None, "", "9", "24:00", "09:60", "09:00:00", "*:00", "*/5:*", "1,2:00", " 09:00")
        ],
        *[
            ("weekly", value, "mon 09:00")
            for value in (None, "", "09:00", "monday 09:00", "1 09:00", "mon,tue 09:00", "* 09:00", "mon")
        ],
        *[
            ("monthly", value, "1 09:00")
            for value in (
                None,
                "",
                "09:00",
                "0 09:00",
                "32 09:00",
                "* 09:00",
                "*/2 09:00",
                "1-5 09:00",
                "1 *:00",
            )
        ],
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused_with_an_example(schedule_type, value, example):
    with pytest.raises(InvalidInputError, match=rf"schedule_value of {schedule_type} is .*'{example}'"):
        next_run(schedule_type, value, SUNDAY)


def test_a_manual_schedule_takes_no_value():
    with pytest.raises(InvalidInputError, match="manual schedule has no schedule_value"):
        next_run("manual", "09:00", SUNDAY)


@pytest.mark.parametrize("schedule_type", ["", "hourly", "Daily", "yearly"])
def test_an_unknown_type_is_refused_with_those_that_exist(schedule_type):
    with pytest.raises(InvalidInputError, match=", ".join(SCHEDULE_TYPES)):
        next_run(schedule_type, "09:00", SUNDAY)


def test_a_time_of_another_zone_is_taken_for_what_it_is_in_utc():
    half_past_ten_at_plus_two = SUNDAY.astimezone(timezone(timedelta(hours=2)))

    assert next_run("daily", "09:00", half_past_ten_at_plus_two) == at("2026-03-01 09:00")


fitting: st.SearchStrategy[Any] = st.one_of(
    st.tuples(
        st.just("interval"),
        st.builds(lambda n, u: f"{n} {u}s", st.integers(1, 999), st.sampled_from(["second", "minute", "hour"])),
    ),
    st.tuples(st.just("daily"), st.times().map(lambda time: f"{time:%H:%M}")),
    st.tuples(
        st.just("weekly"),
        st.builds(lambda day, time: f"{day} {time:%H:%M}", st.sampled_from(["mon", "Sat"]), st.times()),
    ),
    st.tuples(
        st.just("monthly"),
        st.builds(lambda day, time: f"{day} {time:%H:%M}", st.integers(1, 31), st.times()),
    ),
)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)).map(  # noqa: DTZ001  # made aware next
    lambda moment: moment.replace(tzinfo=UTC)
)


@given(schedule=fitting, after=moments)
def test_the_next_run_is_always_later_and_in_utc(schedule, after):
    kind, value = schedule
    found = next_run(kind, value, after)

    assert found > after
    assert found.tzinfo is UTC


@given(schedule=fitting.filter(lambda schedule: schedule[0] != "interval"), after=moments)
def test_a_run_at_a_time_of_day_is_the_same_whenever_it_is_asked_for(schedule, after):
    kind, value = schedule
    found = next_run(kind, value, after)
    halfway = after + (found - after) / 2

    if halfway < found:
        assert next_run(kind, value, halfway) == found


@given(schedule_type=st.sampled_from(SCHEDULE_TYPES) | st.text(), value=st.none() | st.text(max_size=30))
def test_any_text_is_either_a_schedule_or_refused(schedule_type, value):
    try:
        found = next_run(schedule_type, value, SUNDAY)
    except InvalidInputError as error:
        assert "\n" not in str(error)  # noqa: PT017  # the other outcome is as good
    else:
        assert found is None or found > SUNDAY
