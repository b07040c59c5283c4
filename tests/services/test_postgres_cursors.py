"""What cursors of PostgreSQL say of the columns of a result, and when."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from psycopg import Column, Cursor
from sqlalchemy import event, literal, select, text

from tests.postgres import show_for_sqlalchemy
from vaultcore.engines import make_engine
from vaultcore.postgres_cursors import LateCursor

TWO = "SELECT 1 AS one, 'b'::text AS other"


@pytest.fixture
def connection(postgres: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres, cursor_factory=LateCursor) as made:
        yield made


def test_they_say_what_the_driver_says(connection: psycopg.Connection) -> None:
    late, own = connection.execute(TWO), Cursor(connection).execute(TWO)
    assert late.description is not None
    assert [tuple(column) for column in late.description] == [tuple(column) for column in own.description or ()]
    assert len(late.description) == 2
    assert late.description[1].name == "other"
    assert [column.name for column in late.description[:1]] == ["one"]


@pytest.mark.parametrize(
    "statement", ["SET LOCAL lock_timeout TO '1s'", "CREATE TEMPORARY TABLE made (one int)"]
)
def test_what_has_no_rows_has_no_columns(connection: psycopg.Connection, statement: str) -> None:
    assert connection.execute(statement).description is None


def test_a_statement_that_is_known_has_its_columns_described_once(postgres: str) -> None:
    described = list[int]()

    class Counted(LateCursor):
        def describe(self) -> Sequence[Column]:
            described.append(1)
            return super().describe()

    def count(connection: Any, _record: Any) -> None:
        assert connection.cursor_factory is LateCursor
        connection.cursor_factory = Counted

    engine = make_engine(show_for_sqlalchemy(postgres), is_sqlite=False, setting="test")
    event.listen(engine, "connect", count)
    kept = select(literal(1))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        described.clear()
        assert [connection.execute(kept).scalar_one() for _ in range(3)] == [1, 1, 1]
        assert len(described) == 1
        row = connection.execute(text(TWO)).one()
        assert (row.one, row.other) == (1, "b")
    engine.dispose()
