"""The rows of a vault in another database: copied page by page, and compared with those of the vault."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection, Table

from vaultcore.database import Database
from vaultcore.raw_rows import (
    Key,
    RawRow,
    add_rows,
    count_rows,
    find_differences,
    find_rows,
    key_of_row,
    link_rows,
    own_links,
    show_key,
    walk_rows,
)
from worker.domain.moves import CopyFault, RowDifference
from worker.rows import moves as move_rows
from worker.rows.moves import CopiedTo

DIFFERENCES_MAX = 1000
"""So many rows are named that are not the same."""
_NOWHERE = CopiedTo(last=None, done=False)
_EVERYWHERE = CopiedTo(last=None, done=True)
_BEYOND = "(rows that were not copied yet)"
Tell = Callable[[Table, int], None]
"""Hears of each table, and of how many more of its rows were dealt with."""


class RowCopy:
    """From a connection that sees the vault held still. `page_size`: rows that are read and copied at once."""

    def __init__(self, source: Connection, *, page_size: int) -> None:
        self._source = source
        self._size = page_size

    def copy(self, target: Database, tell: Tell) -> int:
        """Goes on where the target says that it had come to. How many rows it copied.

        Each page is a transaction, with how far it leads. A table whose rows point at each other is one as a
        whole: that of owners, of whom there are few.
        """
        with target.read() as connection:
            places = move_rows.read_places(connection)
        copied = 0
        for table in move_rows.list_moved():
            place = places.get(table.name, _NOWHERE)
            if not place.done:
                copy = self._copy_whole if own_links(table) else self._copy_pages
                copied += copy(target, table, place.last, tell)
        return copied

    def compare_copied(self, target: Connection, tell: Tell) -> tuple[RowDifference, ...]:
        """What of the rows that were copied before is not as it is in the vault, some of it."""
        return self._compare(target, move_rows.read_places(target), _NOWHERE, tell)

    def compare_all(self, target: Connection, tell: Tell) -> tuple[RowDifference, ...]:
        """What of all rows is not the same in both, some of it."""
        return self._compare(target, {}, _EVERYWHERE, tell)

    # Inside

    def _copy_pages(self, target: Database, table: Table, last: Key | None, tell: Tell) -> int:
        copied = 0
        for page in walk_rows(self._source, table, last, size=self._size):
            last = key_of_row(table, page[-1])
            with target.write() as connection:
                add_rows(connection, table, page)
                move_rows.write_place(connection, table, CopiedTo(last=last, done=False))
            copied += len(page)
            tell(table, len(page))
        with target.write() as connection:
            move_rows.write_place(connection, table, CopiedTo(last=last, done=True))
        return copied

    def _copy_whole(self, target: Database, table: Table, last: Key | None, tell: Tell) -> int:
        copied = 0
        with target.write() as connection:
            for page in walk_rows(self._source, table, last, size=self._size):
                add_rows(connection, table, page)
                copied += len(page)
                tell(table, len(page))
            for page in walk_rows(self._source, table, last, size=self._size):
                link_rows(connection, table, page)
            move_rows.write_place(connection, table, _EVERYWHERE)
        return copied

    def _compare(
        self, target: Connection, places: Mapping[str, CopiedTo], other: CopiedTo, tell: Tell
    ) -> tuple[RowDifference, ...]:
        """Up to the place of each table, or the `other`."""
        found = (
            difference
            for table in move_rows.list_moved()
            for difference in self._compare_table(target, table, places.get(table.name, other), tell)
        )
        return tuple(islice(found, DIFFERENCES_MAX))

    def _compare_table(
        self, target: Connection, table: Table, place: CopiedTo, tell: Tell
    ) -> Iterator[RowDifference]:
        """By key, since the two databases need not agree on an order; what is at the target alone is found by
        its number, and then by its key.
        """
        matched = 0
        for page in self._walk_upto(table, place):
            rows = {key_of_row(table, row): row for row in page}
            copies = find_rows(target, table, rows.keys())
            matched += len(copies)
            yield from _compare_page(table, rows, copies)
            tell(table, len(page))
        if count_rows(target, table) != matched:
            added = list(islice(self._find_added(target, table), DIFFERENCES_MAX))
            yield from added or [RowDifference(table=table.name, key=_BEYOND, fault=CopyFault.ADDED)]

    def _walk_upto(self, table: Table, place: CopiedTo) -> Iterator[Sequence[RawRow]]:
        if place.done:
            return walk_rows(self._source, table, size=self._size)
        if place.last is None:
            return iter(())
        return walk_rows(self._source, table, upto=place.last, size=self._size)

    def _find_added(self, target: Connection, table: Table) -> Iterator[RowDifference]:
        for page in walk_rows(target, table, size=self._size):
            keys = [key_of_row(table, row) for row in page]
            there = find_rows(self._source, table, keys)
            for key in keys:
                if key not in there:
                    yield RowDifference(table=table.name, key=show_key(key), fault=CopyFault.ADDED)


def _compare_page(
    table: Table, rows: Mapping[Key, RawRow], copies: Mapping[Key, RawRow]
) -> Iterator[RowDifference]:
    for key, row in rows.items():
        if key not in copies:
            yield RowDifference(table=table.name, key=show_key(key), fault=CopyFault.MISSING)
            continue
        fields = find_differences(table, row, copies[key])
        if fields:
            yield RowDifference(table=table.name, key=show_key(key), fault=CopyFault.DIFFERS, fields=fields)
