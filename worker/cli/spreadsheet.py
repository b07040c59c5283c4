"""An answer as CSV (RFC 4180): a row for each object of a list, all its fields, times in UTC. Pure."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from worker.cli.terminal import fit
from worker.wording.plain import to_plain

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is computed by programs for spreadsheets, whoever wrote it."""
_AS_GIVEN: Final = frozenset({"labels", "settings", "document", "output", "details"})
"""What has other fields in each row: it stands in one cell, as JSON."""


def write_csv(document: object) -> str:
    """Objects inside an object are columns of their own (`policy.mode`). A list of texts stands in one cell,
    with semicolons; one of objects as JSON.
    """
    plain = to_plain(document)
    rows = [_flatten(one) for one in (plain if isinstance(plain, list) else [plain])]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not columns:
        return ""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(map(_guard, columns))
    writer.writerows([_show(row.get(name)) for name in columns] for row in rows)
    return written.getvalue()


def write_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """The same for rows of known columns, a line at a time."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(map(_guard, columns))
    for row in rows:
        yield _take(written)
        writer.writerow([_show(to_plain(row.get(name))) for name in columns])
    yield _take(written)


def _take(written: io.StringIO) -> str:
    line = written.getvalue()
    written.seek(0)
    written.truncate()
    return line


def _flatten(given: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401  # JSON
    if not isinstance(given, Mapping):
        return {prefix.rstrip(".") or "value": given}
    flat: dict[str, Any] = {}
    for name, part in given.items():
        inside = isinstance(part, Mapping) and part and name not in _AS_GIVEN
        flat |= _flatten(part, f"{prefix}{name}.") if inside else {prefix + name: part}
    return flat


def _show(value: Any) -> str:  # noqa: ANN401  # JSON
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return _guard("; ".join(value))
    return _guard(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _guard(text: str) -> str:
    return fit(f"'{text}" if text.startswith(_FORMULA) else text, keep="\n\r\t")
