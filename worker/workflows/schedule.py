"""When a workflow runs next. Pure; times are UTC."""

import re
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from vaultcore.errors import InvalidInputError

SCHEDULE_TYPES = ("manual", "interval", "cron", "daily", "weekly", "monthly")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"\d{1,2}:\d{2}")
_INTERVAL = re.compile(r"(\d{1,6}) (second|minute|hour|day)s?")
_FORMS = {
    "interval": "such as '5 minutes'",
    "cron": "a cron expression such as '0 9 * * *'",
    "daily": "a time such as '09:00'",
    "weekly": "a day and a time such as 'mon 09:00'",
    "monthly": "a day of the month and a time such as '1 09:00'",
}


def next_run(schedule_type: str, value: str | None, after: datetime) -> datetime | None:
    """The first run after a time; None for `manual`. `InvalidInputError` if the two do not agree."""
    if schedule_type == "manual":
        if value:
            raise InvalidInputError("a manual schedule has no schedule_value")
        return None
    if schedule_type not in _FORMS:
        raise InvalidInputError(f"schedule_type is one of {', '.join(SCHEDULE_TYPES)}")
    found = _interval(value, after) if schedule_type == "interval" else _by_cron(schedule_type, value, after)
    if found is None:
        raise InvalidInputError(f"schedule_value of {schedule_type} is {_FORMS[schedule_type]}")
    return found


def _interval(value: str | None, after: datetime) -> datetime | None:
    match = _INTERVAL.fullmatch(value or "")
    if match is None or int(match[1]) == 0:
        return None
    return after + timedelta(**{f"{match[2]}s": int(match[1])})


def _by_cron(schedule_type: str, value: str | None, after: datetime) -> datetime | None:
    expression = _as_cron(schedule_type, value or "")
    try:
        found: datetime = next(CronSim(expression, after.astimezone(UTC)))
    except (CronSimError, StopIteration):
        return None
    return found


def _as_cron(schedule_type: str, value: str) -> str:
    if schedule_type == "cron":
        return value
    *day, time = value.lower().split(" ")
    if not _TIME.fullmatch(time):
        return ""
    hour, _, minute = time.partition(":")
    if schedule_type == "daily" and not day:
        return f"{minute} {hour} * * *"
    if schedule_type == "weekly" and len(day) == 1 and day[0] in _DAYS:
        return f"{minute} {hour} * * {day[0]}"
    if schedule_type == "monthly" and len(day) == 1 and day[0].isdecimal():
        return f"{minute} {hour} {day[0]} * *"
    return ""
