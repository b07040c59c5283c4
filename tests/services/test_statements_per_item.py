"""What is done with many items takes as many statements for a hundred as for ten."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, func, select

from tests.services.conftest import Moves
from tests.services.test_sharing import by_role
from vaultcore.access import machine
from vaultcore.enrolment import EnrolledItem, Enrolment
from vaultcore.item_writing import ROTATOR_NODE
from vaultcore.model import ConsumerKind, NodeReference
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.bootstrap import Services
from worker.domain.changes import ItemChange
from worker.domain.metadata_plan import StepDeed
from worker.domain.policies import PolicyChange
from worker.services.bulk.items_at_once import StoppedError

pytestmark = [pytest.mark.rules, pytest.mark.both]

ALL = machine("user:somebody")
FEW, MANY = 10, 100
LATER = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture
def ids(services: Services) -> list[str]:
    """Of items of two owners, each with a value."""
    with services.database.write() as connection:
        owners = [services.owners.create(connection, name, actor="test").id for name in ("ann", "ben")]
    coming = [
        EnrolledItem(
            name=f"prod-service-{number:03d}-token",
            value=Secret(f"the-value-of-service-{number}"),
            item_id=None,
            created_at=None,
            expires_at=services.clock() + timedelta(days=60),
            owner_ids=frozenset({owners[number % 2]}),
        )
        for number in range(FEW + MANY)
    ]
    with services.database.write() as connection:
        enrolment = Enrolment(
            audit=services.audit,
            references=services.references,
            versions=services.versions,
            clock=services.clock,
        )
        return enrolment.add(connection, coming, actor="test")


@contextmanager
def counted(services: Services) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    sent: list[str] = []

    def note(*seen: object) -> None:
        sent.append(str(seen[2]))

    event.listen(services.database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(services.database.engine, "before_cursor_execute", note)


def change_all(services: Services, ids: Sequence[str], change: ItemChange) -> int:
    """Foreseen and done; how many statements that takes."""
    with counted(services) as sent:
        foreseen = services.bulk.items_at_once.foresee(ALL, ids, change)
        seen = {one.id: frozenset({one.revision}) for one in foreseen}
        changed = services.bulk.items_at_once.change(ALL, seen, change)
    assert [one.why for one in foreseen] == [None] * len(ids)
    assert [one.changes for one in changed] == [one.changes for one in foreseen]
    assert all(one.changes for one in changed)
    return len(sent)


CHANGES = {
    "policy": ItemChange(policy=PolicyChange(parts={"lead": "20d"})),
    "rotator": ItemChange(
        policy=PolicyChange(parts={"mode": "approve", "rotator": "random", "consumers": "none"})
    ),
    "owners": ItemChange(owners=["ann", "ben"]),
    "labels": ItemChange(labels={"env": "prod"}),
    "expiry": ItemChange(expires_at=LATER),
    "all": ItemChange(
        owners=[], labels={"env": "x"}, expires_at=None, policy=PolicyChange(parts={"overlap": "3d"})
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_page_takes_as_many_statements_as_a_part_of_it(
    services: Services, moves: Moves, ids: list[str], change: ItemChange
) -> None:
    few = change_all(services, ids[:FEW], change)
    many = change_all(services, ids[FEW:], change)
    assert many == few < 60
    updates = select(func.count()).select_from(audit).where(audit.c.action == "item.update")
    assert moves.sql(updates)[0][0] == len(ids), "each has a row of its own in the record"
    assert moves.verify().whole


def test_what_takes_no_change_takes_no_more_either(services: Services, ids: list[str]) -> None:
    change = ItemChange(labels={"env": "prod"})
    change_all(services, ids, change)
    with counted(services) as few:
        assert all(one.stays for one in services.bulk.items_at_once.foresee(ALL, ids[:FEW], change))
    with counted(services) as many:
        assert all(one.stays for one in services.bulk.items_at_once.foresee(ALL, ids[FEW:], change))
    assert len(few) == len(many)


def test_files_that_change_many_items_are_compared_as_fast_as_those_that_change_few(
    services: Services, ids: list[str]
) -> None:
    def compare(changed: int) -> int:
        document = services.bulk.metadata.export(ALL).document
        items = {
            name: entry | ({"labels": {"env": "prod"}} if position < changed else {})
            for position, (name, entry) in enumerate(document["items"].items())
        }
        with counted(services) as sent:
            plan = services.bulk.metadata.plan({**document, "items": items}, prune=False, principal=ALL)
        assert len(plan.of(StepDeed.CHANGE)) == changed
        return len(sent)

    assert compare(FEW) == compare(MANY)


def test_two_of_a_page_do_not_get_the_same_account(services: Services, ids: list[str]) -> None:
    """The second is told of the first, of which nothing was written when the page began."""
    change = ItemChange(policy=PolicyChange(parts=by_role(roles=["orders"]) | {"consumers": "none"}))
    foreseen = services.bulk.items_at_once.foresee(ALL, ids[:2], change)
    assert [one.why for one in foreseen] == [None, None]
    with pytest.raises(StoppedError, match=r"prod-service-001-token.*prod-service-000-token"):
        services.bulk.items_at_once.change(ALL, dict.fromkeys(ids[:2]), change)
    assert {services.lookup.views.get_item(one).policy.rotator for one in ids[:2]} == {None}


def test_items_of_a_page_become_copies_of_one(services: Services, ids: list[str]) -> None:
    original, first, second = ids[:3]
    change = ItemChange(policy=PolicyChange(parts={"mode": "notify", "copy_of": original}))
    services.items.updates.update(
        second, ItemChange(policy=PolicyChange(parts={"copy_of": first})), actor="test"
    )
    changed = services.bulk.items_at_once.change(ALL, dict.fromkeys([first, second]), change)
    assert [[one.field for one in outcome.changes] for outcome in changed] == [
        ["stated", "copy_of"],
        ["copy_of"],
    ]
    assert {services.lookup.views.get_item(one).policy.copy_of for one in (first, second)} == {original}


def test_who_is_hurt_is_found_as_fast_where_much_hangs_on_an_item(
    services: Services, moves: Moves, ids: list[str]
) -> None:
    """Each of the items has a rotator that logs in with the first, or with the second, and a workflow."""
    change_all(services, ids[2:], CHANGES["rotator"])
    with services.database.write() as connection:
        for position, item_id in enumerate(ids[2:]):
            login = ids[0] if position < FEW else ids[1]
            services.references.record(
                connection,
                consumer=ConsumerKind.ROTATOR,
                consumer_id=item_id,
                consumer_name=f"item {position}",
                active=True,
                found=[NodeReference(node_id=ROTATOR_NODE, name=None, item_id=login)],
                now=services.clock(),
            )
    for position, item_id in enumerate(ids[2:]):
        moves.use(f"workflow-{position}", item_id)

    def look(item_id: str) -> tuple[int, int]:
        with counted(services) as sent:
            found = services.bulk.impacts.of_item(ALL, item_id)
        return len(sent), len(found.hurt)

    few, many = look(ids[0]), look(ids[1])
    assert (few[1], many[1]) == (2 * FEW, 2 * (MANY - 2)), "items, and the workflows that use them"
    assert few[0] == many[0] < 40
