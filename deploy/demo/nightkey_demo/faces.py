"""Ways in which a token service may be other than one expects, each to be switched on: no fault of a moment,
but what it is like for as long as it wears them.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from typing import Any, Final

from nightkey_demo.loopback import Answer

SIGN_IN_PATH: Final = "/sign-in"
PAGE: Final = 1
"""Tokens on a page of a list."""
LAG: Final = timedelta(seconds=4)
"""Each replica learns of a token by so much later than the one before it."""
REPLICAS: Final = 3
SOON: Final = timedelta(minutes=2)


class Face(StrEnum):
    SAYS_NO_WITH_200 = "200 that says no"
    """Every call of the API is answered with 200 and `{"ok": false}`, whoever makes it."""
    SIGN_IN = "sign-in page"
    """Whom it does not let in it redirects to a page that answers 200."""
    ENDS_SOON = "ends soon"
    """A token that it issues ends within minutes, whatever lifetime was asked for; told in several forms."""
    ENDED = "ended"
    """It says of a token that it issues that it has ended: 0, -1, 1970, 2020."""
    NO_OVERLAP = "no overlap"
    """Issuing a token ends the account's others at once."""
    REPLICAS = "replicas"
    """Three of them answer in turn, and learn of a token one after the other."""
    PAGES = "pages"
    """Lists come in pages: `next` in the body, and a `Link`, say where the next one is."""
    NO_FILTER = "no filter"
    """Lists are of the whole account, whatever label was asked for."""
    BUSY = "busy"
    """Everything is answered with 429, or 503, and `Retry-After`, as seconds or as a date."""


def refuse(reason: str | None, faces: frozenset[Face]) -> Answer:
    if Face.SIGN_IN in faces:
        return Answer(status=302, headers={"Location": SIGN_IN_PATH})
    return Answer(status=401, body={"error": "invalid_token", "reason": reason})


def be_busy(number: int, now: datetime, seconds: int) -> Answer:
    """By turns 429 and 503, and seconds and a date, which is of full seconds."""
    later = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=seconds + 1)
    asked = str(seconds) if number % 2 == 0 else format_datetime(later, usegmt=True)
    return Answer(status=(429, 503)[number // 2 % 2], body={"error": "busy"}, headers={"Retry-After": asked})


def say_end(number: int, ends_at: datetime, now: datetime, faces: frozenset[Face]) -> Mapping[str, Any]:
    """What is said beside a token of its end, each time in another of the forms that there are."""
    if Face.ENDED in faces:
        forms: Sequence[Any] = (0, -1, "1970-01-01T00:00:00Z", "2020-01-01T00:00:00Z")
        return {"expires_at": forms[number % len(forms)]}
    ends_at = ends_at.astimezone(UTC)
    seconds = int((ends_at - now).total_seconds())
    said: Sequence[Mapping[str, Any]] = (
        {"expires_at": f"{ends_at:%Y-%m-%dT%H:%M:%S}Z"},
        {"expires_at": int(ends_at.timestamp())},
        {"expires_at": int(ends_at.timestamp() * 1000)},
        {"expires_at": format_datetime(ends_at.replace(microsecond=0), usegmt=True)},
        {"expires_at": str(int(ends_at.timestamp()))},
        {"expires_at": f"{ends_at:%Y-%m-%dT%H:%M:%S}Z", "expires_in": seconds},
    )
    return said[number % len(said)]


def learns_at(created_at: datetime, replica: int) -> datetime:
    return created_at + replica * LAG


def cut_page(listed: list[Any], query: Mapping[str, list[str]], path: str) -> Answer:
    """The page that `cursor` names, and where the next one is."""
    start = int(query.get("cursor", ["0"])[0])
    rest = "&".join(f"{name}={text[0]}" for name, text in query.items() if name != "cursor")
    page, after = listed[start : start + PAGE], start + PAGE
    if after >= len(listed):
        return Answer(status=200, body={"tokens": page, "next": None, "has_more": False})
    more = f"{path}?{rest}&cursor={after}"
    return Answer(
        status=200,
        body={"tokens": page, "next": more, "has_more": True},
        headers={"Link": f'<{more}>; rel="next"'},
    )
