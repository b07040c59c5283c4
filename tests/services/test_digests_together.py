"""Digests of many owners are posted, written and sent together: each is as it would be alone."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from nightkey_demo.http_sink import HttpSink
from tests.counting import count_on
from tests.services.conftest import Moves
from tests.services.spoiling import wrong
from vaultcore.database import Database
from vaultcore.model import Mode, Policy
from vaultcore.secret import Secret
from worker.bootstrap import Services
from worker.rows.deliveries import Key
from worker.rows.notices import count
from worker.rows.tables import deliveries, notices
from worker.services.notices.send_pool import SendJob, SendResult

FEW, MANY = 3, 12
EACH = 3
NOTIFY = Policy(mode=Mode.NOTIFY, stated=True)


@pytest.fixture
def sink() -> Any:
    with HttpSink() as made:
        yield made


def add_owner(services: Services, n: int, where: str) -> None:
    """With some items that lapse soon, and a route of which is known whom it leads to."""
    with services.database.write() as connection:
        owner = services.owners.create(connection, f"team-{n:02d}", actor="test")
        services.owners.add_route(
            connection, owner, Secret(f"json://{where}/{n}"), shown="json://sink", recipients=[""], actor="test"
        )
        for place in range(EACH):
            services.vault.create(
                connection, name=f"prod-billing-{n}-{place}-api-token", value=Secret(f"a-value-{n}-{place}"),
                actor="test", owner_ids=[owner.id], expires_at=None, policy=NOTIFY,
            )  # fmt: skip


def post_night(services: Services, sink: HttpSink, clock: Any, owners: int) -> datetime:
    for n in range(owners):
        add_owner(services, n, sink.url[7:])
    slot: datetime = clock()
    services.night.nights.begin(slot)
    return slot


def keys(database: Database) -> list[Key]:
    with database.read() as connection:
        found = connection.execute(select(*(deliveries.c[name] for name in Key._fields)))
        return [Key(*row) for row in found]


def lease(services: Services) -> list[SendJob]:
    return services.notices.delivery._lease(keys(services.database))


def test_they_cost_no_more_statements_when_they_are_more(
    services: Services, sink: HttpSink, clock: Any
) -> None:
    """Posted when a night closes, written when they leave, and marked."""
    engine, delivery = services.database.engine, services.notices.delivery
    spent, known = [], set[Key]()
    for owners in (FEW, FEW, MANY):  # once before, for what is read once in a process
        for n in range(owners):
            add_owner(services, len(known) + n, sink.url[7:])
        slot = clock()
        services.night.nights.begin(slot)
        with count_on(engine) as posting:
            services.night.nights.close(slot)
        with count_on(engine) as leasing:
            jobs = delivery._lease([key for key in keys(services.database) if key not in known])
        assert len(jobs) == owners
        known |= {job.key for job in jobs}
        with count_on(engine) as marking:
            delivery._record([SendResult(job=job) for job in jobs])
        spent.append([len(one.statements) for one in (posting, leasing, marking)])
        clock.advance(timedelta(days=1))
    assert spent[1] == spent[2]
    assert spent[2][2] == 1


def test_each_says_what_it_says_alone(services: Services, sink: HttpSink, clock: Any) -> None:
    services.night.nights.close(post_night(services, sink, clock, FEW))
    delivery = services.notices.delivery
    together = {job.key: job.message for job in lease(services)}
    assert len(together) == FEW
    with services.database.write() as connection:
        alone = {key: job.message for key in together for job in delivery._prepare(connection, key, 1)}
    assert alone == together
    for key, message in together.items():
        (mine,) = [n for n in range(FEW) if f"(team-{n:02d})" in message.subject]
        about = {int(found) for found in re.findall(r"prod-billing-(\d)-", message.body)}
        assert about == {mine}, message.body
        with services.database.read() as connection:
            row = connection.execute(select(notices).where(notices.c.id == key.notice_id)).one()
        assert (row.body, f"{row.subject} [{row.id[-8:]}]") == (message.body, message.subject)


def test_one_that_was_edited_falls_out_of_its_batch(services: Services, sink: HttpSink, clock: Any) -> None:
    services.night.nights.close(post_night(services, sink, clock, FEW))
    (edited, *_) = keys(services.database)
    Moves.edited.add(id(services))
    with services.database.engine.begin() as connection:
        connection.execute(
            update(notices).where(notices.c.id == edited.notice_id).values(subject="another"),
            execution_options={"nightkey_mac_as_is": True},
        )
    services.notices.delivery.deliver()
    with services.database.read() as connection:
        states = count(connection)
    assert (states["sent"], states["failed"]) == (FEW - 1, 1)
    assert len(sink.requests) == FEW - 1
    assert wrong(services) == ["notices"]


def test_a_night_that_is_closed_again_posts_none_twice(services: Services, sink: HttpSink, clock: Any) -> None:
    slot = post_night(services, sink, clock, FEW)
    with services.database.write() as connection:
        services.notices.digests.post(connection, slot)
        assert services.notices.digests.post(connection, slot) == 0
    assert len(keys(services.database)) == FEW
    services.notices.delivery.deliver()
    assert len(sink.requests) == FEW
