"""Credentials come in with their values: what is stored, what is left alone, and that nothing is rotated."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from tests.conftest import Clock
from tests.services.conftest import Moves, race
from vaultcore.access import machine
from vaultcore.errors import ConflictError, InvalidInputError
from vaultcore.model import UNCHANGED, Hygiene, Label, LabelMatch, Mode, Stage, Unchanged
from vaultcore.tables import audit, items, versions
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.domain.findings import FindingKind
from worker.domain.incoming import Arrival, JudgedEntry, sort_out
from worker.domain.item_states import ItemFilter
from worker.domain.paging import PageRequest
from worker.domain.proposals import ExpirySource
from worker.importing.recognising import read_file
from worker.rows import rotations as rotation_rows
from worker.services.upkeep import item_import

pytestmark = pytest.mark.rules


DAY = timedelta(days=1)
HEADER = "name,value,expires_at,owner,lifetime"


@pytest.fixture
def take_in(services: Services) -> Callable[..., list[JudgedEntry]]:
    """Rows of a table, under the owner `platform`."""
    with services.database.write() as connection:
        for name in ("platform", "billing"):
            services.owners.create(connection, name, actor="test")

    def take(
        *rows: str, expires_at: datetime | Unchanged | None = UNCHANGED, **options: Any
    ) -> list[JudgedEntry]:
        contents = sort_out(read_file("\n".join((HEADER, *rows)), now=services.clock()).contents)
        assert not contents.faults
        walk = services.upkeep.item_import.take_in(
            contents.entries, owners=("platform",), expires_at=expires_at, actor="user:ana", **options
        )
        return list(walk)

    return take


def reveal(services: Services, name: str) -> str:
    with services.database.write() as connection:
        item = services.vault.get(connection, name)
        assert item.version is not None
        value = services.versions.reveal(
            connection, item.id, item.version, purpose=Purpose.ROTATION, actor="test"
        )
        return value.expose()


def test_whoever_brought_values_in_could_read_them(services: Services, take_in: Any) -> None:
    take_in("prod-known-token,the-value,never,,")
    assert [item.name for item in services.rotation.offboarding.preview("ana")] == ["prod-known-token"]


def test_a_value_comes_in_as_the_first_version_and_nothing_of_it_is_automatic(
    services: Services, moves: Moves, take_in: Any
) -> None:
    judged = take_in("prod-x-token,the-value,2026-12-01,billing,90d", "prod-y-token,another,never,,")
    assert [one.arrival for one in judged] == [Arrival.NEW] * 2
    item = moves.get("prod-x-token")
    assert (item.version, item.owners, item.expires_at) == (1, ("billing",), datetime(2026, 12, 1, tzinfo=UTC))
    assert (item.policy.mode, item.policy.rotator, item.policy.lifetime) == (Mode.NOTIFY, None, 90 * DAY)
    assert item.due_at == item.expires_at - 30 * DAY
    assert reveal(services, "prod-x-token") == "the-value"
    other = moves.get("prod-y-token")
    assert (other.owners, other.expires_at, other.policy.stated) == (("platform",), None, False)
    rows = moves.sql(select(versions).order_by(versions.c.item_id))
    assert {(row.number, row.stage, row.activated_at) for row in rows} == {(1, Stage.CURRENT, services.clock())}
    assert all(row.likeness is not None and row.digest is None and row.issued_at is None for row in rows)
    hygiene = {row.name: row.hygiene.split() for row in moves.sql(select(items.c.name, items.c.hygiene))}
    assert hygiene == {"prod-x-token": [], "prod-y-token": [Hygiene.NO_EXPIRY, Hygiene.NO_PLAN]}
    log = [(row.action, row.details) for row in moves.log()[-3:]]
    assert log[0] == ("item.import", {"name": "prod-x-token", "version": 1})
    assert moves.verify().whole


def test_what_is_created_by_itself_and_what_comes_in_are_stored_alike(
    services: Services, moves: Moves, take_in: Any
) -> None:
    (judged,) = take_in("prod-x-token,the-value,never,,")
    made = moves.add("prod-y-token", "another").item
    columns = [column for column in versions.c if column.name not in ("item_id", "key_id", "mac")]
    both = [
        moves.sql(select(*columns).where(versions.c.item_id == item_id))[0]._asdict()
        for item_id in (judged.item_id, made.id)
    ]
    sealed = {"wrapped_key", "record", "likeness"}
    first, second = ({name: part for name, part in one.items() if name not in sealed} for one in both)
    assert first == second
    assert all(one[name] is not None for one in both for name in sealed)


def test_what_lapsed_comes_in_as_lapsed_is_found_and_opens_no_rotation(
    services: Services, moves: Moves, take_in: Any
) -> None:
    judged = take_in("prod-old-token,old-value,2020-01-01,,", "prod-due-token,due-value,3d,,")
    assert [one.plan.lapsed for one in judged] == [True, False]
    assert moves.get("prod-old-token").expires_at == datetime(2020, 1, 1, tzinfo=UTC)
    services.night.inline_night.run_night(lambda _: None)
    with services.database.read() as connection:
        assert rotation_rows.list_rotations(connection) == []
    found = {(one.finding.kind, one.finding.item) for one in services.lookup.views.list_findings()}
    assert {(FindingKind.LAPSED, "prod-old-token"), (FindingKind.EXPIRING, "prod-due-token")} <= found


def test_what_nobody_says_is_proposed_and_stored_as_the_dry_run_showed_it(
    services: Services, moves: Moves, take_in: Any, clock: Clock
) -> None:
    planned = take_in("prod-x-token,one,,,", "prod-db-password,two,,,", dry_run=True)
    assert [one.plan.sort.rotator for one in planned] == ["http", "recipe"]
    assert moves.sql(select(func.count()).select_from(items)) == [(0,)]
    clock.advance(timedelta(hours=1))
    done = take_in("prod-x-token,one,,,", "prod-db-password,two,,,")
    assert [one.plan for one in done] == [one.plan for one in planned]
    assert {one.plan.source for one in done} == {ExpirySource.PROPOSED}
    assert [moves.get(one.entry.name).expires_at for one in done] == [one.plan.expires_at for one in planned]


def test_an_expiry_of_the_command_is_for_what_says_none(services: Services, moves: Moves, take_in: Any) -> None:
    until = services.clock() + 40 * DAY
    take_in("prod-x-token,one,,,", "prod-y-token,two,2026-12-01,,", expires_at=until)
    assert moves.get("prod-x-token").expires_at == until
    assert moves.get("prod-y-token").expires_at == datetime(2026, 12, 1, tzinfo=UTC)
    take_in("prod-z-token,three,,,", expires_at=None)
    assert moves.get("prod-z-token").expires_at is None
    with pytest.raises(InvalidInputError, match="is not in the future"):
        take_in("prod-o-token,four,,,", expires_at=services.clock())


def test_owners_of_the_file_who_are_none_here_are_told_and_the_given_one_answers(
    services: Services, moves: Moves, take_in: Any
) -> None:
    rows = ("prod-x-token,one,never,billing; nobody-here,", "prod-y-token,two,never,no\x00body,")
    entries = read_file("\n".join((HEADER, *rows)), now=services.clock()).contents.entries
    assert services.upkeep.item_import.find_strangers(entries) == {"nobody-here", "no\x00body"}
    take_in(*rows)
    assert moves.get("prod-x-token").owners == ("billing",)
    assert moves.get("prod-y-token").owners == ("platform",)


# The same value, and what is there


def test_a_value_is_not_stored_twice(
    services: Services, moves: Moves, take_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_import, "_PAGE", 2)
    moves.add("prod-old-token", "held-already")
    rows = ("prod-a-token, held-already ,never,,", "prod-b-token,new-one,never,,", "prod-c-token,x-one,never,,",
            "prod-d-token,new-one,never,,")  # fmt: skip
    for dry_run in (True, False):
        judged = take_in(*rows, dry_run=dry_run)
        arrivals = [one.arrival for one in judged]
        assert arrivals == [Arrival.LEFT_OUT, Arrival.NEW, Arrival.NEW, Arrival.LEFT_OUT]
        assert "the same value, beside prod-old-token" in str(judged[0].why)
        assert "the same value, beside prod-b-token" in str(judged[3].why)
        assert "--copy-of prod-b-token" in str(judged[3].why)
    again = take_in(*rows)
    assert [one.arrival for one in again] == [Arrival.LEFT_OUT, Arrival.THERE, Arrival.THERE, Arrival.LEFT_OUT]


def test_what_is_there_is_left_alone_and_another_value_of_it_is_told(
    services: Services, moves: Moves, take_in: Any
) -> None:
    take_in("prod-x-token,the-value,never,,")
    rows = moves.sql(select(func.count()).select_from(audit))
    same = take_in("prod-x-token,the-value,2026-12-01,billing,30d")
    other = take_in("prod-x-token,another,never,,")
    assert [(one.arrival, one.why) for one in same] == [(Arrival.THERE, None)]
    assert "is there with another value" in str(other[0].why)
    assert moves.sql(select(func.count()).select_from(audit)) == rows
    assert moves.get("prod-x-token").expires_at is None
    assert reveal(services, "prod-x-token") == "the-value"


@pytest.mark.both
def test_two_at_the_same_time_bring_each_in_once(services: Services, moves: Moves, take_in: Any) -> None:
    rows = [f"prod-service-{number}-token,value-of-{number},never,," for number in range(8)]
    done = race(2, lambda _: take_in(*rows))
    assert all(isinstance(one, list | ConflictError) for one in done)
    assert [one.arrival for one in take_in(*rows)] == [Arrival.THERE] * 8
    assert moves.sql(select(func.count()).select_from(versions)) == [(8,)]
    assert moves.verify().whole


def test_one_that_is_cut_off_has_whole_pages_and_does_the_rest_the_next_time(
    services: Services, moves: Moves, take_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_import, "_PAGE", 2)
    rows = [f"prod-service-{number}-token,value-of-{number},never,," for number in range(5)]
    contents = sort_out(read_file("\n".join((HEADER, *rows)), now=services.clock()).contents)
    walk: Any = services.upkeep.item_import.take_in(contents.entries, owners=(), actor="test")
    assert [next(walk).arrival for _ in range(3)] == [Arrival.NEW] * 3
    walk.close()
    assert moves.sql(select(func.count()).select_from(versions)) == [(4,)]
    assert [one.arrival for one in take_in(*rows)] == [*[Arrival.THERE] * 4, Arrival.NEW]


def test_a_page_is_a_few_statements_however_many_it_brings(
    services: Services, moves: Moves, take_in: Any
) -> None:
    rows = [f"prod-service-{number}-token,value-of-{number},90d,billing," for number in range(600)]
    statements = Counter[str]()
    event.listen(
        services.database.engine, "before_cursor_execute", lambda *seen: statements.update([seen[2][:20]])
    )
    assert len(take_in(*rows)) == 600
    assert statements.total() < 120, statements
    assert len({moves.get(f"prod-service-{number}-token").version for number in (0, 599)}) == 1
    assert moves.verify().whole


@pytest.mark.both
def test_labels_of_the_file_are_those_of_the_item(services: Services, moves: Moves, take_in: Any) -> None:
    contents = sort_out(
        read_file(
            'name,value,labels\nprod-x-token,v,"team=pay,env=prod"\nprod-y-token,w,\n', now=services.clock()
        ).contents
    )
    list(services.upkeep.item_import.take_in(contents.entries, owners=("platform",), actor="user:ana"))
    moves.update(moves.add("prod-z-token", "another").item.id, labels={"env": "prod"})
    item = moves.get("prod-x-token")
    assert item.labels == (Label(key="env", value="prod"), Label(key="team", value="pay"))
    assert moves.get("prod-y-token").labels == ()
    page = services.lookup.lists.list_items(
        ItemFilter(labels=frozenset({LabelMatch(key="env", value="prod")})),
        PageRequest(),
        seen_by=machine("test"),
    )
    assert [one.item.name for one in page.rows if not isinstance(one, Exception)] == [
        "prod-x-token",
        "prod-z-token",
    ]
    rows = [row.details for row in moves.log() if row.action == "item.import"]
    noted = {details["name"]: details.get("labels") for details in rows}
    assert noted == {"prod-x-token": ["env=prod", "team=pay"], "prod-y-token": None}
    assert moves.verify().whole
