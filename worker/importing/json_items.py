"""JSON of one's own: an object of names and values, or an array of objects as the rows of a table. Pure."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vaultcore.errors import InvalidInputError
from vaultcore.model import Label
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.importing.csv_table import ENTRIES_MAX
from worker.importing.headings import (
    NAME,
    TWO_VALUES,
    VALUE,
    VALUE_FILE,
    find_columns,
    make_item,
    read_said,
    read_text_value,
)
from worker.importing.label_columns import is_of_labels, read_row_labels
from worker.importing.secret_fields import Gathered, gather_secrets

NO_ITEMS = "it holds no items: a JSON object of names and values, or an array of objects, is read"


def read_items(raw: Any, *, now: datetime, takes_all: bool = False) -> Contents:  # noqa: ANN401  # JSON
    if isinstance(raw, list):
        return _read_rows(raw, now)
    if isinstance(raw, dict) and any(isinstance(part, str | int | dict) for part in raw.values()):
        return _read_map(raw, now, takes_all=takes_all)
    raise InvalidInputError(NO_ITEMS)


def check_number(listed: list[Any] | dict[str, Any]) -> None:
    if len(listed) > ENTRIES_MAX:
        raise InvalidInputError(f"it holds {len(listed):,} entries: {ENTRIES_MAX:,} at most, so divide it")


def _read_map(raw: dict[str, Any], now: datetime, *, takes_all: bool) -> Contents:
    check_number(raw)
    into = Gathered()
    for place, (name, part) in enumerate(raw.items(), start=1):
        entry = IncomingItem(place=place, name=name, fits=True)
        if isinstance(part, dict):
            gather_secrets(into, entry, part, now, takes_all=takes_all)
            continue
        value = read_text_value(part)
        if isinstance(value, str):
            into.faults.append(EntryFault(place=place, name=name, why=value))
        else:
            into.entries.append(IncomingItem(place=place, name=name, fits=True, value=value))
    return Contents(entries=into.entries, faults=into.faults, settings=into.settings, undated=into.undated)


def _read_rows(raw: list[Any], now: datetime) -> Contents:
    check_number(raw)
    entries: list[IncomingItem] = []
    faults: list[EntryFault] = []
    others, undated = Counter[str](), 0
    for place, row in enumerate(raw, start=1):
        columns = find_columns(row) if isinstance(row, dict) else {}
        made = _read_row(place, row, columns, now)
        if isinstance(made, EntryFault):
            faults.append(made)
            continue
        entry, is_undated = made
        entries.append(entry)
        undated += is_undated
        known = {one for named in columns.values() for one in named} | set(filter(is_of_labels, row))
        others.update(called for called, cell in row.items() if called not in known and cell not in (None, ""))
    return Contents(entries=entries, faults=faults, fields=others, undated=undated)


def _read_row(
    place: int,
    row: Any,  # noqa: ANN401  # JSON
    columns: Mapping[str, list[str]],
    now: datetime,
) -> tuple[IncomingItem, bool] | EntryFault:
    if not isinstance(row, dict):
        return EntryFault(place=place, name=None, why="it is not an object with a name")

    def get(meaning: str) -> Any:  # noqa: ANN401  # JSON
        return next((row[one] for one in columns.get(meaning, ())), None)

    name, raw, file = get(NAME), get(VALUE), get(VALUE_FILE)
    if not isinstance(name, str) or not name.strip():
        return EntryFault(place=place, name=None, why="it has no name")
    problem, value = "", None
    if raw is not None:
        read = read_text_value(raw)
        problem, value = (read, None) if isinstance(read, str) else ("", read)
    if file is not None and not isinstance(file, str):
        problem = problem or "the file of its value is no text"
    if file and value:
        problem = problem or TWO_VALUES
    said, labels = None, tuple[Label, ...]()
    try:
        said, labels = read_said(columns, row, now), read_row_labels(row)
    except InvalidInputError as error:
        problem = problem or str(error)
    if problem or said is None:
        return EntryFault(place=place, name=name, why=problem)
    made = make_item(said, place=place, name=name, value=value, file=file or "", labels=labels)
    return made, said.undated
