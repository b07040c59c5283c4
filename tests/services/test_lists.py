"""Lists in pages: as a plain filter over all rows has it, whatever comes and goes between, and by an index."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, event, insert, select, text, update

from tests.many_items import fill, make_id
from tests.services.conftest import Moves
from vaultcore.access import Principal, Role, machine
from vaultcore.errors import InvalidInputError, NotFoundError, TamperedError, UnreadableError
from vaultcore.model import Item, LabelMatch, Mode
from vaultcore.names import fold
from vaultcore.tables import item_labels, item_owners, items, owners, references, versions
from worker.bootstrap import Services
from worker.domain.item_states import ItemFilter, ItemState, OpenRotation, states_of
from worker.domain.paging import COUNTED_MAX, Page, PageRequest
from worker.domain.rotation import Rotation
from worker.rows.audit_lists import AuditFilter
from worker.rows.finding_lists import FindingFilter
from worker.rows.item_lists import ITEMS, ListedItem, find_open_rotations, page_items
from worker.rows.notice_lists import NoticeFilter
from worker.rows.rotation_lists import RotationFilter
from worker.rows.run_lists import RunFilter
from worker.rows.tables import rotations

NUMBER = 150
ALL = machine("test")
SORTS = [f"{sign}{name}" for name in ITEMS.sorts for sign in ("", "-")]


@pytest.fixture
def filled(services: Services) -> Services:
    fill(services.database, NUMBER, services.clock())
    return services


@dataclass(frozen=True)
class Known:
    """An item with what is asked of it, found without any list."""

    item: Item
    states: tuple[ItemState, ...]
    users: frozenset[str]


def know_all(services: Services) -> list[Known]:
    found = [one for one in services.lookup.views.list_items() if isinstance(one, Item)]
    with services.database.read() as connection:
        opened = find_open_rotations(connection, [item.id for item in found])
        users: dict[str, set[str]] = {}
        for row in connection.execute(select(references)):
            users.setdefault(row.item_id, set()).add(row.consumer_id)
    return [
        Known(item, stand(item, opened.get(item.id), services.clock()), frozenset(users.get(item.id, ())))
        for item in found
    ]


def stand(item: Item, rotation: OpenRotation | None, now: datetime) -> tuple[ItemState, ...]:
    return states_of(
        mode=item.policy.mode,
        has_value=item.version is not None,
        expires_at=item.expires_at,
        due_at=item.due_at,
        hold_until=item.hold_until,
        rotation=rotation,
        now=now,
    )


def lets_through(wanted: ItemFilter, one: Known, now: datetime) -> bool:
    item, (least, most) = one.item, wanted.days_left
    left = None if item.expires_at is None else (item.expires_at - now) // timedelta(days=1)
    return (
        (not wanted.owners or bool(set(wanted.owners) & set(item.owners)))
        and all(
            any(one.key == match.key and match.value in (None, one.value) for one in item.labels)
            for match in wanted.labels
        )
        and (not wanted.states or bool(set(wanted.states) & set(one.states)))
        and (not wanted.modes or item.policy.mode in wanted.modes)
        and (wanted.rotator is None or (item.policy.rotator or "") == wanted.rotator)
        and (least is None or (left is not None and left >= least))
        and (most is None or (left is not None and left <= most))
        and (wanted.used_by is None or wanted.used_by in one.users)
        and fold(wanted.search or "") in fold(item.name)
        and fold(item.name).startswith(fold(wanted.begins or ""))
    )


def sort_out(found: Sequence[Known], sort: str) -> list[str]:
    keys: dict[str, Any] = {
        "name": lambda item: fold(item.name),
        "owner": lambda item: min(item.owners, default=None),
        **{
            name: (lambda item, name=name: getattr(item, name))
            for name in ("expires_at", "created_at", "updated_at")
        },
    }
    key = keys[sort.removeprefix("-")]
    some = [one.item for one in found if key(one.item) is not None]
    rest = [one.item for one in found if key(one.item) is None]
    some.sort(key=lambda item: (key(item), item.id), reverse=sort.startswith("-"))
    rest.sort(key=lambda item: item.id, reverse=sort.startswith("-"))
    return [item.id for item in (*some, *rest)]


few_owners = st.frozensets(st.sampled_from(["team-00", "team-03", "team-17", "nobodys"]), max_size=2)
some_labels = st.frozensets(
    st.sampled_from(
        [
            LabelMatch(key="env", value="prod"),
            LabelMatch(key="env", value=None),
            LabelMatch(key="tier", value="core"),
            LabelMatch(key="team", value="team-31"),
            LabelMatch(key="note", value="long"),
            LabelMatch(key="note", value=None),
            LabelMatch(key="en", value=None),
            LabelMatch(key="env", value=""),
            LabelMatch(key="Env", value="prod"),
        ]
    ),
    max_size=2,
)
filters = st.builds(
    ItemFilter,
    owners=few_owners,
    labels=some_labels,
    states=st.frozensets(st.sampled_from(ItemState), max_size=2),
    modes=st.frozensets(st.sampled_from(Mode), max_size=1),
    rotator=st.none() | st.sampled_from(["", "http", "ssh-key"]),
    days_left=st.tuples(st.none() | st.integers(-3, 60), st.none() | st.integers(-3, 60)),
    used_by=st.none() | st.sampled_from([make_id("fl", n) for n in (3, 100)]),
    search=st.none() | st.sampled_from(["1", "SERVICE-2", "%", "_", "/", "\\", "-token"]),
    begins=st.none() | st.sampled_from(["prod", "Dev-", "x"]),
)
mostly = st.one_of(
    st.builds(ItemFilter),
    st.builds(ItemFilter, owners=few_owners),
    st.builds(ItemFilter, labels=some_labels),
    st.builds(ItemFilter, states=st.frozensets(st.sampled_from(ItemState), min_size=1, max_size=2)),
    filters,
)


@pytest.mark.both
def test_pages_are_what_a_plain_filter_gives(filled: Services) -> None:
    Moves.edited.add(id(filled))
    with filled.database.write() as connection:
        filled.owners.create(connection, "nobodys", actor="test")
        connection.execute(update(items).where(items.c.id == make_id("vlt", 9)).values(hygiene="no-value"))
        connection.execute(delete(versions).where(versions.c.item_id == make_id("vlt", 9)))
        connection.execute(
            update(rotations).where(rotations.c.id == make_id("rot", 0)).values(failing_since=filled.clock())
        )
        for n in (3, 10, 100):  # one of them has more than an index holds
            many = {f"note-{part}": "x" * 99 for part in range(n // 10)}
            filled.vault.update(
                connection, make_id("vlt", n), labels={"note": "long", "env": None, **many}, actor="test"
            )
    known, now = know_all(filled), filled.clock()
    assert len(known) == NUMBER

    @settings(max_examples=60)
    @given(mostly, st.sampled_from(SORTS), st.sampled_from([7, 50, 200]))
    def check(wanted: ItemFilter, sort: str, limit: int) -> None:
        expected = sort_out([one for one in known if lets_through(wanted, one, now)], sort)
        walked = walk(filled, wanted, PageRequest(sort=sort, limit=limit, counted=True))
        assert [one.item.id for one in walked] == expected
        states = {one.item.id: one.states for one in known}
        assert all(one.states == states[one.item.id] for one in walked)

    check()


def walk(
    services: Services, wanted: ItemFilter, request: PageRequest, seen_by: Principal = ALL
) -> list[ListedItem]:
    """All pages, one after another; each but the last is full."""
    page = services.lookup.lists.page_items(wanted, request, seen_by=seen_by)
    found, total = [*page.rows], page.total
    while page.next is not None:
        assert len(page.rows) == request.limit
        again = PageRequest(sort=request.sort, limit=request.limit, cursor=page.next)
        page = services.lookup.lists.page_items(wanted, again, seen_by=seen_by)
        found += page.rows
    if total is not None:
        assert (total.number, total.more) == (len(found), False)
    listed = [one for one in found if isinstance(one, ListedItem)]
    assert len(listed) == len(found)
    return listed


@pytest.mark.both
def test_what_comes_and_goes_between_pages_hides_nothing_and_shows_nothing_twice(filled: Services) -> None:
    before = {one.item.id: one for one in know_all(filled)}
    now = filled.clock()

    @settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data(), st.sampled_from(SORTS), st.integers(20, 90))
    def check(data: st.DataObject, sort: str, limit: int) -> None:
        gone, seen, cursor = set[str](), list[str](), None
        with filled.database.write() as connection, connection.begin_nested() as undone:
            while True:
                request = PageRequest(sort=sort, limit=limit, cursor=cursor)
                page = page_items(
                    connection, ItemFilter(), request, now=now, owner_ids=(), user_id=None, seen_by=None
                )
                seen += [one.item.id for one in page.rows if isinstance(one, ListedItem)]
                if page.next is None:
                    break
                cursor = page.next
                goes = data.draw(st.lists(st.sampled_from(sorted(before)), max_size=5))
                take_away(connection, goes)
                gone |= set(goes)
                for number in data.draw(st.lists(st.integers(0, 10**6), max_size=5)):
                    add_like(connection, before[data.draw(st.sampled_from(sorted(before)))].item, number)
            undone.rollback()
        assert len(seen) == len(set(seen))
        assert before.keys() - gone <= set(seen)

    check()


def take_away(connection: Connection, ids: Sequence[str]) -> None:
    connection.execute(delete(references).where(references.c.item_id.in_(ids)))
    connection.execute(delete(item_owners).where(item_owners.c.item_id.in_(ids)))
    connection.execute(delete(item_labels).where(item_labels.c.item_id.in_(ids)))
    connection.execute(delete(versions).where(versions.c.item_id.in_(ids)))
    connection.execute(delete(items).where(items.c.id.in_(ids)))


def add_like(connection: Connection, item: Item, number: int) -> None:
    """Another item, at the same place in every order but that of names."""
    row = connection.execute(select(items).where(items.c.id == item.id)).one_or_none()
    name = f"new-{number}"
    new_id = f"vlt_new{number:023d}"
    if row is None or connection.execute(select(items.c.id).where(items.c.id == new_id)).first():
        return
    values = dict(row._mapping) | {"id": new_id, "name": name, "sought": name, "owned_by": "", "labelled": ""}
    connection.execute(insert(items).values({key: one for key, one in values.items() if key != "mac"}))


def test_a_cursor_belongs_to_its_filter_and_order(filled: Services) -> None:
    wanted = ItemFilter(owners={"team-00"})
    page = filled.lookup.lists.page_items(wanted, PageRequest(limit=10), seen_by=ALL)
    assert page.next is not None
    theirs = Principal(actor="p", roles=frozenset({Role.OWNER}), owners=frozenset({"team-00"}))
    for other, request, reader in (
        (ItemFilter(owners={"team-03"}), PageRequest(cursor=page.next), ALL),
        (ItemFilter(), PageRequest(cursor=page.next), ALL),
        (wanted, PageRequest(cursor=page.next, sort="-name"), ALL),
        (wanted, PageRequest(cursor=page.next, sort="owner"), ALL),
        (wanted, PageRequest(cursor=page.next), theirs),
    ):
        with pytest.raises(InvalidInputError, match="of a list with another filter or order"):
            filled.lookup.lists.page_items(other, request, seen_by=reader)
    with pytest.raises(InvalidInputError, match="of a list with another filter"):
        filled.lookup.lists.page_rotations(RotationFilter(), PageRequest(cursor=page.next), seen_by=ALL)
    for nonsense in ("", "x", "é", page.next[:-3], page.next + "AAAA", "W10", "bnVsbA"):
        with pytest.raises(InvalidInputError, match="cursor: "):
            filled.lookup.lists.page_items(wanted, PageRequest(cursor=nonsense), seen_by=ALL)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (PageRequest(sort="colour"), "sort: use one of name, expires_at, created_at, updated_at, owner"),
        (PageRequest(sort="--name"), "sort: use one of"),
        (PageRequest(limit=0), "limit: a page has 1 to 200 rows"),
        (PageRequest(limit=201), "limit: a page has 1 to 200 rows"),
    ],
)
def test_what_no_page_can_be_is_refused_in_one_line(services: Services, asked: PageRequest, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        services.lookup.lists.page_items(ItemFilter(), asked, seen_by=ALL)


@pytest.mark.both
def test_a_filter_names_what_there_is(filled: Services) -> None:
    for wanted, says in (
        (ItemFilter(owners={"no-such-team"}), "no owner 'no-such-team'"),
        (ItemFilter(used_by="no such workflow"), "no workflow 'no such workflow'"),
        (ItemFilter(rotator="htpp"), "no rotator 'htpp': there are http, postgres-role, random"),
    ):
        with pytest.raises(NotFoundError, match=says):
            filled.lookup.lists.page_items(wanted, PageRequest(), seen_by=ALL)
    with filled.database.write() as connection:
        connection.execute(update(items).where(items.c.id == make_id("vlt", 9)).values(rotator="taken-away"))
    page = filled.lookup.lists.page_items(ItemFilter(rotator="taken-away"), PageRequest(), seen_by=ALL)
    assert len(page.rows) == 1, "its items are found though no package has it any longer"
    with pytest.raises(InvalidInputError, match="search: holds"):
        filled.lookup.lists.page_items(ItemFilter(search="a\0b"), PageRequest(), seen_by=ALL)


def test_owners_see_what_is_theirs_and_who_has_no_role_nothing(filled: Services) -> None:
    for names in (["team-00"], ["team-03", "team-17"], []):
        reader = Principal(actor="p", roles=frozenset({Role.OWNER}), owners=frozenset(names))
        seen = walk(filled, ItemFilter(), PageRequest(limit=30, counted=True), seen_by=reader)
        assert {one.item.id for one in seen} == {
            one.item.id for one in know_all(filled) if set(names) & set(one.item.owners)
        }
        assert bool(seen) is bool(names)
        opened = filled.lookup.lists.page_rotations(RotationFilter(), PageRequest(), seen_by=reader)
        assert {one.item_id for one in opened.rows if isinstance(one, Rotation)} <= {
            one.item.id for one in seen
        }
    nobody = Principal(actor="p", owners=frozenset({"team-00"}))
    assert walk(filled, ItemFilter(), PageRequest(), seen_by=nobody) == []


def test_it_is_counted_up_to_a_bound(services: Services) -> None:
    fill(services.database, COUNTED_MAX + 10, services.clock())
    page = services.lookup.lists.page_items(ItemFilter(), PageRequest(limit=1, counted=True), seen_by=ALL)
    assert str(page.total) == "1,000+"
    some = services.lookup.lists.page_items(
        ItemFilter(owners={"team-39"}), PageRequest(counted=True), seen_by=ALL
    )
    assert str(some.total) == str(len(some.rows))


def make_owner(connection: Connection, item_id: str) -> None:
    owner = select(owners.c.id).where(owners.c.name == "team-39").scalar_subquery()
    connection.execute(text("UPDATE items SET owned_by = owned_by || ' own_' || '00000000000000000000000039'"
                            " WHERE id = :id"), {"id": item_id})  # fmt: skip
    number = connection.execute(select(owner)).scalar_one()
    connection.execute(
        text("INSERT INTO item_owners (item_id, owner_id) VALUES (:item, :owner)"),
        {"item": item_id, "owner": number},
    )


SPOILS = {
    "what decides": "UPDATE items SET copy_of = 'vlt_other' WHERE id = :id",
    "what lists filter by": "UPDATE items SET mode = 'approve' WHERE id = :id",
    "what lists search in": "UPDATE items SET sought = 'a-service' WHERE id = :id",
    "what it is said to be labelled": "UPDATE items SET labelled = labelled || 'tier=core' WHERE id = :id",
    "a label": "UPDATE item_labels SET value = 'core' WHERE item_id = :id AND key = 'env'",
    "another label": "INSERT INTO item_labels (item_id, key, value) VALUES (:id, 'tier', 'core')",
    "whose it is said to be": "UPDATE items SET owned_by = '' WHERE id = :id",
}


@pytest.mark.parametrize("spoil", [*SPOILS, "its owners"])
def test_an_edited_row_is_told_in_its_place_on_its_page_alone(filled: Services, spoil: str) -> None:
    item_id = make_id("vlt", 6)
    Moves.edited.add(id(filled))
    with filled.database.write() as connection:
        if spoil == "its owners":
            make_owner(connection, item_id)
        else:
            connection.execute(text(SPOILS[spoil]), {"id": item_id})
    pages = list(walk_pages(filled, PageRequest(sort="created_at", limit=50)))
    wrong = [[one for one in page.rows if isinstance(one, UnreadableError)] for page in pages]
    assert [len(one) for one in wrong] == [1, *[0] * (len(pages) - 1)]
    assert isinstance(wrong[0][0], TamperedError)
    assert sum(len(page.rows) for page in pages) == NUMBER


def walk_pages(services: Services, request: PageRequest) -> Iterator[Page[ListedItem]]:
    cursor = None
    while True:
        asked = PageRequest(sort=request.sort, limit=request.limit, cursor=cursor)
        page = services.lookup.lists.page_items(ItemFilter(), asked, seen_by=ALL)
        yield page
        cursor = page.next
        if cursor is None:
            return


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the other keeps no such value
@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("value", ["'no time'", "x'00ff'"])
def test_a_value_that_cannot_be_read_ends_no_walk(filled: Services, sort: str, value: str) -> None:
    columns = {"name": "sought", "owner": "first_owner"}
    Moves.edited.add(id(filled))
    column = columns.get(sort.removeprefix("-"), sort.removeprefix("-"))
    with filled.database.write() as connection:
        connection.execute(text(f"UPDATE items SET {column} = {value} WHERE id LIKE '%7'"))
    pages = list(walk_pages(filled, PageRequest(sort=sort, limit=17)))
    assert sum(len(page.rows) for page in pages) == NUMBER
    wrong = [one for page in pages for one in page.rows if isinstance(one, UnreadableError)]
    assert (len(wrong) == NUMBER // 10) is (column != "first_owner" or value.startswith("x"))


# By an index


@contextmanager
def told_plans(services: Services) -> Iterator[list[Any]]:
    """The plans of the selects that find the rows of a page."""
    asked: list[tuple[str, Any]] = []
    plans: list[Any] = []

    def keep(*told: Any) -> None:
        if "LIMIT" in told[2] and "ORDER BY" in told[2]:
            asked.append((told[2], told[3]))

    event.listen(services.database.engine, "before_cursor_execute", keep)
    yield plans
    event.remove(services.database.engine, "before_cursor_execute", keep)
    with services.database.engine.connect() as connection:
        if services.database.is_sqlite:
            for statement, given_ in asked:
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given_)
                plans.append([row[3] for row in rows])
        else:
            connection.exec_driver_sql(
                "SET enable_sort = off"
            )  # where an order needs a sort it is there all the same
            connection.exec_driver_sql("SET enable_seqscan = off")
            for statement, given_ in asked:
                plans.append(
                    connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", given_).scalar_one()
                )


WALKED = set(ItemState) - {ItemState.ROTATING, ItemState.FAILING}
"""The others are found by their rotations, and sorted."""


def is_sorted_by_hand(plan: Any) -> bool:
    return "TEMP B-TREE" in str(plan) or "'Sort'" in str(plan) or "Incremental Sort" in str(plan)


@pytest.mark.both
def test_every_order_of_items_is_that_of_an_index_whatever_the_filter(filled: Services) -> None:
    wanted = [
        ItemFilter(),
        ItemFilter(modes={Mode.AUTO}),
        ItemFilter(rotator="http"),
        ItemFilter(search="7", begins="prod"),
        ItemFilter(days_left=(0, 90)),
        *(
            ItemFilter(states={state})
            for state in ItemState
            if state not in (ItemState.ROTATING, ItemState.FAILING)
        ),
    ]
    for sort in SORTS:
        column = sort.removeprefix("-")
        for one in wanted:
            with told_plans(filled) as plans:
                page = filled.lookup.lists.page_items(one, PageRequest(sort=sort, limit=5), seen_by=ALL)
                if page.next is not None:
                    filled.lookup.lists.page_items(
                        one, PageRequest(sort=sort, limit=5, cursor=page.next), seen_by=ALL
                    )
            assert plans
            for plan in plans:
                assert not is_sorted_by_hand(plan), (sort, one, plan)
                assert f"ix_items_by_{column}" in str(plan), (sort, one, plan)
                assert filled.database.is_sqlite is False or "COVERING" in str(plan), (sort, one, plan)


@pytest.mark.both
def test_a_few_items_of_an_owner_are_found_without_a_walk_over_all(filled: Services) -> None:
    for sort in SORTS:
        with told_plans(filled) as plans:
            filled.lookup.lists.page_items(ItemFilter(owners={"team-39"}), PageRequest(sort=sort), seen_by=ALL)
        assert not any("SCAN items" in str(plan) for plan in plans), plans


@pytest.mark.both
def test_every_order_of_the_other_lists_is_that_of_an_index(services: Services) -> None:
    lists = services.lookup.lists
    asked = {
        "rotations": (
            ["created_at", "item"],
            lambda page: lists.page_rotations(RotationFilter(), page, seen_by=ALL),
        ),
        "findings": (
            ["opened_at", "kind", "item"],
            lambda page: lists.page_findings(FindingFilter(), page, seen_by=ALL),
        ),
        "notices": (["created_at"], lambda page: lists.page_notices(NoticeFilter(), page, seen_by=ALL)),
        "runs": (["created_at"], lambda page: lists.page_runs(RunFilter(), page)),
        "audit": (["at"], lambda page: lists.page_audit(AuditFilter(), page)),
        "audit of somebody": (["at"], lambda page: lists.page_audit(AuditFilter(actor="test"), page)),
    }
    for name, (sorts, read) in asked.items():
        for sort in (f"{sign}{column}" for column in sorts for sign in ("", "-")):
            with told_plans(services) as plans:
                read(PageRequest(sort=sort))
            assert plans, name
            assert not any(is_sorted_by_hand(plan) for plan in plans), (name, sort, plans)
