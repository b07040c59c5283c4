"""Fields that several forms of items have: read, checked, and given back as they were filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any, Final

from starlette.datastructures import FormData

from vaultcore.errors import InvalidInputError, NightkeyError
from vaultcore.labels import parse_labels, split_line
from vaultcore.model import UNCHANGED, Label, Unchanged
from vaultcore.rules import MASKED_MIN
from vaultcore.secret import Secret
from worker.web.api.errors import find_status
from worker.web.console.days import HOW_TO, begin_of
from worker.wording.forms import say_for_forms
from worker.wording.warnings import word_short

SHORT: Final = "short"
"""Said of a value that is too short, and meant so."""
KEEP, BY_POLICY, NEVER, ON_DAY = "keep", "policy", "never", "day"
LABELS_LINE_MAX: Final = 6_000
DAYS: Final = ("30", "90", "365")
_PLACES: Final = (
    ("item name", "name"),
    ("an item named", "name"),
    ("the value of", "value"),
    ("the expiry of", "expires"),
    ("nothing says when", "expires"),
    ("no owner", "owner"),
    ("label", "labels"),
    ("no active workflow here uses", "mode"),
    ("policy of", "plan"),
    ("rotator", "rotator"),
    ("settings", "settings"),
    ("lifetime", "lifetime"),
    ("lead", "lead"),
    ("overlap", "overlap"),
)
"""At which field an error of the services is shown, by how it begins; any other stands above the form."""
_WITHIN: Final = ((" needs a rotator", "mode"), (", setting ", "settings"))
"""The same, by what it says."""


class FieldError(Exception):
    """What was filled in cannot be meant: shown at its field."""

    def __init__(self, name: str, says: str) -> None:
        super().__init__(says)
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Filled:
    """What stands in a form: `given` as it was filled in, never a value; `errors` by field, or `form`."""

    given: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


def refill(form: FormData, error: Exception, *, secret: tuple[str, ...] = ("value", "lines")) -> Filled:
    """The form as it was sent, with what was wrong with it; `secret` fields are empty again."""
    given: dict[str, Any] = {
        name: form.getlist(name) if name == "owner" else form[name] for name in form if name not in secret
    }
    place, says = (error.name, str(error)) if isinstance(error, FieldError) else _place(error)
    return Filled(given=given, errors={place: says[:1].upper() + says[1:]})


def _place(error: Exception) -> tuple[str, str]:
    says = say_for_forms(str(error)) if isinstance(error, NightkeyError) else "that cannot be read"
    within = [name for part, name in _WITHIN if part in says]
    begins = [name for begins, name in _PLACES if says.startswith(begins)]
    return next(iter([*within, *begins]), "form"), says


def demand(is_so: object, name: str, otherwise: str) -> None:
    """`FieldError` at that field where it is not so."""
    if not is_so:
        raise FieldError(name, otherwise)


def read_text(form: FormData, name: str, *, most: int = 250) -> str:
    """What was typed, without blanks at its ends; empty where nothing was."""
    given = form.get(name, "")
    text = given.strip() if isinstance(given, str) else ""
    if len(text) > most:
        raise FieldError(name, f"it has {len(text):,} characters: {most:,} at most")
    return text


def read_value(form: FormData) -> Secret:
    """What was typed, as it was: blanks may be part of it. Lines end as in a file, and not as a browser sends
    them.
    """
    given, lines = form.get("value", ""), form.get("lines", "")
    demand(not (given and lines), "value", "it was given twice: on one line, and on several")
    text = given or (lines.replace("\r\n", "\n") if isinstance(lines, str) else "")
    return Secret(text if isinstance(text, str) else "")


def read_meant_value(form: FormData) -> Secret:
    """As `read_value`, and asked about once more where it is too short to be masked by itself."""
    value = read_value(form)
    if 0 < len(value) < MASKED_MIN and "short" not in form:
        raise FieldError(SHORT, word_short(MASKED_MIN))
    return value


def read_labels(form: FormData, name: str = "labels") -> tuple[Label, ...]:
    """One line of them; `FieldError` at that field where it holds what is none."""
    line = read_text(form, name, most=LABELS_LINE_MAX)
    try:
        return parse_labels(split_line(line))
    except InvalidInputError as error:
        problem = str(error)
    raise FieldError(name, problem)


def read_owners(form: FormData) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for one in form.getlist("owner") if isinstance(one, str) and one))


def read_expiry(form: FormData, *, now: datetime, zone: tzinfo) -> datetime | Unchanged | None:
    """Unchanged: as it is, or as the policy says."""
    chosen = read_text(form, "expires")
    if chosen in (KEEP, BY_POLICY, ""):
        return UNCHANGED
    if chosen == NEVER:
        return None
    if chosen in DAYS:
        return now + timedelta(days=int(chosen))
    if chosen == ON_DAY:
        day = _read_day(form, "expires_on", zone=zone)
        demand(day > now, "expires_on", "that day has begun: choose one that is still to come")
        return day
    raise FieldError("expires", "choose one of these")


def _read_day(form: FormData, name: str, *, zone: tzinfo) -> datetime:
    """The first moment of a day, as the clock of the reader's zone has it."""
    text = read_text(form, name)
    moment = begin_of(text, zone)
    if moment is None:
        raise FieldError(name, f"{text[:40]!r} is no day: {HOW_TO}" if text else "say on which day")
    return moment


def status_of(error: Exception) -> int:
    """Of the answer that shows the form again. What is no fault of who filled it in goes on as it is."""
    if isinstance(error, FieldError):
        return 422
    found = find_status(error) if isinstance(error, NightkeyError) else None
    if found is None:
        raise error
    return found[0]
