"""HTTP headers as a node's `data` writes them: an object, or a list of pairs, where a name may come twice."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from worker.workflows.nodes.base import Execution, Fields
from worker.workflows.nodes.readings import unknown

Value = str | int | float | bool


class Header(Fields):
    key: str = Field(description="of a pair: a template; `name` in its stead is taken, too")
    value: Value = Field(default="", description="of a pair: a template, or a number, true or false")


def _read(raw: object) -> dict[str, Value] | list[Header]:
    """Either form, checked; null is as if it were left out, and so is a row without name and value.

    `ValueError` says in one sentence what is wrong, and never a value.
    """
    if raw is None:
        return {}
    if isinstance(raw, Mapping):
        given = {name: value for name, value in raw.items() if value is not None and (name or value != "")}
        return {name: _check(str(name), value) for name, value in given.items()}
    if isinstance(raw, list):
        return list(_read_pairs(raw))
    raise ValueError(
        'use an object, {"NAME": "VALUE"}, or a list of pairs, [{"key": "NAME", "value": "VALUE"}]'
    )


def _read_pairs(raw: list[Any]) -> Iterator[Header]:
    for number, pair in enumerate(raw, start=1):
        if isinstance(pair, Header):
            yield pair
            continue
        if not isinstance(pair, Mapping):
            raise ValueError(f'number {number} is not a pair: use {{"key": "NAME", "value": "VALUE"}}')  # noqa: TRY004  # pydantic's
        name, value = pair.get("key") or pair.get("name"), pair.get("value")
        if name and "value" not in pair:
            raise unknown(f"number {number} has no value")
        if value is None or (not name and value == ""):
            continue
        shown = name if isinstance(name, str) else ""
        if not shown:
            raise ValueError(f"number {number} has no name: write it as key")
        yield Header(key=shown, value=_check(shown, value))


def _check(name: str, value: object) -> Value:
    if not name:
        raise ValueError("a value has no name")
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"the value of {name[:100]} cannot be used: use text, a number, true or false")


Headers = Annotated[dict[str, Value] | list[Header], BeforeValidator(_read)]


def names_of(headers: dict[str, Value] | list[Header]) -> list[str]:
    return list(headers) if isinstance(headers, dict) else [pair.key for pair in headers]


def render_headers(headers: dict[str, Value] | list[Header], execution: Execution) -> list[tuple[str, str]]:
    """(name, text) of each, in order; a name that stands there twice comes twice. What is not text is JSON."""
    pairs = headers.items() if isinstance(headers, dict) else ((pair.key, pair.value) for pair in headers)
    return [
        (
            execution.render(name, header=True),
            execution.render(value, header=True) if isinstance(value, str) else json.dumps(value),
        )
        for name, value in pairs
    ]
