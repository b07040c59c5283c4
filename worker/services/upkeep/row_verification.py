"""Rows that decide and none of us wrote so: found, told, and answered for by a person.

Whoever is about to act by such a row is refused there and then (`vaultcore.row_macs`). Here all of them are
looked at, due or not: by `audit verify --rows` in one go, by each night as far as its budget goes.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError, TamperedError
from vaultcore.row_checks import RowPage, RowChecks, RowFault, Wrong, read_time
from vaultcore.row_macs import RowMacs
from vaultcore.signing_rows import sign_row
from vaultcore.stored import do_apart
from worker.domain.findings import SUBJECT_MAX, Finding, FindingKind, tampered_subject
from worker.domain.tampering import describe_row, find_wrong
from worker.rows import findings as finding_rows
from worker.rows import row_checks as row_check_rows
from worker.rows.row_checks import CheckedUpTo

_WRONG_MAX = 1000
"""How many are told one by one (and those of a page): where there are more, one restores the whole."""
_PAGE = 200
"""Rows that are read at once: a sealed record has up to 65 kB."""


@dataclass(frozen=True, kw_only=True)
class CheckedRows:
    """How many rows were looked at, and what was found of those that are not as we wrote them."""

    rows: int
    wrong: tuple[Finding, ...]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A row that was changed, as it is now: by the names of its columns. `digest` tells it from any other."""

    table: str
    key: str
    columns: Mapping[str, str]
    digest: str


class RowVerification:
    """`budget`: how many rows a night looks at, at most (and a page more)."""

    def __init__(
        self,
        *,
        database: Database,
        checks: RowChecks,
        macs: RowMacs,
        audit: AuditLog,
        budget: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._checks = checks
        self._macs = macs
        self._audit = audit
        self._budget = budget
        self._clock = clock

    def check_all(self) -> CheckedRows:
        """Every row and every record, in one state of the database; no more than a thousand of them are told.
        Writes nothing.
        """
        rows, wrong = 0, []
        with self._database.read() as connection:
            for _, page in self._walk(connection, None):
                rows += page.rows
                wrong += [_find(connection, one) for one in page.wrong]
                if len(wrong) >= _WRONG_MAX:
                    break
        return CheckedRows(rows=rows, wrong=tuple(wrong))

    def check_some(self) -> CheckedRows:
        """A night's part: what was found before, then on from where the night before had come to. What is found
        is a finding until it was put right, or a person has answered for it.
        """
        with self._database.read() as connection:
            mended = self._find_mended(connection)
            checked, place = self._look(connection)
        now = self._clock()
        with self._database.write() as connection:
            for subject in mended:
                finding_rows.resolve(connection, FindingKind.TAMPERED, subject, now)
            for finding in checked.wrong:
                finding_rows.record(connection, finding, now)
            row_check_rows.write_place(connection, place, now=now)
        return checked

    def preview(self, connection: Connection) -> CheckedRows:
        """What the next night would find of them. Writes nothing."""
        return self._look(connection)[0]

    def record(self, connection: Connection, error: TamperedError) -> None:
        """Who was about to act met such a row: it is a finding from now on."""
        table = self._find_table(error.table)
        for row in self._checks.find_rows(connection, table, error.key):
            wrong = self._checks.check_row(connection, table, row)
            if wrong is not None:
                finding_rows.record(connection, _find(connection, wrong), self._clock())

    def show(self, table: str, key: str) -> Shown:
        """The row that a person is to answer for; `RefusedError` if it is as one of us wrote it."""
        with self._database.read() as connection:
            return self._show(connection, table, key)[0]

    def accept(self, table: str, key: str, *, shown: str, actor: str) -> None:
        """Somebody answers for the row as it was shown to them: its digest is made anew, and that is audited.

        `RefusedError` if it is another by now.
        """
        now = self._clock()
        with self._database.write() as connection:
            found, kept, row = self._show(connection, table, key, lock=True)
            if found.digest != shown:
                raise RefusedError(f"{table} {key} was changed again meanwhile: look at it once more")
            sign_row(connection, self._macs, kept, row)
            self._audit.append(
                connection,
                at=now,
                actor=actor,
                action="row.accept",
                subject=f"{table} {key}"[:100],
                digest=shown,
            )
            subject = tampered_subject(table, key)
            if self._is_mended(connection, subject):  # there may be another whose key begins so
                finding_rows.resolve(connection, FindingKind.TAMPERED, subject, now)

    # Inside

    def _look(self, connection: Connection) -> tuple[CheckedRows, CheckedUpTo | None]:
        """On from where the night before had come to, as far as the budget goes; and where that leads."""
        rows, wrong, place = 0, [], None
        for after, page in self._walk(connection, row_check_rows.read_place(connection)):
            rows += page.rows
            wrong += [_find(connection, one) for one in page.wrong]
            place = after
            if rows >= self._budget or len(wrong) >= _WRONG_MAX:
                break
        return CheckedRows(rows=rows, wrong=tuple(wrong)), place

    def _walk(
        self, connection: Connection, place: CheckedUpTo | None
    ) -> Iterator[tuple[CheckedUpTo | None, RowPage]]:
        """Each page, with the place after it; None: that was the last one."""
        tables = self._checks.tables()
        names = [table.name for table in tables]
        start = names.index(place.table) if place is not None and place.table in names else 0
        key = None if place is None else _read_key(tables[start], place)
        for position in range(start, len(tables)):
            following = CheckedUpTo(table=names[position + 1], key=None) if position + 1 < len(tables) else None
            for page in self._checks.walk(connection, tables[position], key, size=_PAGE):
                more = page.last is not None
                yield (CheckedUpTo(table=names[position], key=page.last) if more else following), page
            key = None

    def _find_mended(self, connection: Connection) -> list[str]:
        """Of what was found before: what is whole by now, or gone."""
        mended = []
        for subject in row_check_rows.list_tampered(connection):
            done = do_apart(connection, subject, lambda one: self._is_mended(connection, one))
            if done is True:  # one of which it cannot be told stays open, and ends no night
                mended.append(subject)
        return mended

    def _is_mended(self, connection: Connection, subject: str) -> bool:
        name, _, key = subject.partition(" ")
        table = next((one for one in self._checks.tables() if one.name == name), None)
        if table is None:
            return True
        rows = self._checks.find_rows(connection, table, key, cut=len(subject) == SUBJECT_MAX)
        return all(self._checks.check_row(connection, table, row) is None for row in rows)

    def _show(
        self, connection: Connection, name: str, key: str, *, lock: bool = False
    ) -> tuple[Shown, Table, Any]:
        table = self._find_table(name)
        rows = self._checks.find_rows(connection, table, key, lock=lock)
        if not rows:
            raise NotFoundError(f"{name} has no row {key[:100]!r}: `nightkey audit verify --rows` names them")
        row = rows[0]
        wrong = self._checks.check_row(connection, table, row)
        if wrong is None:
            raise RefusedError(f"{name} {key} is as Nightkey wrote it: there is nothing to answer for")
        if wrong.fault is RowFault.RECORD:
            raise RefusedError(
                f"{name} {key} is as Nightkey wrote it, and its sealed record does not open: nobody can answer "
                f"for that. {_find(connection, wrong).command}"
            )
        digest = ""
        with suppress(TypeError):  # a value that none of us wrote
            digest = self._macs.make(table, wrong.row).hex()
        if not digest:
            raise RefusedError(f"{name} {key} holds what cannot be read: restore it from a backup")
        return Shown(table=name, key=key, columns=describe_row(wrong.row), digest=digest), table, row

    def _find_table(self, name: str) -> Table:
        tables = {table.name: table for table in self._checks.tables()}
        if name not in tables:
            raise InvalidInputError(
                f"no table {name[:40]!r} of rows that decide: it is one of {', '.join(tables)}"
            )
        return tables[name]


def _read_key(table: Table, place: CheckedUpTo) -> tuple[Any, ...] | None:
    """The primary key that is stored of a place, by the table's columns; None: it can be none of the table."""
    kinds = [column.type.python_type for column in table.primary_key]
    if place.table != table.name or len(place.key or ()) != len(kinds):
        return None
    key = tuple(
        read_time(part) if kind is datetime and isinstance(part, str) else part
        for part, kind in zip(place.key or (), kinds, strict=True)
    )
    return key if all(type(part) is kind for part, kind in zip(key, kinds, strict=True)) else None


def _find(connection: Connection, wrong: Wrong) -> Finding:
    item_id = wrong.row.get("item_id") or (wrong.row["id"] if wrong.table == "items" else None)
    name = row_check_rows.name_of_item(connection, item_id) if isinstance(item_id, str) else None
    return find_wrong(wrong.table, wrong.key, wrong.row, opens=wrong.fault is RowFault.ROW, item=name)
