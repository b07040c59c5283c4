"""The one walk over rows: each of them once and in order, whatever the page size and the keys."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    insert,
    select,
)

from vaultcore.paging import walk_keyset
from vaultcore.tables import UtcDateTime

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)
rows = Table(
    "rows",
    MetaData(),
    Column("at", UtcDateTime),
    Column("name", String(10)),
    Column("number", Integer),
)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened:
        rows.metadata.create_all(opened)
        yield opened
    engine.dispose()


@contextmanager
def count_statements(connection: Connection) -> Iterator[list[str]]:
    statements: list[str] = []

    def keep(*told: Any) -> None:
        statements.append(told[2])

    event.listen(connection, "before_cursor_execute", keep)
    yield statements
    event.remove(connection, "before_cursor_execute", keep)


stored = st.tuples(
    st.integers(0, 3).map(lambda hours: NOW + timedelta(hours=hours)), st.sampled_from("abc"), st.integers(0, 9)
)
some_keys = st.sampled_from([("number",), ("at", "number"), ("name", "at", "number"), ("at", "name", "number")])


@given(st.lists(stored, unique_by=lambda row: row[2]), some_keys, st.integers(1, 6))
def test_each_row_comes_once_and_in_order(
    connection: Connection, given_rows: list[tuple[Any, ...]], keys: tuple[str, ...], size: int
) -> None:
    with connection.begin_nested() as undone:
        if given_rows:
            values = [dict(zip(rows.c.keys(), row, strict=True)) for row in given_rows]
            connection.execute(insert(rows), values)
        with count_statements(connection) as statements:
            pages = list(walk_keyset(connection, select(rows), [rows.c[key] for key in keys], size=size))
        undone.rollback()
    seen = [tuple(row) for page in pages for row in page]
    order = [rows.c.keys().index(key) for key in keys]
    assert seen == sorted(given_rows, key=lambda row: [row[place] for place in order])
    assert all(0 < len(page) <= size for page in pages)
    assert len(statements) == len(given_rows) // size + 1, "one a page, and none after one that is not whole"


def test_a_key_may_be_what_a_query_makes(connection: Connection) -> None:
    shared = func.coalesce(rows.c.name, "nobody").label("shared")
    query = select(shared).group_by(rows.c.name)
    with connection.begin_nested() as undone:
        connection.execute(
            insert(rows), [{"at": NOW, "name": name, "number": 0} for name in ("a", "z", None, "a")]
        )
        pages = [page[0].shared for page in walk_keyset(connection, query, (shared,), size=1)]
        undone.rollback()
    assert pages == ["a", "nobody", "z"]
