"""Damaged rows on both databases, and what lists and messages make of them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from tests.services.conftest import TOKEN, Moves
from vaultcore.errors import ConfigurationError, UnreadableError
from vaultcore.paging import walk_pages
from vaultcore.tables import references
from worker.bootstrap import Services
from worker.domain.findings import FindingKind
from worker.domain.notice_kinds import NoticeKind
from worker.domain.policies import build_policy
from worker.rows import findings as finding_rows
from worker.rows import nights as night_rows
from worker.rows import rotations as rotation_rows
from worker.rows.consumers import consumers_of
from worker.wording.problems import describe
from worker.wording.reasons import say

OTHER = "prod-crm-api-token"
DUE = {"mode": "auto", "rotator": "random", "lifetime": "60d", "lead": "14d", "consumers": "none"}


def add_due(moves: Moves, *names: str) -> None:
    for name in names:
        moves.add(name, days=3, policy=build_policy(None, DUE))


def unreadable(services: Services) -> dict[str | None, str]:
    with services.database.read() as connection:
        rows = finding_rows.list_open(connection)
    return {row.item: say(row.detail) for row in rows if row.kind == FindingKind.UNREADABLE}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("expires_at", "'0001-01-01 00:00:00.000000'"),
        ("kind", "'garbage'"),
        ("overlap_seconds", "-5"),
        ("policy", "'[1]'"),
        ("policy", "'{}'"),
        ("hygiene", "'garbage'"),
        ("due_at", "'9999-12-31 23:59:59.000000'"),
    ],
)
def test_a_damaged_item_is_a_finding_and_no_rotation_on_either_database(
    services: Services, moves: Moves, column: str, value: str
) -> None:
    add_due(moves, TOKEN, OTHER)
    moves.sql(f"UPDATE items SET {column} = {value} WHERE name = '{TOKEN}'")
    opened = services.night.nights.begin(services.clock())
    assert opened is not None
    with services.database.read() as connection:
        rotated = {one.item for one in rotation_rows.list_rotations(connection)}
    assert OTHER in rotated
    assert TOKEN not in rotated or column in ("overlap_seconds", "hygiene"), "nothing of it is decided by these"
    assert unreadable(services).keys() == {TOKEN}
    with services.database.read() as connection:
        assert night_rows.get_night(connection, services.clock()).counts["unreadable"] == 1
        problems = services.overview.problems.of_night(connection, services.clock())
    assert any(TOKEN in describe(problem) for problem in problems)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("lacks", ["no-owner", "no-value", "misfit"])
def test_an_item_that_lacks_something_and_whose_name_cannot_be_read_ends_no_night(
    services: Services, moves: Moves, lacks: str
) -> None:
    add_due(moves, TOKEN, OTHER)
    moves.sql(f"UPDATE items SET name = x'ff', hygiene = '{lacks}' WHERE name = '{TOKEN}'")
    opened = services.night.nights.begin(services.clock())
    assert opened is not None
    assert len(opened) == 1
    assert "name" in unreadable(services)["unreadable"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", "x'ff'"),
        ("name", "CAST(x'ff' AS TEXT)"),
        ("policy", "CAST(x'7bff' AS TEXT)"),
        ("policy", "5"),
        ("policy", "'{'"),
        ("hygiene", "x'ff'"),
        ("hygiene", "CAST(x'6eff' AS TEXT)"),
        ("expires_at", "'soon'"),
        ("expires_at", "7"),
        ("expires_at", "'1999-12-31 00:00:00.000000'"),
        ("life_seconds", "'long'"),
        ("hold_until", "'never'"),
        ("hold_until", "CAST(x'ff' AS TEXT)"),
    ],
)
def test_the_walk_names_what_it_cannot_read_and_decides_of_the_others(
    services: Services, moves: Moves, column: str, value: str
) -> None:
    add_due(moves, TOKEN, OTHER)
    moves.sql(f"UPDATE items SET {column} = {value} WHERE name = '{TOKEN}'")
    seen = services.night.nights.preview(services.clock()).due
    decided, (unread,) = (
        [one.name for one in seen if one.decision is not None],
        [one for one in seen if one.decision is None],
    )
    assert decided == [OTHER]
    assert unread.finding is not None
    assert column in say(unread.finding.detail)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("column", ["due_at", "expires_at", "updated_at", "hold_until"])
@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_a_time_that_python_does_not_know_is_a_finding(
    services: Services, moves: Moves, column: str, value: str
) -> None:
    add_due(moves, TOKEN, OTHER)
    moves.sql(f"UPDATE items SET {column} = '{value}' WHERE name = '{TOKEN}'")
    opened = services.night.nights.begin(services.clock())
    assert opened is not None
    assert len(opened) == 1
    assert column in unreadable(services)[TOKEN]


def test_what_is_put_right_is_resolved(services: Services, moves: Moves, clock: Any) -> None:
    add_due(moves, TOKEN)
    moves.sql("UPDATE items SET kind = 'garbage'")
    services.night.nights.begin(services.clock())
    assert unreadable(services).keys() == {TOKEN}
    moves.sql("UPDATE items SET kind = 'secret'")
    clock.advance(timedelta(days=1))
    assert len(services.night.nights.begin(services.clock()) or ()) == 1
    assert unreadable(services) == {}


def test_a_list_has_the_others_and_an_error_for_it(services: Services, moves: Moves) -> None:
    for name in (TOKEN, OTHER, "prod-mail-password"):
        moves.add(name)
    moves.sql(f"UPDATE items SET kind = 'garbage' WHERE name = '{OTHER}'")
    with services.database.read() as connection:
        found = list(services.vault.walk(connection, page_size=2))
    errors = [one for one in found if isinstance(one, UnreadableError)]
    assert [one.name for one in found if not isinstance(one, UnreadableError)] == ["prod-mail-password", TOKEN]
    assert [OTHER in str(error) for error in errors] == [True]


@pytest.mark.parametrize("zone", ["garbage", ""])
def test_an_owner_whose_zone_cannot_be_read_is_told_all_the_same(
    services: Services, moves: Moves, zone: str
) -> None:
    with services.database.write() as connection:
        owner = services.owners.create(connection, "support", actor="test")
    moves.sql(f"UPDATE owners SET zone = '{zone}' WHERE name = 'support'")
    with services.database.write() as connection:
        assert services.notices.outbox.post(
            connection,
            owner.id,
            kind=NoticeKind.NIGHT_FAILED,
            dedupe_key="once",
            data={"night": services.clock(), "problems": ["none"]},
        )
    services.night.nights.record()
    with services.database.read() as connection:
        details = [say(row.detail) for row in finding_rows.list_open(connection) if row.kind == "unreadable"]
    assert any("support" in detail for detail in details)


def test_a_vault_that_does_not_say_which_it_is_is_refused(services: Services, moves: Moves) -> None:
    again = Services(services.settings, services.clock)
    moves.sql("DELETE FROM deployment")
    with pytest.raises(ConfigurationError, match="restore it from its backup"):
        again.check()
    again.close()


def test_pages_that_lead_nowhere_end(moves: Moves) -> None:
    moves.add()
    rows = moves.sql("SELECT id, name FROM items")
    walk = walk_pages(lambda _: rows, lambda row: (row.id,), size=1)
    with pytest.raises(Exception, match="again and again"):
        list(walk)


def test_a_hold_of_nobody_is_a_pin_which_a_person_may_take_away(services: Services, moves: Moves) -> None:
    item = moves.add().item
    moves.use("sync", TOKEN)
    moves.sql(update(references).values(held_by="garbage", pinned=1))
    with services.database.read() as connection:
        (consumer,) = consumers_of(connection, item.id, rotation_id="rot_1")
    assert (consumer.held, consumer.pinned) == (False, 1)
