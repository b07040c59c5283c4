"""What columns and fields are called, elsewhere: by spreadsheets, password managers and secret stores. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from vaultcore.model import Label
from vaultcore.rules import parse_duration
from vaultcore.secret import Secret
from worker.domain.ends import NoEndError, read_end
from worker.domain.fitting import split_words
from worker.domain.incoming import IncomingItem
from worker.domain.proposals import EARLIEST, FAR, find_hints

NAME: Final = "name"
VALUE: Final = "value"
VALUE_FILE: Final = "value file"
EXPIRES: Final = "expires at"
CREATED: Final = "created at"
OWNER: Final = "owner"
LIFETIME: Final = "lifetime"
HINT: Final = "type"
TWO_VALUES: Final = "it has a value and the file of one: leave one of them out"

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    NAME: ("name", "title", "item", "item name", "secret name", "variable", "account", "entry", "service"),
    VALUE: (
        "value", "secret", "secret value", "password", "login password", "token", "api key", "apikey", "key",
        "passphrase", "credential", "private key",
    ),
    VALUE_FILE: ("value file", "file", "secret file", "password file"),
    EXPIRES: (
        "expires at", "expires", "expiry", "expiry date", "expiry time", "expiration", "expiration date",
        "expire date", "expires on", "valid until", "valid to", "not after", "end date", "renew date",
    ),
    CREATED: ("created at", "created", "created on", "creation date", "creation time", "created time"),
    OWNER: ("owner", "owners", "owned by", "team", "responsible"),
    LIFETIME: ("lifetime", "rotation period", "rotate every", "max age"),
    HINT: (
        "type", "kind", "url", "login uri", "uri", "website", "host", "hostname", "server", "engine", "system",
        "provider", "category",
    ),
}  # fmt: skip
"""The first of each is ours. Case, and whether words stand apart by blanks, `_` or capitals, make no
difference.
"""
_MEANS: Final = {alias: meaning for meaning, aliases in ALIASES.items() for alias in aliases}
_NEVER: Final = frozenset({"never", "none", "no", "n/a", "null", "-"})
_LIFETIME_MIN: Final = timedelta(hours=1)
_SEPARATORS: Final = str.maketrans(";\n", ",,")


@dataclass(frozen=True, kw_only=True)
class Said:
    """What an entry says beside its name and value."""

    created_at: datetime | None = None
    undated: bool = False
    expires_at: datetime | None = None
    lapses: bool = True
    lifetime: timedelta | None = None
    owners: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


def find_meaning(heading: str) -> str | None:
    return _MEANS.get(" ".join(split_words(heading)))


def find_columns(headings: Iterable[str]) -> dict[str, list[str]]:
    """The headings by what they mean: our own first, then from left to right. Several may tell what it opens;
    of any other meaning the first counts.
    """
    found: dict[str, list[str]] = {}
    for heading in sorted(headings, key=lambda one: " ".join(split_words(one)) not in ALIASES):
        meaning = find_meaning(heading)
        if meaning is not None and (meaning == HINT or meaning not in found):
            found.setdefault(meaning, []).append(heading)
    return found


def read_said(columns: Mapping[str, list[str]], fields: Mapping[str, Any], now: datetime) -> Said:
    """`InvalidInputError` where something is said that cannot be kept; it quotes none of it."""

    def get(meaning: str) -> Any:  # noqa: ANN401  # whatever the file has
        return next(
            (fields[one] for one in columns.get(meaning, ()) if fields.get(one) not in (None, "")), None
        )

    expires_at, lapses = read_expiry(get(EXPIRES), columns.get(EXPIRES, [""])[0], now)
    created = get(CREATED)
    made = _read_time(created, "created_at", now)
    hints = find_hints(*(fields[one] for one in columns.get(HINT, ()) if isinstance(fields.get(one), str)))
    return Said(
        created_at=made if made is None or made <= now else None,
        undated=created is not None and (made is None or made > now),
        expires_at=expires_at,
        lapses=lapses,
        lifetime=_read_lifetime(get(LIFETIME), columns.get(LIFETIME, [""])[0]),
        owners=read_owners(get(OWNER)),
        hints=hints,
    )


def make_item(
    said: Said,
    *,
    place: int,
    name: str,
    value: Secret | None,
    file: str,
    labels: tuple[Label, ...],
) -> IncomingItem:
    """The item of a row, of what its other columns say."""
    return IncomingItem(
        place=place,
        name=name,
        fits=True,
        created_at=said.created_at,
        expires_at=said.expires_at,
        lapses=said.lapses,
        lifetime=said.lifetime,
        value=None if file else value,
        value_file=file or None,
        owners=said.owners,
        hints=said.hints,
        labels=labels,
    )


def read_expiry(raw: Any, called: str, now: datetime) -> tuple[datetime | None, bool]:  # noqa: ANN401  # JSON
    """The time, and whether it lapses at all: `never` says that it does not."""
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None, True
    if isinstance(raw, str) and raw.strip().lower() in _NEVER:
        return None, False
    time = _read_time(raw, called, now)
    if time is not None:
        return time, True
    raise InvalidInputError(
        f"its {called} is not a time that can be kept: write 2026-12-24, 2026-12-24T18:00:00Z, 90d or never"
    )


def read_owners(raw: Any) -> tuple[str, ...]:  # noqa: ANN401  # JSON
    """Names, apart by commas, semicolons or lines, or in a list."""
    texts = raw if isinstance(raw, list) else [raw]
    named = [
        part.strip()
        for text in texts
        if isinstance(text, str)
        for part in text.translate(_SEPARATORS).split(",")
    ]
    return tuple(dict.fromkeys(name for name in named if name))


def read_text_value(raw: Any) -> Secret | str:  # noqa: ANN401  # JSON
    """The value, or why it is none; never what stood there."""
    if isinstance(raw, str):
        return Secret(raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        return Secret(str(raw))
    kinds = {bool: "true or false", float: "a number with a point", list: "a list", dict: "an object"}
    kind = kinds.get(type(raw))
    return "it has no value" if kind is None else f"its value is {kind}: write it as a text, in quotes"


def _read_lifetime(raw: Any, called: str) -> timedelta | None:  # noqa: ANN401  # JSON
    if raw is None:
        return None
    text = f"{raw}d" if isinstance(raw, int) or (isinstance(raw, str) and raw.strip().isdigit()) else raw
    days = text.strip() if isinstance(text, str) else ""
    problem = f"its {called} is not a duration that can be kept: write it like 90d"
    try:
        lifetime = parse_duration(days)
    except InvalidInputError:
        lifetime = timedelta(0)
    if lifetime >= _LIFETIME_MIN:
        return lifetime
    raise InvalidInputError(problem)


def _read_time(raw: Any, called: str, now: datetime) -> datetime | None:  # noqa: ANN401  # JSON
    """A time, or a duration from now; None for what is none, or lies centuries away."""
    time: datetime | None
    try:
        time = now + parse_duration(raw.strip().removeprefix("+"))
    except (InvalidInputError, AttributeError, OverflowError):
        time = _read_end(raw, called, now)
    return time if time is not None and EARLIEST <= time <= now + FAR else None


def _read_end(raw: Any, called: str, now: datetime) -> datetime | None:  # noqa: ANN401  # JSON
    try:
        return read_end(raw, now, called="_".join(split_words(called)))
    except (NoEndError, OverflowError):
        return None
