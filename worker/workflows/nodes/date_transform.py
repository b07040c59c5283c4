"""`date_transform`: writes a date in another form, moves it, or takes it to another time zone."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any, ClassVar, Final, Literal
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta
from pydantic import Field, model_validator

from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.quiet import check_zone
from worker.workflows.nodes.base import Execution, Fields, NodeKind, OneWayOn, Outcome
from worker.workflows.nodes.readings import lacks, unknown

_FORM_MAX: Final = 1000
_CLOCK: Final = frozenset({"seconds", "minutes", "hours"})
"""Units of time that passes; the others are of the calendar, and keep the time of the day."""
_NO_DIRECTIVE = re.compile(r"%(?!-?[aAbBcdeGHIjmMpSuUVwWxXyYzZf]|%).{0,2}", re.DOTALL)
"""What the C library would read in its own way (%s takes the machine's zone) or leave as it is."""


class DateTransformFields(Fields):
    date: str = Field(
        min_length=1, description="a template: a date by ISO 8601, UTC where it says no zone; or now"
    )
    operation: Literal["format", "add", "subtract", "convert"] = Field(
        default="format",
        description="write it by format, move it by amount and unit, or take it to timezone",
    )
    amount: int | str | None = Field(
        default=None, description="add, subtract: a whole number, or a template that gives one"
    )
    unit: Literal["seconds", "minutes", "hours", "days", "weeks", "months", "years"] | None = Field(
        default=None, description="add, subtract: of what"
    )
    format: str | None = Field(
        default=None,
        max_length=_FORM_MAX,
        description="a template: how text is written, as strftime has it (%Y-%m-%d); without it by ISO 8601",
    )
    timezone: str | None = Field(
        default=None,
        max_length=200,
        description="a template: the zone of the result, such as Europe/Zurich; without it the date's own",
    )

    @model_validator(mode="after")
    def _check(self) -> "DateTransformFields":
        needed: list[str] = {"format": [], "convert": ["timezone"]}.get(self.operation, ["amount", "unit"])
        missing = [name for name in needed if getattr(self, name) in (None, "")]
        if missing:
            raise lacks(f"operation {self.operation} needs {' and '.join(missing)}")
        if isinstance(self.amount, str) and not _is_template(self.amount) and not _is_whole(self.amount):
            raise unknown("amount: write a whole number, or a template that gives one")
        if self.format and not _is_template(self.format):
            problem = _find_problem(self.format)
            if problem is not None:
                raise unknown(f"format: {problem}")
        if self.timezone and not _is_template(self.timezone):
            _check_zone(self.timezone)
        return self


class DateTransform(OneWayOn):
    """Writes a date in another form, adds to it or subtracts from it, or takes it to another time zone.

    Days, weeks, months and years keep the time of the day in the zone of the result; the day that a month does
    not have becomes its last (31 January and a month: 28 or 29 February). Seconds, minutes and hours are time
    that passes. What is not a date is a mistake, and so is what lies beyond the years 1 to 9999. `now` is the
    time of this machine.
    It reaches nothing: its test is to run it.
    """

    component_id: ClassVar[str] = "date_transform"
    kind: ClassVar[NodeKind] = NodeKind.ACTION
    Fields: ClassVar[type[Fields]] = DateTransformFields
    example: ClassVar[Mapping[str, Any]] = {
        "date": "{{ webhook_payload.due }}",
        "operation": "add",
        "amount": 14,
        "unit": "days",
        "timezone": "Europe/Zurich",
        "format": "%d.%m.%Y",
    }

    def run(self, fields: Any, execution: Execution) -> Outcome:  # noqa: ANN401  # the contract's
        """Output: `{"date", "text", "timestamp"}`: by ISO 8601, by `format`, and in seconds since 1970."""
        wanted = DateTransformFields.model_validate(fields)
        date = _read_date(execution.render(wanted.date))
        zone = execution.render(wanted.timezone or "").strip()
        amount = _read_amount(wanted, execution)
        form = execution.render(wanted.format) if wanted.format else None
        result = _compute(date, zone, amount, wanted.unit)
        text = result.isoformat() if form is None else _write(result, form)
        return Outcome(
            output={"date": result.isoformat(), "text": text, "timestamp": floor(result.timestamp())}
        )


def _read_date(text: str) -> datetime:
    wanted = text.strip()
    if wanted.lower() == "now":
        return datetime.now(UTC)
    try:
        date = datetime.fromisoformat(wanted)
    except ValueError:
        pass
    else:
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    raise TargetError("the date is neither written by ISO 8601 nor the word now", cause=Cause.MISTAKE)


def _read_amount(wanted: DateTransformFields, execution: Execution) -> int:
    """What is added, below zero for what is subtracted; 0 where nothing is."""
    if wanted.operation not in ("add", "subtract"):
        return 0
    amount = wanted.amount if isinstance(wanted.amount, int) else execution.render(wanted.amount or "")
    if isinstance(amount, str) and not _is_whole(amount):
        raise TargetError("amount gives no whole number", cause=Cause.MISTAKE)
    return int(amount) if wanted.operation == "add" else -int(amount)


def _compute(date: datetime, zone: str, amount: int, unit: str | None) -> datetime:
    problem = "the date lies beyond the years 1 to 9999"
    try:
        local = date.astimezone(ZoneInfo(check_zone(zone))) if zone else date
        return _move(local, amount, unit) if amount and unit else local
    except InvalidInputError:
        problem = "timezone gives no time zone"
    except (OverflowError, ValueError):
        pass
    raise TargetError(problem, cause=Cause.MISTAKE)


def _move(date: datetime, amount: int, unit: str) -> datetime:
    if unit in _CLOCK:
        return (date.astimezone(UTC) + timedelta(**{unit: amount})).astimezone(date.tzinfo)
    moved: datetime = date + relativedelta(**{unit: amount})
    return moved.astimezone(UTC).astimezone(date.tzinfo)  # an hour that a zone leaves out is not there


def _write(date: datetime, form: str) -> str:
    # At a NUL the C library would stop, and a long text would become a longer one.
    if "\0" in form or len(form) > _FORM_MAX or _find_problem(form) is not None:
        raise TargetError("format gives what no date can be written by", cause=Cause.MISTAKE)
    return date.strftime(form)


def _check_zone(name: str) -> None:
    try:
        check_zone(name)
    except InvalidInputError as error:
        raise unknown(f"timezone: {error}") from None


def _find_problem(form: str) -> str | None:
    """What makes it none for strftime: a directive that is not known, or none at all, as in YYYY-MM-DD."""
    plain = form.replace("%%", "")
    found = _NO_DIRECTIVE.search(plain)
    if found is not None:
        return f"{found[0]!r} is not a known directive; a % is written %%"
    return None if "%" in plain else "it holds no directive: write it as strftime has it, %Y-%m-%d"


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", text) is not None
