"""How answers look: a document for a program, or lines and tables for a person. Notes go to standard error."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final, TypeVar

import typer

from vaultcore.errors import InvalidInputError, NightkeyError, Trouble, TroubleError, raise_alone, sort_out
from vaultcore.troubles import explain
from worker.cli.cells import shorten_ids, show_cell, show_near
from worker.cli.colours import find_paint
from worker.cli.layout import Column, fold, lay_out, measure
from worker.cli.pager import show_paged
from worker.cli.screen import AnswerForm, localise, screen
from worker.cli.spreadsheet import write_csv
from worker.cli.terminal import fit, fit_json, is_unicode
from worker.wording.headings import head
from worker.wording.plain import to_plain

T = TypeVar("T")
_INTERRUPTED: Final = 130


def print_json(document: object) -> None:
    """The answer for a program: a JSON document, or the same as CSV where that was asked for."""
    if screen().form is AnswerForm.CSV:
        write_text(write_csv(document))
        return
    as_it_is = is_unicode(sys.stdout)  # else with escapes: JSON either way
    text = json.dumps(to_plain(document), indent=2, ensure_ascii=not as_it_is)
    write_text(f"{fit_json(text)}\n")


def write_text(text: str) -> None:
    """A document as it is, not a character more: for a file, or for another program."""
    held = screen().held
    if held is not None:
        held.append(text)
        return
    with _told():
        sys.stdout.write(text)


def print_text(text: str) -> None:
    """What somebody wrote: no line of it is parted, and none of its moments is another's."""
    write_text(f"{fit(text)}\n")


def print_lines(lines: Iterable[str], *, paint: Callable[[str], str] | None = None) -> None:
    """On a terminal a long line is parted at its blanks, and goes on below where it began."""
    width = _find_width()
    for line in lines:
        for text in fold(fit(localise(line)), width):
            write_text(f"{text if paint is None else paint(text)}\n")


def print_table(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    empty: str,
    *,
    unread: Sequence[NightkeyError] = (),
    spare: Sequence[str] = (),
    hidden: Collection[str] = (),
) -> None:
    """A row for each, as wide as the terminal; for a file or a program it is whole, so that it can be searched.

    `columns` are names of fields, of which those that are `spare` go where there is no room, in their order.
    Asked for wide, every other field follows them, unless it is `hidden`. `empty` is said where there is
    nothing, and not of what is there and cannot be read.
    """
    if not rows:
        print_lines([] if unread else [empty])
        return
    for line in table_lines(rows, columns, spare=spare, hidden=hidden):
        write_text(f"{line}\n")


def table_lines(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str],
    *,
    spare: Sequence[str] = (),
    hidden: Collection[str] = (),
) -> list[str]:
    """The same, for who must know how many lines it takes."""
    shown = list(columns)
    if screen().form is AnswerForm.WIDE:
        others = dict.fromkeys(name for row in rows for name in row)
        shown += [name for name in others if name not in shown and name not in hidden]
    return list(lay_out([_make_column(rows, name, spare) for name in shown], _find_width()))


def _find_width() -> int | None:
    return screen().width if screen().is_fitted else None


def _make_column(rows: Sequence[Mapping[str, object]], name: str, spare: Sequence[str]) -> Column:
    values = [row.get(name) for row in rows]
    if screen().is_fitted:
        moment = screen().clock()
        cells = shorten_ids([show_near(value, column=name, now=moment) for value in values])
    else:
        cells = [show_cell(value) for value in values]
    place = len(spare) - spare.index(name) if name in spare else 0
    return Column(heading=head(name), cells=cells, spare=place, paint=find_paint(name))


@contextmanager
def pages() -> Iterator[None]:
    """What is answered within goes through a pager where it is longer than the terminal."""
    if not screen().can_page or screen().held is not None:
        yield
        return
    screen().held = []
    try:
        yield
    except typer.Exit:
        _release(paged=True)
        raise
    except BaseException:
        _release(paged=False)
        raise
    _release(paged=True)


def _release(*, paged: bool) -> None:
    """Writes what was held, and holds nothing more."""
    held, screen().held = screen().held, None
    text = "".join(held or [])
    columns, lines = shutil.get_terminal_size()
    needed = sum(1 + max(measure(line) - 1, 0) // columns for line in text.splitlines())
    if not (paged and needed >= lines and show_paged(text)):
        write_text(text)


@contextmanager
def interruptible(say: Callable[[], str]) -> Iterator[None]:
    """Ctrl-C leaves what is stored by then, and `say` says how to go on: `after 200 entries: …`."""
    stopped = False
    try:
        yield
    except KeyboardInterrupt:
        stopped = True
    if stopped:
        note(f"nightkey: interrupted {say()}")
        raise typer.Exit(_INTERRUPTED)


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
    if screen().held:  # the answer comes first
        _release(paged=True)
    if sys.stderr is None:  # `print` would take that for standard output
        return
    print(fit(localise(text)), file=sys.stderr, flush=True)  # noqa: T201  # not the answer


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
