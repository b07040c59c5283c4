"""Times as SQLite keeps them: what we wrote is read at once, and all else as it is read of any column."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, MetaData, Table, TypeDecorator, create_engine, select

from vaultcore.damage import is_sound
from vaultcore.stored import UNREADABLE, keep_damage_apart
from vaultcore.tables import UtcDateTime, read_written

WRITTEN = "2026-03-01 02:00:00.000000"
FIRST = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
times = st.datetimes(FIRST)
ENGINE = create_engine("sqlite://")
keep_damage_apart(ENGINE)
TIMES = Table("times", MetaData(), Column("at", UtcDateTime, nullable=False))
KIND: Any = UtcDateTime().dialect_impl(ENGINE.dialect)


def nearly(written: str) -> st.SearchStrategy[str]:
    """The same with another character, without one, or with one more."""
    place, other = st.integers(0, len(written)), st.sampled_from("0123456789-:+ TZW.,x")
    return st.one_of(
        st.builds(lambda at, one: written[:at] + one + written[at + 1 :], place, other),
        st.builds(lambda at: written[:at] + written[at + 1 :], place),
        st.builds(lambda at, one: written[:at] + one + written[at:], place, other),
    )


texts = times.map(lambda time: time.isoformat(" ", "microseconds")).flatmap(nearly)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with ENGINE.begin() as connection:
        TIMES.create(connection)
        yield connection


@given(st.one_of(texts, st.none(), st.integers(), st.binary(max_size=26), st.floats(), st.just(UNREADABLE)))
@example("2026-03-01")
@example("2026-03-01+00:00")
@example("2026-W09-7 02:00:00.000000")
@example("1999-12-31 23:59:59.999999")
@example("2026-03-01 02:00:00.0+02:0")
def test_it_is_read_as_it_would_be_with_all_care(stored: Any) -> None:
    careful: Any = TypeDecorator.result_processor(KIND, ENGINE.dialect, None)
    quick: Any = KIND.result_processor(ENGINE.dialect, None)

    assert quick(stored) == careful(stored)


@given(times)
def test_what_we_write_is_read_at_once(time: datetime) -> None:
    write: Any = KIND.bind_processor(ENGINE.dialect)
    written = write(time.replace(tzinfo=UTC))

    read = read_written(written)
    assert read == time.replace(tzinfo=UTC)
    assert read is not None
    assert read.tzinfo is UTC


@given(stored=st.one_of(texts, times.map(lambda time: time.isoformat(" ", "microseconds"))))
@example(stored=WRITTEN)
@example(stored="2026-03-01 24:00:00.000000")
@example(stored="2026-03-01 29:00:00.000000")
@example(stored="2026-02-29 02:00:00.000000")
@example(stored="2026-03-01 02:00:00.999999")
@example(stored="2026-12-31 23:59:59.999999")
@example(stored="9999-12-31 23:59:59.999999")
@example(stored="2026-03-01 02:00:00.000000 ")
def test_the_database_takes_for_sound_what_can_be_read_and_no_other_form_of_it(
    connection: Connection, stored: str
) -> None:
    connection.exec_driver_sql("DELETE FROM times")
    connection.exec_driver_sql("INSERT INTO times VALUES (?)", (stored,))
    sound = connection.execute(select(is_sound(TIMES.c.at, "sqlite")).select_from(TIMES)).scalar_one()

    time = read_written(stored)
    is_ours = time is not None and time.replace(tzinfo=None).isoformat(" ", "microseconds") == stored
    assert bool(sound) == is_ours
