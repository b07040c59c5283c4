"""Which references are stale is a matter of indexes: of the current version's number beside each of them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import and_, event, select, update

from tests.services.conftest import TOKEN, Moves
from tests.services.test_tampered import behind
from vaultcore.model import ConsumerKind, NodeReference, Policy, Stage
from vaultcore.secret import Secret
from vaultcore.tables import items, references, versions
from worker.bootstrap import Services
from worker.rows.stale_references import walk_stale_references

DAY = timedelta(days=1)
CRM = "prod-crm-password"


def test_each_way_in_which_a_version_becomes_current_is_known_beside_who_uses_it(moves: Moves) -> None:
    moves.use("ticket-sync", TOKEN, "later-token")
    item = moves.add().item
    assert find_drifted(moves) == []
    moves.use("escalation", TOKEN, item.id, node="other")
    moves.update(TOKEN, value="the-second-value")
    assert find_drifted(moves) == []
    rotate(moves.services, item.id, old=2)
    assert numbers(moves) == {"later-token": None, TOKEN: 3, item.id: 3}
    with moves.services.database.write() as connection:
        moves.services.versions.reactivate(connection, item.id, good=2, bad=3, actor="test")
    assert numbers(moves) == {"later-token": None, TOKEN: 2, item.id: 2}

    moves.use("ticket-sync", "later-token")
    moves.use("escalation", item.id, node="other")
    moves.update(TOKEN, name="later-token")  # for which somebody waits

    assert find_drifted(moves) == []
    assert numbers(moves) == {"later-token": 2, item.id: 2}


def test_what_is_behind_is_found_till_it_runs_or_is_unpinned(moves: Moves, clock: Any) -> None:
    item = moves.add(policy=Policy(overlap=DAY)).item
    workflow = moves.use("ticket-sync", TOKEN)
    run(moves, workflow, {item.id: 1}, at=clock())
    rotate(moves.services, item.id, old=1)
    assert walk(moves, clock()) == [(workflow, TOKEN)]
    run(moves, workflow, {item.id: 2}, at=clock())
    assert walk(moves, clock()) == []
    with moves.services.database.write() as connection:
        moves.services.references.pin(connection, workflow_id=workflow, item_id=item.id, number=1)
    assert walk(moves, clock()) == [(workflow, TOKEN)]
    with moves.services.database.write() as connection:
        moves.services.references.pin(connection, workflow_id=workflow, item_id=item.id, number=None)
    assert walk(moves, clock()) == []


def test_what_is_stale_in_several_ways_is_found_once_whatever_the_pages(moves: Moves, clock: Any) -> None:
    """Behind, lapsed, idle, all at once, and none of it; and what only mentions an item."""
    for name, days in (("ended", 1), ("ended-too", 1), ("lasts", 400), ("lasts-too", 400)):
        item = moves.add(name, days=days, policy=Policy(idle_after=300 * DAY)).item
        for workflow in ("a", "b"):
            use_all(moves, workflow)
            run(moves, f"fl_{workflow}", {item.id: 1}, at=clock())
        if name.endswith("-too"):
            rotate(moves.services, item.id, old=1, expires_at=item.expires_at)
    clock.advance(2 * DAY)
    run(moves, "fl_a", {}, at=clock())

    def expected(*, idle: bool) -> set[tuple[str, str]]:
        names = {"ended", "ended-too", "lasts-too", "nowhere"}
        of_a, of_b = set(names), names | ({"lasts"} if idle else set())
        return {*(("fl_a", name) for name in of_a), *(("fl_b", name) for name in of_b)}

    for now, idle in ((clock(), False), (clock() + 299 * DAY, True)):
        for size in (1, 2, 500):
            found = walk(moves, now, size=size)
            assert len(found) == len(set(found))
            assert set(found) == expected(idle=idle)
        assert set(walk(moves, now, consumer_ids=("fl_b",))) == {
            one for one in expected(idle=idle) if one[0] == "fl_b"
        }


def test_no_walk_reads_references_that_are_in_order(moves: Moves, clock: Any) -> None:
    if not moves.services.database.is_sqlite:
        pytest.skip("what PostgreSQL chooses follows from how many rows there are")
    asked: list[tuple[str, Any]] = []
    with moves.services.database.read() as connection:
        event.listen(
            connection,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, given, *_: asked.append((statement, given)),
        )
        for _ in walk_stale_references(connection, clock(), page_size=10):
            pass
        plans = [
            [str(row[3]) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)]
            for text, given in list(asked)
            if text.startswith("SELECT")
        ]
    first = [next(step for step in plan if "SCALAR" not in step) for plan in plans]
    assert [step.split(" USING INDEX ")[1].split()[0] for step in first] == [
        "ix_item_references_suspect",
        "ix_items_by_expires_at",
        "ix_item_references_idle",
    ]
    scans = {step for plan in plans for step in plan if step.startswith("SCAN")}
    assert scans <= {"SCAN item_references USING INDEX ix_item_references_suspect"}


def test_who_hides_a_stale_reference_is_found(moves: Moves, clock: Any) -> None:
    item = moves.add().item
    workflow = moves.use("ticket-sync", TOKEN)
    moves.update(TOKEN, value="the-second-value")
    with moves.services.database.write() as connection:
        moves.services.references.pin(connection, workflow_id=workflow, item_id=item.id, number=1)
    assert moves.services.upkeep.row_verification.check_all().wrong == ()
    Moves.edited.add(id(moves.services))
    with behind(moves.services) as connection:
        connection.execute(update(references).values(current_version=1))
    assert walk(moves, clock()) == []

    (wrong,) = moves.services.upkeep.row_verification.check_all().wrong

    assert wrong.subject == f"item_references {workflow} call {TOKEN}"


def test_an_edited_reference_holds_up_no_activation_and_is_made_honest_by_none(moves: Moves) -> None:
    item = moves.add().item
    moves.use("ticket-sync", TOKEN)
    moves.use("escalation", TOKEN)
    Moves.edited.add(id(moves.services))
    with behind(moves.services) as connection:
        connection.execute(
            update(references).where(references.c.consumer_name == "escalation").values(pinned=1)
        )

    rotate(moves.services, item.id, old=1)

    assert numbers(moves) == {TOKEN: 2}
    (wrong,) = moves.services.upkeep.row_verification.check_all().wrong
    assert wrong.subject == f"item_references fl_escalation call {TOKEN}"


def use_all(moves: Moves, workflow: str) -> None:
    names = ("ended", "ended-too", "lasts", "lasts-too", "nowhere")
    with moves.services.database.write() as connection:
        moves.services.references.record(
            connection,
            consumer=ConsumerKind.WORKFLOW,
            consumer_id=f"fl_{workflow}",
            consumer_name=workflow,
            active=True,
            found=[
                *(NodeReference(node_id="call", name=name, item_id=None) for name in names),
                NodeReference(node_id="text", name="lasts-too", item_id=None, mentioned=True),
            ],
            now=moves.services.clock(),
        )


def run(moves: Moves, workflow_id: str, used: dict[str, int], *, at: Any) -> None:
    with moves.services.database.write() as connection:
        moves.services.references.note_run(
            connection, workflow_id=workflow_id, used=used, good=True, began_at=at, at=at
        )


def rotate(services: Services, item_id: str, *, old: int, expires_at: Any = None) -> None:
    with services.database.write() as connection:
        new = services.versions.begin_pending(connection, item_id, actor="test")
        services.versions.fill_pending(
            connection,
            item_id,
            new,
            Secret(f"the value {new} of {item_id}"),
            expires_at=expires_at,
            external={},
            actor="test",
        )
        services.versions.activate(connection, item_id, new=new, old=old, actor="test")


def walk(moves: Moves, now: Any, *, size: int = 500, consumer_ids: Any = None) -> list[tuple[str, str]]:
    with moves.services.database.read() as connection:
        pages = walk_stale_references(connection, now, page_size=size, consumer_ids=consumer_ids)
        return [(row.consumer_id, row.written) for page in pages for row in page]


def numbers(moves: Moves) -> dict[str, int | None]:
    """The number beside each name; all that use an item have the same."""
    rows = moves.sql(select(references.c.written, references.c.current_version))
    assert len({tuple(row) for row in rows}) == len({row.written for row in rows})
    return {row.written: row.current_version for row in rows}


def find_drifted(moves: Moves) -> list[str]:
    """References beside which another number stands than that of their item's current version."""
    of_item = and_(versions.c.item_id == references.c.item_id, versions.c.stage == Stage.CURRENT.value)
    rows = moves.sql(
        select(references.c.written)
        .outerjoin(versions, of_item)
        .outerjoin(items, items.c.id == references.c.item_id)
        .where(references.c.current_version.is_distinct_from(versions.c.number))
    )
    return [row.written for row in rows]
