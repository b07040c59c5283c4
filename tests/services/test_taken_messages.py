"""Each message is taken once, by whichever worker; what marks that waits for no disk, and does not pile up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, func, select, text

from tests.forged import OURS
from tests.services.conftest import race
from worker.bootstrap import Services
from worker.domain.messages import AGE_MAX, Ring
from worker.rows.tables import taken_messages

MINUTE = timedelta(minutes=1)


def send(at: datetime) -> str:
    """The id of a message that was sent then."""
    seals = OURS.seals(lambda: at)
    ring = seals.open(seals.seal("nightkey.night", ()))
    assert isinstance(ring, Ring)
    return ring.id


def count(services: Services) -> int:
    with services.database.read() as connection:
        return connection.execute(select(func.count()).select_from(taken_messages)).scalar_one()


def test_a_message_is_taken_once(services: Services, clock: Any) -> None:
    first, second = send(clock()), send(clock())
    take = services.upkeep.taken_messages.take
    assert [take(first), take(second), take(first), take(second)] == [True, True, False, False]


def test_of_many_workers_who_take_the_same_one_is_the_first(services: Services, clock: Any) -> None:
    message = send(clock())
    found = race(8, lambda _: services.upkeep.taken_messages.take(message))
    assert (found.count(True), found.count(False)) == (1, 7)


def test_it_costs_one_statement_that_waits_for_no_disk_and_others_wait_again_after_it(
    services: Services, clock: Any
) -> None:
    seen: list[tuple[str, str]] = []

    def look(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(("INSERT", "SELECT 1")):
            driver: Any = connection.connection.driver_connection
            asked = "PRAGMA synchronous" if services.database.is_sqlite else "SHOW synchronous_commit"
            seen.append((statement[:6], str(driver.execute(asked).fetchone()[0])))

    engine = services.database.engine
    engine.dispose()  # so that there is one connection from now on
    if not services.database.is_sqlite:  # as on a server; that of the tests waits for nothing
        with engine.connect() as connection:
            connection.execute(text("SET synchronous_commit TO on"))
            connection.commit()
    event.listen(engine, "before_cursor_execute", look)
    try:
        services.upkeep.taken_messages.take(send(clock()))
        with services.database.write() as connection:
            connection.execute(text("SELECT 1"))
    finally:
        event.remove(engine, "before_cursor_execute", look)
    waits_not, waits = ("1", "2") if services.database.is_sqlite else ("off", "on")
    assert seen == [("INSERT", waits_not), ("SELECT", waits)]


def test_one_that_could_still_open_for_a_worker_is_remembered(services: Services, clock: Any) -> None:
    take = services.upkeep.taken_messages.take
    began = clock()
    # Sent by a clock that is as far ahead, or behind, as a message may be when it comes.
    kept = [send(began + AGE_MAX), send(began), send(began - AGE_MAX)]
    assert all(map(take, kept))
    clock.advance(AGE_MAX - MINUTE)
    services.night.resume_sweep.find_work()
    assert not any(map(take, kept))
    clock.advance(AGE_MAX)
    services.night.resume_sweep.find_work()
    assert [take(each) for each in kept] == [False, False, True]


def test_those_that_open_for_nobody_any_more_are_forgotten(services: Services, clock: Any) -> None:
    for _ in range(3):
        services.upkeep.taken_messages.take(send(clock()))
    clock.advance(2 * AGE_MAX + MINUTE)
    services.upkeep.taken_messages.take(send(clock()))
    services.night.resume_sweep.find_work()
    assert count(services) == 1


@pytest.mark.parametrize("ahead", [timedelta(days=3), timedelta(days=800)])
def test_those_of_a_clock_that_was_ahead_are_forgotten_too(
    services: Services, clock: Any, ahead: timedelta
) -> None:
    services.upkeep.taken_messages.take(send(clock() + ahead))
    services.night.resume_sweep.find_work()
    assert count(services) == 0


def test_an_id_of_long_ago_is_one_too(services: Services) -> None:
    assert services.upkeep.taken_messages.take(send(datetime(1970, 1, 1, tzinfo=UTC)))
