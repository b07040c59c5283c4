"""Types of fields that the models share: times that can be meant, and what a workflow gave."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime

_YEARS: Final = range(1970, 9999)


def _read_time(given: datetime) -> datetime:
    try:
        time = given.astimezone(UTC)
    except OverflowError:
        time = None
    if time is None or time.year not in _YEARS:
        raise ValueError(f"write a time from {_YEARS.start} to {_YEARS.stop - 1}")
    return time


Time = Annotated[AwareDatetime, AfterValidator(_read_time)]
"""In UTC. A time at the end of all times would be none in another zone, or in a database."""


def _show_output(given: Any) -> Any:  # noqa: ANN401  # JSON
    """Half a character, which JSON can escape and UTF-8 cannot hold, is shown as a question mark."""
    text = json.dumps(given, ensure_ascii=False)
    if text.isascii() or not has_half_a_character(text):
        return given
    return json.loads(text.encode(errors="replace"))


Output = Annotated[Any, AfterValidator(_show_output)]
"""What a workflow gave, masked already."""


def has_half_a_character(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def find_nul(request: Mapping[str, Any]) -> str:
    """The parameter, or field of the body, in which a text holds one."""
    for name, part in request.items():
        if "\\u0000" in json.dumps(part):
            return find_nul(part) if isinstance(part, dict) and name == "body" else name
    return "body"


def find_half_a_character(body: Any) -> str | None:  # noqa: ANN401  # JSON
    """The field of a body in which a text holds one; None: there is none."""
    if not has_half_a_character(json.dumps(body, ensure_ascii=False)):
        return None
    if isinstance(body, dict):
        for name, part in body.items():
            if has_half_a_character(json.dumps(part, ensure_ascii=False)):
                return str(name) if not has_half_a_character(name) else "body"
    return "body"
