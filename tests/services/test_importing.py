"""Items come in as metadata: what is stored of them, what is left alone, and who finds them."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from tests.conftest import Clock
from tests.every_item import every_item
from tests.services.conftest import Moves, race
from vaultcore.errors import ConflictError, NotFoundError
from vaultcore.ids import new_id
from vaultcore.model import Hygiene, Kind, Mode
from vaultcore.tables import audit, items, references, versions
from worker.bootstrap import Services
from worker.domain.incoming import Arrival, Contents, JudgedEntry, sort_out
from worker.importing.recognising import FileForm, read_file
from worker.services.upkeep import item_import

pytestmark = pytest.mark.rules


IDS = [f"vlt_01j9z3k4m5n6p7q8r9s0t1v2{number:02d}" for number in range(10)]
NAME, OTHER, KEY = "My App's API Token", "stripe_production_key", "api-key:incoming-webhook-key"
MADE = "2025-07-01T08:30:00.123456Z"
DAY = timedelta(days=1)


def entry(number: int, name: str, expires_at: str | None = "2026-09-01T00:00:00.000000Z") -> dict[str, Any]:
    return {"id": IDS[number], "name": name, "created_at": MADE, "expires_at": expires_at}


def read(services: Services, *given: Any) -> Contents:
    contents = read_file(json.dumps(given), now=services.clock(), form=FileForm.SDX).contents
    return sort_out(contents)


def take_in(
    services: Services, *given: Any, owners: tuple[str, ...] = (), dry_run: bool = False
) -> list[JudgedEntry]:
    contents = read(services, *given)
    assert not contents.faults
    taken = services.upkeep.item_import.take_in(
        contents.entries, owners=owners, actor="user:ana", dry_run=dry_run
    )
    return list(taken)


def add_owner(services: Services, name: str) -> None:
    with services.database.write() as connection:
        services.owners.create(connection, name, actor="test")


def test_metadata_comes_in_as_items_that_wait_for_their_values(services: Services, moves: Moves) -> None:
    add_owner(services, "platform")
    judged = take_in(
        services,
        entry(0, NAME),
        entry(1, OTHER, None),
        entry(2, KEY, "2026-01-01T00:00:00Z"),
        owners=("platform",),
    )
    assert [(one.arrival, one.item_id, one.why) for one in judged] == [
        (Arrival.NEW, IDS[n], None) for n in range(3)
    ]
    item = moves.get(NAME)
    assert (item.id, item.version, item.owners, item.kind) == (IDS[0], None, ("platform",), Kind.SECRET)
    assert item.created_at == datetime(2025, 7, 1, 8, 30, 0, 123456, tzinfo=UTC)
    assert item.updated_at == services.clock()
    assert item.expires_at == datetime(2026, 9, 1, tzinfo=UTC)
    assert item.due_at == item.expires_at - 30 * DAY
    assert (item.policy.mode, item.policy.stated) == (Mode.NOTIFY, False)
    assert moves.get(OTHER).expires_at is None
    lapsed = moves.get(KEY)
    assert (lapsed.kind, lapsed.expires_at) == (Kind.API_KEY, datetime(2026, 1, 1, tzinfo=UTC))
    assert moves.sql(select(func.count()).select_from(versions)) == [(0,)]
    hygiene = {row.name: row.hygiene.split() for row in moves.sql(select(items.c.name, items.c.hygiene))}
    assert hygiene[NAME] == [Hygiene.NO_PLAN, Hygiene.NO_VALUE]
    assert moves.verify().whole
    rows = [(row.action, row.actor, row.subject, row.details["name"]) for row in moves.log()[-3:]]
    assert rows == [("item.import", "user:ana", IDS[n], name) for n, name in enumerate((NAME, OTHER, KEY))]


def test_what_is_not_of_the_form_has_an_id_of_its_own_and_nobody_owns_it(
    services: Services, moves: Moves, clock: Clock
) -> None:
    (judged,) = take_in(services, {"id": "item-17", "name": OTHER})
    item = moves.get(OTHER)
    assert judged.item_id == item.id
    assert (item.id[:4], len(item.id), item.owners, item.created_at) == ("vlt_", 30, (), clock())


def test_what_is_there_is_left_alone_and_a_second_time_changes_nothing(
    services: Services, moves: Moves
) -> None:
    there = moves.add(NAME, days=90).item
    take_in(services, entry(1, OTHER), {"id": "odd", "name": "odd-id-token"})
    rows = moves.sql(select(func.count()).select_from(audit))
    before = [moves.get(name) for name in (NAME, OTHER, "odd-id-token")]
    odd = {"id": "odd", "name": "odd-id-token"}
    judged = take_in(services, entry(0, NAME, None), entry(1, OTHER, None), odd)
    assert [one.arrival for one in judged] == [Arrival.THERE] * 3
    assert f"it is there as {there.id}" in str(judged[0].why)
    assert [one.why for one in judged[1:]] == [None, None]
    assert [moves.get(name) for name in (NAME, OTHER, "odd-id-token")] == before
    assert moves.sql(select(func.count()).select_from(audit)) == rows


def test_what_a_person_must_mend_is_left_out_and_the_rest_comes_in(services: Services, moves: Moves) -> None:
    there = moves.add("old-name-of-it").item
    moves.add("stripe_staging_key")
    judged = take_in(
        services,
        entry(0, NAME) | {"id": there.id},
        entry(1, "Stripe_staging_key"),
        entry(2, OTHER),
    )
    assert [one.arrival for one in judged] == [Arrival.LEFT_OUT, Arrival.LEFT_OUT, Arrival.NEW]
    assert f"nightkey item update {there.id} --name" in str(judged[0].why)
    assert "looks like 'stripe_staging_key'" in str(judged[1].why)
    with services.database.read() as connection:
        names = [item.name for item in every_item(services.vault, connection)]
    assert sorted(names) == sorted(["old-name-of-it", "stripe_staging_key", OTHER])


def test_a_dry_run_says_the_same_and_stores_nothing(services: Services, moves: Moves) -> None:
    moves.add(OTHER)
    given = [entry(0, NAME), entry(1, OTHER), {"name": "one-more-token"}]
    planned = take_in(services, *given, dry_run=True)
    assert [item.name for item in _all(services)] == [OTHER]
    done = take_in(services, *given)
    assert [(one.arrival, one.why) for one in planned] == [(one.arrival, one.why) for one in done]
    assert [one.item_id for one in planned][2] is None


def test_an_owner_who_does_not_exist_is_said_before_anything_comes_in(services: Services) -> None:
    with pytest.raises(NotFoundError, match="nobody-here"):
        take_in(services, entry(0, NAME), owners=("nobody-here",))
    with pytest.raises(NotFoundError, match="nobody-here"):
        take_in(services, owners=("nobody-here",))
    assert _all(services) == []


def test_one_that_is_cut_off_does_the_rest_the_next_time(
    services: Services, moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_import, "_PAGE", 2)
    given = [entry(number, f"prod-service-{number}-token") for number in range(5)]
    walk: Any = services.upkeep.item_import.take_in(read(services, *given).entries, owners=(), actor="test")
    assert next(walk).arrival is Arrival.NEW
    walk.close()
    assert len(_all(services)) == 2
    again = take_in(services, *given)
    assert [one.arrival for one in again] == [*[Arrival.THERE] * 2, *[Arrival.NEW] * 3]
    assert moves.verify().whole


def test_a_page_of_which_one_cannot_be_stored_is_not_stored_at_all(
    services: Services, moves: Moves, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another process takes the name between the look and the insert, or the disk fills up."""

    def fail(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "INSERT INTO audit " in statement:
            raise RuntimeError("the power is gone")

    monkeypatch.setattr(item_import, "_PAGE", 2)
    event.listen(services.database.engine, "before_cursor_execute", fail)
    with pytest.raises(RuntimeError):
        take_in(services, entry(0, NAME), entry(1, OTHER))
    event.remove(services.database.engine, "before_cursor_execute", fail)
    assert _all(services) == []
    assert moves.sql(select(func.count()).select_from(references)) == [(0,)]


@pytest.mark.both
def test_two_at_the_same_time_bring_each_item_in_once(services: Services, moves: Moves) -> None:
    given = [entry(number, f"prod-service-{number}-token") for number in range(8)]
    done = race(2, lambda _: take_in(services, *given))
    assert all(isinstance(one, list | ConflictError) for one in done)
    assert [one.arrival for one in take_in(services, *given)] == [Arrival.THERE] * 8
    assert [row.action for row in moves.log()].count("item.import") == 8
    assert moves.verify().whole


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_row_that_cannot_be_read_is_in_nobodys_way(services: Services, moves: Moves) -> None:
    """SQLite keeps whatever it is given."""
    moves.add("prod-crm-password")
    there = moves.get("prod-crm-password").id
    moves.use("by-name", "not-there-token")
    moves.sql("UPDATE item_references SET written = x'ff00'")
    moves.sql("UPDATE items SET name = x'ff01'")
    judged = take_in(services, entry(0, NAME), entry(1, OTHER) | {"id": there})
    assert [one.arrival for one in judged] == [Arrival.NEW, Arrival.LEFT_OUT]


# References


def test_workflows_that_were_applied_before_find_it_by_name_and_by_id(services: Services, moves: Moves) -> None:
    moves.use("by-name", NAME)
    moves.use("by-id", IDS[0])
    moves.use("by-another-spelling", "prod-cafe\u0301-token")
    moves.use("by-nothing", "not-in-the-list", IDS[9])
    take_in(services, entry(0, NAME), entry(1, "prod-caf\u00e9-token"))
    assert _users(services, IDS[0]) == ["by-id", "by-name"]
    assert _users(services, IDS[1]) == ["by-another-spelling"]
    left = moves.sql(select(references.c.written).where(references.c.item_id.is_(None)))
    assert sorted(row.written for row in left) == sorted(["not-in-the-list", IDS[9]])
    idle = moves.sql(select(references.c.idle_at).where(references.c.item_id == IDS[0]))
    assert {row.idle_at for row in idle} == {services.clock() + 90 * DAY}


def test_workflows_that_are_applied_after_find_it_by_name_and_by_id(services: Services, moves: Moves) -> None:
    take_in(services, entry(0, NAME))
    moves.use("by-name", NAME)
    moves.use("by-id", IDS[0])
    assert _users(services, IDS[0]) == ["by-id", "by-name"]


def test_an_item_that_is_created_under_a_name_is_found_by_it_as_before(
    services: Services, moves: Moves
) -> None:
    moves.use("by-name", NAME)
    assert _users(services, moves.add(NAME).item.id) == ["by-name"]


# Many


@pytest.mark.both
def test_thousands_come_in_page_by_page(services: Services, moves: Moves, clock: Clock) -> None:
    given = [
        {"id": new_id("vlt", clock()), "name": f"prod-service-{number}-token", "created_at": MADE,
         "expires_at": "2026-09-01T00:00:00Z"}
        for number in range(3_000)
    ]  # fmt: skip
    moves.use("one-of-many", "prod-service-2999-token", given[7]["id"])
    contents = read(services, *given)
    statements = Counter[str]()
    event.listen(
        services.database.engine, "before_cursor_execute", lambda *seen: statements.update([seen[2][:6]])
    )
    number = sum(
        one.arrival is Arrival.NEW
        for one in services.upkeep.item_import.take_in(contents.entries, owners=(), actor="test")
    )
    assert number == 3_000
    assert statements.total() < 3_000 / 10, "a page is a few statements, however many it brings"
    assert _users(services, given[7]["id"]) == ["one-of-many"]
    assert moves.verify().whole


def _all(services: Services) -> list[Any]:
    with services.database.read() as connection:
        return every_item(services.vault, connection)


def _users(services: Services, item_id: str) -> list[str]:
    with services.database.read() as connection:
        return [one.consumer_name for one in services.references.of_item(connection, item_id)]
