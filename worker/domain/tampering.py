"""What is said of a row that none of us wrote so, and what helps. Pure; never a value, nor a sealed byte."""

import json
import shlex
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from worker.domain.commands import quote_word
from worker.domain.findings import Finding, find_tampered
from worker.domain.reasons import Code, Reason

_TEXT_MAX = 250


def find_wrong(table: str, key: str, row: Mapping[str, Any], *, opens: bool, item: str | None) -> Finding:
    """The finding. `opens` False: the row is ours, and its sealed record does not open. `item`: the name of the
    item that the row is about.
    """
    item_id = row.get("item_id") or (row.get("id") if table == "items" else None)
    given = (
        row.get("name") if table in ("owners", "workflows", "departures", "principals") else row.get("shown")
    )
    named = _one_line(given) if isinstance(given, str) else None
    code = Code.EDITED_ROW if opens else Code.SEALED_ROW
    word = shlex.quote(key) if key.isprintable() else "KEY"
    return find_tampered(
        table,
        key,
        what=Reason.of(code, table=table, key=_one_line(key), name=named or None),
        command=f"nightkey audit accept-row {table} {word}" if opens else _renew(table, item),
        item_id=item_id if isinstance(item_id, str) else None,
        item=None if item is None else _one_line(item),
        workflow=named if table == "workflows" else None,
    )


def describe_row(row: Mapping[str, Any]) -> dict[str, str]:
    """What the deciding columns say, for who is to answer for it: of bytes, their number alone."""
    return {name: _show(value) for name, value in row.items()}


def _one_line(text: str) -> str:
    """What somebody wrote to a row adds no line to what is said of it, and does not fill it."""
    return " ".join(text[:_TEXT_MAX].split())


def _renew(table: str, item: str | None) -> str:
    if table == "routes":
        return "nightkey owner route OWNER --route-file PATH"
    return f"nightkey item update {quote_word(item or 'ITEM')} --value-file PATH"


def _show(value: object) -> str:
    match value:
        case None:
            return "-"
        case bytes():
            return f"{len(value)} bytes"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
    return str(value)
