"""How answers look: one JSON document, or lines and tables for a person. Notes go to standard error."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, TypeVar

import typer

from vaultcore.errors import InvalidInputError, NightkeyError, Trouble, TroubleError, raise_alone
from vaultcore.rules import show_duration
from vaultcore.troubles import explain
from worker.cli.terminal import fit, fit_cell, fit_json, is_unicode
from worker.domain.reasons import Reason
from worker.wording import say
from worker.wording.shapes import to_plain

T = TypeVar("T")


def print_json(document: object) -> None:
    """As it is where the stream takes every character, else with escapes: JSON either way."""
    as_it_is = is_unicode(sys.stdout)
    text = json.dumps(to_plain(document), indent=2, ensure_ascii=not as_it_is)
    with _told():
        print(fit_json(text))  # noqa: T201  # the answer


def write_text(text: str) -> None:
    """A document as it is, not a character more: for a file, or for another program."""
    with _told():
        sys.stdout.write(text)


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        with _told():
            print(fit(line))  # noqa: T201  # the answer


def print_table(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    empty: str,
    *,
    unread: Sequence[NightkeyError] = (),
) -> None:
    """Columns padded to their widest cell; nothing is cut, so that it can be searched. `empty` is said where
    there is nothing, and not of what is there and cannot be read.
    """
    if not rows:
        print_lines([] if unread else [empty])
        return
    cells = [[column.replace("_", " ") for column in columns]]
    cells += [[show_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    print_lines(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def finish_output() -> None:
    """What is still to be written is written while somebody hears that it cannot be."""
    with _told():
        if sys.stdout is not None:
            sys.stdout.flush()


def drop_unwritten() -> None:
    """After a failure: what cannot be written now is dropped, or Python would complain of it at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        drop_output()


def abandon_output() -> None:
    """After an interrupt: what can be written at once is, and nobody who does not read is waited for."""
    try:
        number = sys.stdout.fileno()
        was_blocking = os.get_blocking(number)
        os.set_blocking(number, False)
        try:
            sys.stdout.flush()
        finally:
            os.set_blocking(number, was_blocking)  # others may share it
    except (OSError, ValueError, AttributeError):
        drop_output()


def drop_output() -> None:
    """Nobody takes it any more: what Python would write at its end goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _told() -> Iterator[None]:
    """An answer that cannot be written says so; one that nobody reads any more is no failure."""
    failed: TroubleError | None = None
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        failed = explain(error, where="standard output") or TroubleError(
            Trouble.DISK_FAILS, f"standard output cannot be written: {error.strerror or type(error).__name__}"
        )
    if failed is not None:
        drop_output()
        raise_alone(failed)


def sort_out(found: Iterable[T | NightkeyError]) -> tuple[list[T], list[NightkeyError]]:
    """What a list has to show, and the errors that stand in it for what cannot be read."""
    read: list[T] = []
    errors: list[NightkeyError] = []
    for one in found:
        if isinstance(one, NightkeyError):
            errors.append(one)
        else:
            read.append(one)
    return read, errors


def describe_all(
    found: Iterable[T | NightkeyError], describe: Callable[[T], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[NightkeyError]]:
    """The same, with each that can be read in the shape that commands print."""
    read, errors = sort_out(found)
    return [describe(one) for one in read], errors


def tell_unreadable(errors: Sequence[NightkeyError]) -> None:
    """A line for each that is missing from a list, which then ends with 1."""
    for error in errors:
        note(f"nightkey: {error}")
    if errors:
        raise typer.Exit(1)


def note(text: str) -> None:
    """Something to know that is not the answer: on standard error, and nowhere where that is closed."""
    if sys.stderr is None:  # `print` would take that for standard output
        return
    print(fit(text), file=sys.stderr, flush=True)  # noqa: T201  # not the answer


def note_at_once(text: str) -> None:
    """Past the stream: a signal may come while that is being written, and it cannot be entered twice."""
    os.write(sys.stderr.fileno(), f"{fit(text)}\n".encode(sys.stderr.encoding, sys.stderr.errors or "replace"))


def write_whole(path: Path, text: str) -> None:
    """The file is there whole or as it was: others may read it at any moment. For what everybody may read."""
    made = None
    try:
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            made = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.chmod(0o644)
        made.replace(path)
    except OSError as error:
        if made is not None:
            made.unlink(missing_ok=True)
        problem = error.strerror or type(error).__name__
        raise InvalidInputError(f"{path} cannot be written: {problem}") from None


def show_cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Reason):
        return fit_cell(say(value))
    if isinstance(value, list | tuple):
        return ", ".join(show_cell(part) for part in value) or "-"
    return fit_cell(str(value))
