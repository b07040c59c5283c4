"""A table with a header: CSV as spreadsheets and password managers write it, by commas, semicolons, tabs or
bars.

Which column is which, `headings` knows. A row is an item. Pure; no error quotes a cell.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.importing.headings import (
    NAME,
    TWO_VALUES,
    VALUE,
    VALUE_FILE,
    find_columns,
    find_meaning,
    make_item,
    read_said,
)
from worker.importing.label_columns import is_of_labels, read_row_labels

ENTRIES_MAX: Final = 100_000
_DELIMITERS: Final = ",;\t|"
_FIELD_MAX: Final = 1024 * 1024
_HEADER_MAX: Final = 100_000
"""Characters: a longer first line is none."""


def is_table(text: str) -> bool:
    """Whether its first line is a header that says where names or values stand."""
    meanings = {find_meaning(heading) for heading in _read_header(text)}
    return len(meanings - {None}) > 1 and (NAME in meanings or VALUE in meanings)


def read_table(text: str, *, now: datetime) -> Contents:
    header = _read_header(text)
    columns = find_columns(header)
    if NAME not in columns:
        raise InvalidInputError("no column is called name (or title, item, account): write its heading so")
    doubled = [heading for heading, times in Counter(header).items() if times > 1]
    if doubled:
        raise InvalidInputError(f"two columns are called {doubled[0][:60]!a}: which of them counts?")
    entries: list[IncomingItem] = []
    faults: list[EntryFault] = []
    undated, others = 0, Counter[str]()
    known = {one for named in columns.values() for one in named} | set(filter(is_of_labels, header))
    for place, cells in _read_rows(text, _find_delimiter(text)):
        if len(entries) + len(faults) >= ENTRIES_MAX:
            raise InvalidInputError(f"it holds more than {ENTRIES_MAX:,} entries: divide it")
        if len(cells) > len(header):
            why = f"it has {len(cells)} cells under {len(header)} headings: is a cell with a comma in quotes?"
            faults.append(EntryFault(place=place, name=None, why=why))
            continue
        row = dict(zip(header, cells, strict=False))
        made = _read_row(place, row, columns, now)
        if isinstance(made, EntryFault):
            faults.append(made)
            continue
        entry, is_undated = made
        entries.append(entry)
        undated += is_undated
        others.update(heading for heading, cell in row.items() if cell and heading not in known)
    return Contents(entries=entries, faults=faults, fields=others, undated=undated, unit="line")


def _read_row(
    place: int, row: Mapping[str, str], columns: Mapping[str, list[str]], now: datetime
) -> tuple[IncomingItem, bool] | EntryFault:
    def get(meaning: str) -> str:
        return next((row.get(one, "") for one in columns.get(meaning, ())), "")

    name = get(NAME).strip()
    if not name:
        return EntryFault(place=place, name=None, why="it has no name")
    problem = ""
    try:
        said, labels = read_said(columns, row, now), read_row_labels(row)
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        return EntryFault(place=place, name=name, why=problem)
    value, file = get(VALUE), get(VALUE_FILE).strip()
    if value and file:
        return EntryFault(place=place, name=name, why=TWO_VALUES)
    own = Secret(value) if VALUE in columns else None
    made = make_item(said, place=place, name=name, value=own, file=file, labels=labels)
    return made, said.undated


def _read_header(text: str) -> list[str]:
    line = next((line for line in text.splitlines() if line.strip()), "")
    if len(line) > _HEADER_MAX:
        return []
    return [cell.strip() for cell in next(iter(csv.reader([line], delimiter=_find_delimiter(text))), [])]


def _find_delimiter(text: str) -> str:
    """The one that the header has most of."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    return max(_DELIMITERS, key=line.count)


def _read_rows(text: str, delimiter: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Each row with the line on which it begins; without the header, and without those that are empty."""
    before = csv.field_size_limit(_FIELD_MAX)
    problem = ""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        begins, is_header = 1, True
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if not is_header:
                    yield begins, cells
                is_header = False
            begins = reader.line_num + 1
    except csv.Error:
        problem = f"line {begins}: a cell's quotes do not end, or stand within it: write each quote twice"
    finally:
        csv.field_size_limit(before)
    if problem:
        raise InvalidInputError(problem)
