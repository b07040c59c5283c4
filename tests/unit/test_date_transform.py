"""Dates: written in another form, moved, and taken to other time zones."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.test_nodes import execution
from vaultcore.errors import Cause, TargetError
from worker.workflows.nodes.catalog import find_component

ZURICH = "Europe/Zurich"


def transform(context=None, **data):
    component = find_component("date_transform")
    fields = component.Fields.model_validate(data)
    return component.run(fields, execution(context or {})).output


def move(date, amount, unit, operation="add", **more):
    return transform(date=date, operation=operation, amount=amount, unit=unit, **more)["date"]


@pytest.mark.parametrize(
    ("date", "form", "text"),
    [
        ("2026-03-04", "%d.%m.%Y", "04.03.2026"),
        ("2026-03-04T05:06:07Z", "%Y%m%dT%H%M%S%z", "20260304T050607+0000"),
        ("2026-03-04T05:06:07.089+02:00", "%H:%M:%S.%f %z", "05:06:07.089000 +0200"),
        ("2026-03-04", "%A, %-d %B %Y", "Wednesday, 4 March 2026"),
        ("2026-03-04", "{{ form }}", "2026"),
        ("2026-03-04", "100%% of %Y", "100% of 2026"),
        ("2026-W10-3", "%G-W%V", "2026-W10"),
    ],
)
def test_a_date_is_written_by_its_format(date, form, text):
    assert transform({"form": "%Y"}, date=date, format=form)["text"] == text


def test_the_output_has_the_date_by_iso_8601_and_in_seconds_too():
    assert transform(date=" 2026-03-04T01:00:00+01:00 ", operation="convert", timezone="UTC") == {
        "date": "2026-03-04T00:00:00+00:00",
        "text": "2026-03-04T00:00:00+00:00",
        "timestamp": 1772582400,
    }


@pytest.mark.parametrize(
    ("date", "amount", "unit", "moved"),
    [
        ("2026-03-04", 90, "seconds", "2026-03-04T00:01:30+00:00"),
        ("2026-03-04", 90, "minutes", "2026-03-04T01:30:00+00:00"),
        ("2026-03-04", 36, "hours", "2026-03-05T12:00:00+00:00"),
        ("2026-03-04", 28, "days", "2026-04-01T00:00:00+00:00"),
        ("2026-03-04", 2, "weeks", "2026-03-18T00:00:00+00:00"),
        ("2026-01-31", 1, "months", "2026-02-28T00:00:00+00:00"),
        ("2028-01-31", 1, "months", "2028-02-29T00:00:00+00:00"),
        ("2026-11-30", 14, "months", "2028-01-30T00:00:00+00:00"),
        ("2028-02-29", 1, "years", "2029-02-28T00:00:00+00:00"),
        ("2026-03-04T05:06:07.5+02:00", 0, "days", "2026-03-04T05:06:07.500000+02:00"),
        ("2026-03-04", " 2 ", "days", "2026-03-06T00:00:00+00:00"),
        ("2026-03-04", "{{ n }}", "days", "2026-03-07T00:00:00+00:00"),
        ("2026-03-04", -1, "days", "2026-03-03T00:00:00+00:00"),
    ],
)
def test_a_date_is_moved(date, amount, unit, moved):
    assert move(date, amount, unit, context={"n": 3}) == moved


def test_subtracting_goes_back():
    assert move("2026-03-31", 1, "months", "subtract") == "2026-02-28T00:00:00+00:00"
    assert move("2026-03-01", "{{ n }}", "days", "subtract", context={"n": "1"}) == "2026-02-28T00:00:00+00:00"


@pytest.mark.parametrize(
    ("amount", "unit", "moved"),
    [
        (1, "days", "2026-03-29T12:00:00+02:00"),
        (24, "hours", "2026-03-29T13:00:00+02:00"),
        (1, "months", "2026-04-28T12:00:00+02:00"),
    ],
)
def test_days_keep_the_time_of_the_day_where_clocks_are_changed_and_hours_pass(amount, unit, moved):
    assert move("2026-03-28T11:00:00Z", amount, unit, timezone=ZURICH) == moved


def test_an_hour_that_a_zone_leaves_out_is_the_one_after_it():
    assert move("2026-03-28T02:30:00+01:00", 1, "days", timezone=ZURICH) == "2026-03-29T03:30:00+02:00"


@pytest.mark.parametrize("zone", [ZURICH, "{{ zone }}", f" {ZURICH} "])
def test_a_date_is_taken_to_a_time_zone(zone):
    taken = transform({"zone": ZURICH}, date="2026-07-01T12:00", operation="convert", timezone=zone.strip())
    assert taken["date"] == "2026-07-01T14:00:00+02:00"


@pytest.mark.parametrize("text", ["now", " NOW ", "{{ when }}"])
def test_now_is_the_time_of_this_machine(text):
    before = datetime.now(UTC)
    shown = transform({"when": "now"}, date=text, operation="convert", timezone="UTC")["date"]
    assert before <= datetime.fromisoformat(shown) <= datetime.now(UTC)


@given(
    date=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001  # UTC where it says none
    amount=st.integers(-10_000, 10_000),
    unit=st.sampled_from(["seconds", "minutes", "hours", "days", "weeks"]),
)
def test_what_was_added_is_taken_away_again(date, amount, unit):
    moved = move(date.isoformat(), amount, unit)
    assert datetime.fromisoformat(moved) - date.replace(tzinfo=UTC) == timedelta(**{unit: amount})
    assert move(moved, amount, unit, "subtract") == date.replace(tzinfo=UTC).isoformat()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        *(
            ({"date": text, "format": "%Y"}, "the date is neither written by ISO 8601 nor the word now")
            for text in ("soon", "{{ empty }}", "2026-02-30", "1772582400", "04.03.2026", "yesterday")
        ),
        (
            {"date": "2026-03-04", "operation": "add", "unit": "days", "amount": "{{ sent }}"},
            "amount gives no whole number",
        ),
        (
            {"date": "2026-03-04", "operation": "add", "unit": "years", "amount": 8000},
            "the date lies beyond the years 1 to 9999",
        ),
        (
            {"date": "2026-03-04", "operation": "subtract", "unit": "days", "amount": 10**17},
            "the date lies beyond the years 1 to 9999",
        ),
        (
            {"date": "2026-03-04", "operation": "add", "unit": "seconds", "amount": 10**300},
            "the date lies beyond the years 1 to 9999",
        ),
        (
            {"date": "9999-12-31T23:30Z", "operation": "convert", "timezone": ZURICH},
            "the date lies beyond the years 1 to 9999",
        ),
        (
            {"date": "2026-03-04", "operation": "convert", "timezone": "{{ sent }}"},
            "timezone gives no time zone",
        ),
        (
            {"date": "2026-03-04", "operation": "convert", "timezone": "../{{ sent }}"},
            "timezone gives no time zone",
        ),
        ({"date": "2026-03-04", "format": "{{ directive }}"}, "format gives what no date can be written by"),
        ({"date": "2026-03-04", "format": "{{ sent }}"}, "format gives what no date can be written by"),
        (
            {"date": "2026-03-04", "format": "{% for i in (1..501) %}%c{% endfor %}"},
            "format gives what no date can be written by",
        ),
        ({"date": "2026-03-04", "format": "%Y{{ nul }}"}, "format gives what no date can be written by"),
        ({"date": "{{ gone }}", "format": "%Y"}, "the template cannot be rendered: gone is undefined"),
    ],
)
def test_what_does_not_fit_is_a_mistake_told_without_what_was_sent(data, problem):
    sent = {"sent": "s3cr3t", "empty": "", "directive": "%s3cr3t", "nul": "\0"}
    with pytest.raises(TargetError) as caught:
        transform(sent, **data)
    assert (str(caught.value), caught.value.cause) == (problem, Cause.MISTAKE)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("data", [{}, {"format": ""}, {"format": None}, {"operation": "format"}])
def test_a_date_is_written_by_iso_8601_where_nothing_says_how(data):
    assert transform({}, date="2026-03-04 05:06", **data)["text"] == "2026-03-04T05:06:00+00:00"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"format": "%Y"}, "date"),
        ({"date": "now", "operation": "add", "amount": True, "unit": "days"}, "neither true nor false"),
        ({"date": "now", "operation": "add"}, "operation add needs amount and unit"),
        ({"date": "now", "operation": "subtract", "amount": 1}, "operation subtract needs unit"),
        ({"date": "now", "operation": "convert"}, "operation convert needs timezone"),
        ({"date": "now", "operation": "convert", "timezone": ""}, "operation convert needs timezone"),
        (
            {"date": "now", "operation": "convert", "timezone": "Zurich"},
            "timezone: 'Zurich' is not a time zone",
        ),
        ({"date": "now", "operation": "add", "amount": 1, "unit": "moons"}, "unit"),
        ({"date": "now", "operation": "add", "amount": "two", "unit": "days"}, "amount: write a whole number"),
        ({"date": "now", "operation": "add", "amount": 1.5, "unit": "days"}, "amount"),
        ({"date": "now", "format": "%s"}, "format: '%s' is not a known directive"),
        ({"date": "now", "format": "at %"}, "format: '%' is not a known directive"),
        ({"date": "now", "format": "%999Y"}, "format: '%99' is not a known directive"),
        ({"date": "now", "format": "YYYY-MM-DD"}, "format: it holds no directive: write it as strftime has it"),
        ({"date": "now", "format": "100%%"}, "format: it holds no directive"),
        ({"date": "now", "operation": "tell", "format": "%Y"}, "operation"),
    ],
)
def test_fields_that_cannot_be_right_are_refused_by_name(data, problem):
    with pytest.raises(ValidationError) as caught:
        find_component("date_transform").Fields.model_validate(data)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"date": "now", "operation": "add", "unit": "days"}, "missing"),
        ({"date": "now", "format": "Y-m-d"}, "literal_error"),
        ({"date": "now", "operation": "convert", "timezone": "+02:00"}, "literal_error"),
        ({"date": "now", "operation": "add", "amount": "P1D", "unit": "days"}, "literal_error"),
    ],
)
def test_what_another_engine_may_mean_is_told_as_what_is_missing_or_not_known_here(data, kind):
    with pytest.raises(ValidationError) as caught:
        find_component("date_transform").Fields.model_validate(data)
    assert [error["type"] for error in caught.value.errors()] == [kind]


@given(
    date=st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
    | st.datetimes().map(str)
    | st.text(min_size=1),
    operation=st.sampled_from(["format", "add", "subtract", "convert"]),
    amount=st.integers() | st.integers(-40, 40) | st.text("0123456789-+ \u00b2"),
    unit=st.sampled_from("seconds minutes hours days weeks months years".split()),
    form=st.none() | st.text("%YmdHMSzZjUaAbBpfc-eV \n\u2603{}", max_size=12),
    zone=st.sampled_from([None, ZURICH, "America/Lord_Howe", "Pacific/Apia", "Europe", "..", "A" * 199, "\0"]),
)
def test_whatever_is_given_is_a_date_or_a_mistake(date, operation, amount, unit, form, zone):
    data = {
        "date": date,
        "operation": operation,
        "amount": amount,
        "unit": unit,
        "format": form,
        "timezone": zone,
    }
    try:
        output = transform(**data)
    except (ValidationError, TargetError):
        return
    assert datetime.fromisoformat(output["date"]).timestamp() // 1 == output["timestamp"]
