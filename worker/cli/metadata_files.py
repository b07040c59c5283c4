"""Files of a vault's metadata: a folder of TOML and JSON, read as one and written as git likes it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.cli.inputs import read_table
from worker.cli.output import write_whole
from worker.domain.metadata import Document, Subject
from worker.domain.toml_text import is_writable, write_toml

_FILE_MAX: Final = 16 * 1024 * 1024
_FILES_MAX: Final = 1_000
_TOLD_MAX: Final = 50
"""So many of what stands in the way are told at once."""
_NO_TABLES: Final = "it is no object with owners, policies and items"
_ENDINGS: Final = (".toml", ".json")
_HEADS: Final = {
    Subject.OWNERS: "# Owners: time zone, quiet hours, deputy. Their routes are secret, and stay in the vault.",
    Subject.POLICIES: "# Named policies, which items follow.",
    Subject.ITEMS: "# Items: who answers for them, labels, policy. Values and expiry stay in the vault.",
}


class MetadataForm(StrEnum):
    """What form files have."""

    TOML = "toml"
    JSON = "json"


@dataclass(frozen=True, kw_only=True)
class MetadataFolder:
    """`places`: the file in which each thing stands, by its table and name."""

    document: Document
    places: Mapping[tuple[str, str], Path]

    def tell(self, fault: Mapping[str, Any]) -> str:
        """The fault with its file before it."""
        place = self.places.get((str(fault["subject"]), fault["name"]))
        return f"{'' if place is None else f'{place}: '}{fault['key']}: {fault['says']}"


def read_folder(folder: Path) -> MetadataFolder:
    """All files of the folder and of those in it, but for hidden ones. `InvalidInputError` with a line for each
    file that cannot be read, and for what stands twice.
    """
    files = [*_find_files(folder)]
    problems: list[str] = []
    document: dict[str, dict[str, Any]] = {subject.value: {} for subject in Subject}
    places: dict[tuple[str, str], Path] = {}
    for file in files:
        try:
            read = read_table(file, most=_FILE_MAX, unique=True, otherwise=_NO_TABLES)
        except InvalidInputError as error:
            problems.append(str(error))
            continue
        for table, entries in read.items():
            if table not in document or not isinstance(entries, dict):
                known = ", ".join(document)
                problems.append(
                    f"{file}: {table[:60]!r} is none of the tables {known}: rename it, or take it out"
                )
                continue
            for name, entry in entries.items():
                if (table, name) in places:
                    other = places[table, name]
                    problems.append(f"{file}: {table}.{name[:60]} stands in {other}, too: leave one of them")
                places[table, name] = file
                document[table][name] = entry
    if problems:
        raise refuse_all(problems)
    return MetadataFolder(document=document, places=places)


def refuse_all(problems: Sequence[str]) -> InvalidInputError:
    """With a line for each, and the number of those that nobody would read to the end."""
    told, more = problems[:_TOLD_MAX], len(problems) - _TOLD_MAX
    return InvalidInputError("\n".join([*told, *([f"and {more:,} more"] if more > 0 else [])]))


def _find_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise InvalidInputError(f"{folder} is no folder: `nightkey item export {folder}` makes one")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in _ENDINGS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise InvalidInputError(
            f"{folder} holds no .toml and no .json: `nightkey item export {folder}` makes some"
        )
    if len(found) > _FILES_MAX:
        raise InvalidInputError(f"{folder} holds {len(found):,} files: {_FILES_MAX:,} at most")
    yield from found


def write_folder(folder: Path, document: Document, form: MetadataForm) -> list[Path]:
    """A file for each table, in the place of what stood there. `InvalidInputError` where other files of the
    folder say something, too: it would stand twice.
    """
    names = {subject: folder / f"{subject}.{form}" for subject in Subject}
    if folder.is_dir():
        others = [path for path in _list_files(folder) if path not in names.values()]
        if others:
            raise InvalidInputError(
                f"{others[0]} would say the same a second time: take it away, or name another folder"
            )
    _make(folder)
    for subject, file in names.items():
        write_whole(file, _write_table(subject, document.get(subject, {}), form))
    return list(names.values())


def _list_files(folder: Path) -> list[Path]:
    try:
        return [*_find_files(folder)]
    except InvalidInputError:
        return []


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise InvalidInputError(f"{folder} cannot be made: {problem}") from None


def _write_table(subject: Subject, table: Mapping[str, Any], form: MetadataForm) -> str:
    if form is MetadataForm.JSON:
        return json.dumps({subject.value: table}, indent=2) + "\n"
    fitted = {name: _fit(entry) for name, entry in table.items()}
    return f"{_HEADS[subject]}\n{write_toml({subject.value: fitted}) if fitted else ''}"


def _fit(entry: Any) -> Any:  # noqa: ANN401  # a table
    """Settings that TOML has no words for stand in it as JSON, in a text."""
    if not isinstance(entry, dict):
        return entry
    return {
        key: json.dumps(part)
        if key == "settings" and not is_writable(part)
        else _fit(part)
        if key == "policy"
        else part
        for key, part in entry.items()
    }
