"""Departures and heartbeats that were edited, what lists say, and every column of these tables that decides."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update

from nightkey_demo.http_sink import HttpSink
from tests.organisation import ADMIN, Organisation
from tests.services.spoiling import find, spoil, spoiled, write, wrong
from tests.services.staging import TOKEN, add_route, begin_by_hand, stage, step_to, what_is_wrong
from tests.services.test_tampered import behind, tampered
from tests.services.test_tampered_notices import post
from tests.services.test_tampered_pickups import MINE, open_pickup
from vaultcore.errors import TamperedError
from vaultcore.row_macs import MAC, columns_of, key_of
from vaultcore.signing_rows import page_after
from vaultcore.tables import items
from worker.bootstrap import Services
from worker.domain.saga import State
from worker.rows.tables import (
    deliveries,
    departure_items,
    departures,
    heartbeats,
    notices,
    pickups,
    run_versions,
    runs,
)
from worker.services.rotation.offboarding import Departure, Fate
from worker.wording.reasons import say

pytestmark = pytest.mark.rules


SECOND_GENERATION = (pickups, notices, deliveries, runs, run_versions, departures, departure_items, heartbeats)
PATH = "/ping/1"


@pytest.fixture
def organisation(tmp_path: Path, database_url: str, clock: Any, sink: HttpSink) -> Iterator[Organisation]:
    """Two tokens are somebody's own; heartbeats are heard."""
    with stage(tmp_path / "home", database_url, clock, heartbeat_url=f"{sink.url}{PATH}") as (made, _):
        made.add_token(TOKEN, "support")
        made.add_token("prod-second-token", "second")
        made.add_workflow("ticket-sync", TOKEN)
        made.add_workflow("second", TOKEN)
        add_route(made, "operators")
        yield made


def begin_leaving(services: Services) -> Departure:
    return services.rotation.offboarding.begin("support", emergency=False, actor="user:boss")


@pytest.mark.both
def test_an_edited_departure_goes_on_with_nothing(organisation: Organisation) -> None:
    services = organisation.services
    departure = begin_leaving(services)
    for name in departures.info["decides"]:
        with spoiled(services, departures, departure.id, name):
            with pytest.raises(TamperedError, match="accept-row departures dpt_"):
                services.rotation.offboarding.open_next(departure, after=0, actor="user:boss")
            with pytest.raises(TamperedError):
                services.rotation.offboarding.finish(departure.id)
            assert wrong(services) == ["departures"], name
    with spoiled(services, departures, departure.id, "emergency"), pytest.raises(TamperedError):
        begin_leaving(services)
    assert organisation.rotations() == []
    assert begin_leaving(services) == departure


def test_an_edited_item_of_a_departure_is_passed_over_and_told(organisation: Organisation) -> None:
    services = organisation.services
    departure = begin_leaving(services)
    first = departure.items[0]
    row = find(services, departure_items, f"{departure.id} {first.position}")
    edits = {"item_id": organisation.item(ADMIN).id, "item": "x", "number": 0, "position": 9, MAC: None}
    for name, value in edits.items():
        with behind(services) as connection:
            mine = departure_items.c.position == first.position
            connection.execute(update(departure_items).where(mine).values({name: value}))
        read = services.rotation.offboarding.read(departure.id).items
        (refused,) = [one for one in read if one.fate is Fate.REFUSED]
        assert "accept-row departure_items" in say(refused.why)
        assert [one.item for one in read if one.fate is Fate.TO_DO] == ["prod-ticketing-api-token"], name
        assert wrong(services) == ["departure_items"], name
        assert services.rotation.offboarding.finish(departure.id).finished_at is None
        if name != MAC:
            write(services, departure_items, row | ({"position": 9} if name == "position" else {}), **row)
    after, opened = 0, []
    while (
        found := services.rotation.offboarding.open_next(departure, after=after, actor="user:boss")
    ) is not None:
        opened.append(found[1].item)
        after = found[0].position
    assert opened == [TOKEN], "the other goes on, and nothing is done by what was edited"


@pytest.mark.both
def test_an_edited_heartbeat_says_nothing_and_stops_no_other(
    organisation: Organisation, clock: Any, sink: HttpSink
) -> None:
    services = organisation.services
    for name in (*heartbeats.info["decides"], "slot", "beat", MAC):
        clock.advance(timedelta(days=1))
        slot = clock()
        organisation.night()
        key = f"{slot.isoformat()} start"
        row, heard = find(services, heartbeats, key), len(sink.requests)
        assert len(services.notices.heartbeat.waiting()) == 2
        if name == "state":  # said before, and to be said again
            write(
                services,
                heartbeats,
                row,
                state="sent",
                mac=services.row_macs.make(heartbeats, row | {"state": "sent"}),
            )
            assert wrong(services) == []
            write(services, heartbeats, row, state="waiting")
        elif name in ("beat", "slot"):
            with behind(services) as connection:
                connection.execute(delete(heartbeats).where(heartbeats.c.beat != "start"))
            changed = {"beat": "success", "slot": slot - timedelta(hours=3)}
            write(services, heartbeats, row, **{name: changed[name]})
        elif name == MAC:
            write(services, heartbeats, row, mac=None)
        else:
            spoil(services, heartbeats, key, name)
        for beat in sorted(services.notices.heartbeat.waiting(), key=lambda one: not one.endswith("start")):
            services.notices.heartbeat.send(beat)
        said = [post.path.removeprefix(PATH) for post in sink.requests[heard:]]
        assert len(said) == (0 if name in ("beat", "slot") else 1), name
        assert "/start" not in said
        assert services.notices.heartbeat.waiting() == []
        assert wrong(services) == ["heartbeats"], name
        assert [one.split(" ")[0] for one in tampered(services)] == ["heartbeats"], "at once"
        assert any("accept-row heartbeats" in one for one in what_is_wrong(services)), name
        with behind(services) as connection:
            connection.execute(delete(heartbeats))
        services.upkeep.row_verification.check_some()
        assert tampered(services) == []


def test_an_edited_item_stands_in_no_list_as_if_it_were_ours(organisation: Organisation) -> None:
    services = organisation.services
    write(services, items, find(services, items, organisation.item(TOKEN).id), expires_at=services.clock())
    with services.database.read() as connection:
        listed = list(services.vault.walk(connection))
    errors = [one for one in listed if isinstance(one, TamperedError)]
    assert [TOKEN in str(one) and "accept-row items" in str(one) for one in errors] == [True]
    assert len(listed) == 3


def fill(organisation: Organisation, clock: Any) -> None:
    """Each of these tables has a row."""
    services = organisation.services
    open_pickup(services, MINE)
    post(services, "one")
    step_to(organisation, clock, begin_by_hand(organisation, TOKEN), State.WATCHING)
    services.night.nights.begin(clock())
    begin_leaving(services)


def test_every_column_that_decides_is_told_and_can_be_answered_for(
    organisation: Organisation, clock: Any
) -> None:
    services = organisation.services
    fill(organisation, clock)
    for table in SECOND_GENERATION:
        for name in table.info["decides"]:
            with services.database.read() as connection:
                row = page_after(connection, table, None, size=1)[0]
            key = key_of(table, row._asdict())
            spoil(services, table, key, name)
            (found,) = services.upkeep.row_verification.check_some().wrong
            assert found.subject == f"{table.name} {key}", name
            assert found.command is not None
            shown = services.upkeep.row_verification.show(table.name, key)
            assert set(shown.columns) == set(columns_of(table))
            services.upkeep.row_verification.accept(table.name, key, shown=shown.digest, actor="test")
            assert wrong(services) == []
        services.upkeep.row_verification.check_some()
