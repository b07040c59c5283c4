"""A night whose scan raises is told of, tried again, and given up."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

from nightkey_demo.http_sink import HttpSink
from tests.services.conftest import Moves
from tests.services.staging import make_services, what_is_wrong
from vaultcore.errors import AuditError, TroubleError
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.rows.notices import list_notices
from worker.rows.tables import sweeps

pytestmark = pytest.mark.rules


MINUTES = timedelta(minutes=16)


@pytest.fixture
def services(tmp_path: Path, database_url: str, clock: Any, sink: HttpSink) -> Iterator[Services]:
    made = make_services(tmp_path / "home", database_url, clock, heartbeat_url=f"{sink.url}/beat")
    with made.database.write() as connection:
        operators = made.owners.get(connection, "operators")
        url = Secret(f"json://{sink.url[7:]}/operators")
        made.owners.add_route(connection, operators, url, shown="json://sink", actor="test")
    yield made
    made.close()


def take_away(services: Services, table: str) -> None:
    with services.database.write() as connection:
        connection.execute(text(f"ALTER TABLE {table} RENAME TO put_away"))


def put_back(services: Services, table: str) -> None:
    with services.database.write() as connection:
        connection.execute(text(f"ALTER TABLE put_away RENAME TO {table}"))


def end_lease(services: Services, clock: Any) -> None:
    """As its time does: on PostgreSQL, leases go by the server's clock."""
    clock.advance(MINUTES)
    with services.database.write() as connection:
        connection.execute(update(sweeps).values(lease_until=clock.now - MINUTES))


def beats(services: Services, sink: HttpSink) -> list[str]:
    for name in services.notices.heartbeat.waiting():
        services.notices.heartbeat.send(name)
    return [post.path.removeprefix("/beat") for post in sink.requests]


def ring(services: Services, slot: Any) -> bool:
    """Whether the scan was begun, and raised what is said of a table that is not there."""
    try:
        return services.night.nights.begin(slot) is not None
    except TroubleError:
        return True


def test_it_is_told_tried_again_and_given_up(services: Services, clock: Any, sink: HttpSink) -> None:
    slot = clock.now
    take_away(services, "pickups")
    assert ring(services, slot)
    assert beats(services, sink) == ["/start", "/fail"]
    assert not ring(services, slot), "not before its lease is over"
    tries = 1
    for _ in range(20):
        end_lease(services, clock)
        tries += ring(services, slot)
    assert tries == 8
    put_back(services, "pickups")
    status = services.overview.status.read()
    assert status.last_night is not None
    assert status.last_night.outcome == "failed"
    assert any("could not be scanned" in problem for problem in what_is_wrong(services))
    with services.database.read() as connection:
        (notice,) = list_notices(connection)
    assert "could not be scanned" in (notice.body or "")
    assert beats(services, sink) == ["/start", "/fail"], "once a night"


@pytest.mark.both
def test_what_is_over_in_the_second_try_ends_well(services: Services, clock: Any, sink: HttpSink) -> None:
    slot = clock.now
    take_away(services, "pickups")
    ring(services, slot)
    put_back(services, "pickups")
    services.notices.delivery.deliver()
    end_lease(services, clock)
    assert services.night.nights.begin(slot) == []
    assert services.night.nights.close(slot) == "good"
    assert beats(services, sink)[-1] == ""


def test_a_log_without_its_head_is_one_line(services: Services, moves: Moves) -> None:
    moves.add()
    moves.sql("UPDATE audit_head SET seq = seq + 7")
    with pytest.raises(AuditError, match="does not belong to it"):
        moves.add("prod-crm-api-token")
