"""What the headers of a list's answer say of its length and of how it goes on. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vaultcore.errors import InvalidInputError
from worker.domain.strict_json import parse_json

_RANGE = re.compile(
    r"(?:(?P<unit>[A-Za-z][\w.-]*)[ =]+)?(?P<range>[0-9]{1,15}-[0-9]{1,15}|\*)/(?P<total>[0-9]{1,15}|\*)"
)
_PREFIXES = ("x-", "wp-", "pagination-", "paging-")
_OF_PAGES = ("x-pagination", "pagination", "x-paging", "paging")
"""Headers that hold an object, in JSON, of what others have a header each for."""
_WHOLE_MAX = 4000


def walk_headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    """(name, name without what stands before it in headers, what it says) of each: `X-Total-Count` is a
    `total-count`. One that came more than once says each of what it said: `3, 3`. `headers` have lower-case
    names.
    """
    for name, said in headers.items():
        bare = name
        for prefix in _PREFIXES:
            bare = bare.removeprefix(prefix)
        yield from ((name, bare, part.strip()) for part in dict.fromkeys(said.split(",")))
        if name in _OF_PAGES:
            yield from ((f"{name}: {key}", key, part) for key, part in _read_object(said).items())


def find_range_total(headers: Mapping[str, str]) -> int | str | None:
    """How many there are by `Content-Range: items 0-99/250`, also without a unit (PostgREST); `*`: it does not
    say of how many they are a part; None: nothing of that. A range of bytes is none of entries, and one of
    nothing (`*/*`) says nothing.
    """
    said = headers.get("content-range", "").split(",")
    found = [read for one in said if (read := _RANGE.fullmatch(one.strip())) is not None]
    entries = [one for one in found if (one["unit"] or "").lower() != "bytes"]
    totals = [one["total"] for one in entries if (one["range"], one["total"]) != ("*", "*")]
    if not totals or "*" in totals:
        return "*" if totals else None
    return max(map(int, totals))


def _read_object(text: str) -> Mapping[str, Any]:
    try:
        read = parse_json(text) if len(text) <= _WHOLE_MAX else None
    except InvalidInputError:
        return {}
    return read if isinstance(read, dict) else {}
