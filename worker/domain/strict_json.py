"""JSON from outside, read strictly: what it holds can be kept, masked and sent on. Pure."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from math import isfinite
from typing import Any

from vaultcore.errors import InvalidInputError

_SPACE = re.compile(r"[ \t\r\n]*")
DEPTH_MAX = 100
"""Lists and objects inside one another."""


def parse_json(text: str, *, unique: bool = False) -> Any:  # noqa: ANN401  # JSON
    """The document. `InvalidInputError` says where it is not JSON, or what in it JSON cannot hold; of the
    text itself it quotes a number at most. `unique`: two fields of one object may not have one name, since
    which of them counts is another thing to each reader.
    """
    pairs = _take_unique if unique else None
    try:
        raw = json.loads(text, parse_constant=_refuse_number, parse_float=_read_float, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}: not JSON: {error.msg}"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:
        problem = str(error)
        if "integer string conversion" in problem:
            problem = "a number in it is too long"
    else:
        if not _is_too_deep(raw):
            return raw
        problem = "nested too deeply"
    raise InvalidInputError(problem)


def split_list(text: str) -> list[str] | None:
    """The text of each document in a JSON array, as it stands there; None: it is no array.

    `InvalidInputError` where it is not JSON.
    """
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        return None
    try:
        return list(_walk_list(text, at))
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}: not JSON: {error.msg}"
    except (RecursionError, ValueError):
        problem = "nested too deeply, or it holds a number too long"
    raise InvalidInputError(problem)


def _walk_list(text: str, at: int) -> Iterator[str]:
    decoder = json.JSONDecoder()
    at = _skip(text, at + 1)
    is_first = True
    while text[at : at + 1] != "]":
        if not is_first:
            if text[at : at + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
            at = _skip(text, at + 1)
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at, is_first = _skip(text, end), False
    if _skip(text, at + 1) < len(text):
        raise json.JSONDecodeError("Extra data", text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def _take_unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    taken = dict(pairs)
    if len(taken) < len(pairs):
        counted = Counter(name for name, _ in pairs)
        twice = next(name for name, times in counted.items() if times > 1)
        raise ValueError(f"two fields of one object are named {twice[:60]!a}: which of them counts?")
    return taken


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text[:20]} is a number that JSON cannot hold")


def _read_float(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _refuse_number(text)


def _is_too_deep(raw: object) -> bool:
    level = [raw]
    for _ in range(DEPTH_MAX):
        level = [
            part
            for data in level
            if isinstance(data, dict | list)
            for part in (data.values() if isinstance(data, dict) else data)
        ]
    return bool(level)
