"""JSON from outside, read strictly: what it holds can be kept, masked and sent on. Pure."""

import json
from math import isfinite
from typing import Any

from vaultcore.errors import InvalidInputError

DEPTH_MAX = 100
"""Lists and objects inside one another."""


def parse_json(text: str) -> Any:  # noqa: ANN401  # JSON
    """The document. `InvalidInputError` says where it is no JSON, or what in it JSON cannot hold; of the
    text itself it quotes a number at most.
    """
    try:
        raw = json.loads(text, parse_constant=_refuse_number, parse_float=_read_float)
    except json.JSONDecodeError as error:
        problem = f"line {error.lineno}: no JSON: {error.msg}"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError as error:
        problem = str(error)
    else:
        if not _is_too_deep(raw):
            return raw
        problem = "nested too deeply"
    raise InvalidInputError(problem)


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
