"""Values that stand in files of their own, one each, beside the file that tells of their items."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vaultcore.errors import InvalidInputError
from worker.cli.inputs import read_value
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.ownership import is_readable_by_all


def read_value_files(contents: Contents, folder: Path | None, beside: Path | None) -> Contents:
    """The same with the values that stand in files. An entry that names its file has that one's, below
    `folder`, or `beside` the list; another one without a value that of a file in `folder` that is called as it
    is.

    A file that cannot be read leaves its entry out.
    """
    if folder is not None and not folder.is_dir():
        raise InvalidInputError(f"--values-from {folder}: there is no such folder")
    entries: list[IncomingItem] = []
    faults = list(contents.faults)
    for entry in contents.entries:
        made = _fill(entry, folder, beside)
        if isinstance(made, EntryFault):
            faults.append(made)
        else:
            entries.append(made)
    return replace(contents, entries=entries, faults=faults)


def find_readable(contents: Contents, folder: Path | None, beside: Path | None) -> list[Path]:
    """Those of these files that everybody on this machine may read."""
    found = (_find_file(entry, folder, beside) for entry in contents.entries)
    return [path for path in found if isinstance(path, Path) and is_readable_by_all(path)]


def _fill(entry: IncomingItem, folder: Path | None, beside: Path | None) -> IncomingItem | EntryFault:
    path = _find_file(entry, folder, beside)
    if path is None:
        return entry
    problem = path if isinstance(path, str) else ""
    try:
        if isinstance(path, Path):
            return replace(entry, value=read_value(str(path), what=f"value of {entry.name}"), value_file=None)
    except InvalidInputError as error:
        problem = str(error)
    return EntryFault(place=entry.place, name=entry.written or entry.name, why=problem)


def _find_file(entry: IncomingItem, folder: Path | None, beside: Path | None) -> Path | str | None:
    """Where its value is, or why it cannot be told; None: in no file."""
    if entry.value_file is not None:
        place = folder or beside
        if place is None:
            return "where the file of its value is cannot be told: add --values-from FOLDER"
        path = place / entry.value_file
        return path if _lies_in(path, place) else f"the file of its value does not lie in {place}"
    if folder is None or (entry.value is not None and len(entry.value) > 0):
        return None
    return next(_find_called(entry, folder), None)


def _find_called(entry: IncomingItem, folder: Path) -> Iterator[Path]:
    for name in dict.fromkeys((entry.name, entry.written or entry.name)):
        path = folder / name
        if _lies_in(path, folder) and path.is_file():
            yield path


def _lies_in(path: Path, folder: Path) -> bool:
    """Whether it lies there, links followed: a list of others names no file elsewhere."""
    try:
        return path.resolve().is_relative_to(folder.resolve()) and path.resolve() != folder.resolve()
    except (OSError, ValueError, RuntimeError):  # what no file can be called
        return False
