"""How answers look: one JSON document, or lines and tables for a person. Notes go to standard error."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.rules import show_duration


def print_json(document: object) -> None:
    print(json.dumps(to_plain(document), indent=2, ensure_ascii=False))  # noqa: T201  # the answer


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201  # the answer


def print_table(rows: Sequence[Mapping[str, object]], columns: Sequence[str], empty: str) -> None:
    """Columns padded to their widest cell; nothing is cut, so that it can be searched."""
    if not rows:
        print_lines([empty])
        return
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[show_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    print_lines(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def note(text: str) -> None:
    """Something to know that is not the answer: on standard error, and nowhere where that is closed."""
    if sys.stderr is None:  # `print` would take that for standard output
        return
    print(text, file=sys.stderr, flush=True)  # noqa: T201  # not the answer


def note_at_once(text: str) -> None:
    """Past the stream: a signal may come while that is being written, and it cannot be entered twice."""
    os.write(sys.stderr.fileno(), f"{text}\n".encode())


def write_whole(path: Path, text: str) -> None:
    """The file is there whole or as it was: others may read it at any moment. For what everybody may read."""
    problem, made = "", None
    try:
        with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            made = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.chmod(0o644)
        made.replace(path)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        if made is not None:
            made.unlink(missing_ok=True)
    if problem:
        raise InvalidInputError(f"{path} cannot be written: {problem}")


def show_cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, list | tuple):
        return ", ".join(show_cell(part) for part in value) or "-"
    return str(value)


def to_plain(value: Any) -> Any:  # noqa: ANN401  # JSON
    """What JSON knows: times as text, durations as they are written, enums by their value."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value
