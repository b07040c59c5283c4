"""Stored references: who uses what, the proof that runs leave, and rows that come back as they went in."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from tests.services.conftest import TOKEN, Moves
from vaultcore.errors import NotFoundError
from vaultcore.model import ConsumerKind, Mode, NodeReference, Policy, Reference
from vaultcore.tables import items, references
from worker.rows import consumers as consumer_rows

DAY = timedelta(days=1)
CRM = "prod-crm-password"


def test_a_reference_by_name_or_by_id_leads_to_its_item(moves: Moves, clock: Any) -> None:
    item = moves.add().item
    other = moves.add(CRM).item
    workflow = moves.use("ticket-sync", TOKEN, other.id, "prod-nobody-smtp", node="call")

    assert {(r.written, r.item_id) for r in _of(moves, workflow)} == {
        (TOKEN, item.id),
        (other.id, other.id),
        ("prod-nobody-smtp", None),
    }
    (one,) = _uses(moves, item.id)
    assert one == Reference(
        consumer=ConsumerKind.WORKFLOW,
        consumer_id=workflow,
        consumer_name="ticket-sync",
        active=True,
        node_id="call",
        written=TOKEN,
        mentioned=False,
        elsewhere=False,
        item_id=item.id,
        pinned=None,
        held_by=None,
        last_version=None,
        last_run_at=None,
        proven_version=None,
        proven_at=None,
    )
    assert _idle(moves) == {
        TOKEN: clock() + 90 * DAY,
        other.id: clock() + 90 * DAY,
        "prod-nobody-smtp": None,
    }


def test_what_stays_in_a_workflow_keeps_its_proof_and_its_pin_and_what_goes_is_gone(
    moves: Moves, clock: Any
) -> None:
    item, other = moves.add().item, moves.add(CRM).item
    workflow = moves.use("ticket-sync", TOKEN, CRM)
    _run(moves, workflow, {item.id: 1, other.id: 1}, at=clock())
    _pin(moves, workflow, item.id, 1)
    (before,) = _uses(moves, item.id)

    moves.use("ticket-sync", TOKEN, "prod-new-smtp")

    assert _uses(moves, item.id) == [before]
    assert (before.proven_version, before.pinned) == (1, 1)
    assert _uses(moves, other.id) == []
    assert {r.written for r in _of(moves, workflow)} == {TOKEN, "prod-new-smtp"}
    moves.use("ticket-sync", TOKEN, node="another-node")
    (moved,) = _of(moves, workflow)
    assert (moved.node_id, moved.proven_version, moved.pinned) == ("another-node", None, 1)


def test_two_nodes_that_name_one_item_are_two_references(moves: Moves) -> None:
    item = moves.add().item
    moves.use("ticket-sync", TOKEN)
    moves.use("escalation", TOKEN, item.id)
    assert [(r.consumer_name, r.written) for r in _uses(moves, item.id)] == [
        ("escalation", TOKEN),
        ("escalation", item.id),
        ("ticket-sync", TOKEN),
    ]


def test_a_workflow_that_was_switched_off_is_so_in_every_reference(moves: Moves) -> None:
    moves.add()
    workflow = moves.use("ticket-sync", TOKEN, CRM)
    moves.use("ticket-sync", TOKEN, CRM, active=False)
    assert [r.active for r in _of(moves, workflow)] == [False, False]


def test_an_item_that_comes_later_is_found_by_who_waits_for_it(moves: Moves, clock: Any) -> None:
    workflow = moves.use("ticket-sync", TOKEN)
    assert [r.item_id for r in _of(moves, workflow)] == [None]
    clock.advance(DAY)
    item = moves.add(policy=Policy(idle_after=5 * DAY)).item
    assert [r.item_id for r in _of(moves, workflow)] == [item.id]
    assert _idle(moves) == {TOKEN: clock() + 5 * DAY}


def test_a_good_run_proves_what_it_used_and_nothing_else(moves: Moves, clock: Any) -> None:
    item, other = moves.add(policy=Policy(idle_after=5 * DAY)).item, moves.add(CRM).item
    workflow = moves.use("ticket-sync", TOKEN, CRM)
    bystander = moves.use("escalation", TOKEN)
    untouched = _of(moves, bystander)
    clock.advance(DAY)

    _run(moves, workflow, {item.id: 1}, at=clock())  # the branch with the other was not taken

    (used,) = [r for r in _of(moves, workflow) if r.item_id == item.id]
    (unused,) = _uses(moves, other.id)
    assert (used.last_version, used.last_run_at, used.proven_version, used.proven_at) == (
        1,
        clock(),
        1,
        clock(),
    )
    assert (unused.last_version, unused.last_run_at) == (None, clock())
    assert (unused.proven_version, unused.proven_at) == (None, None)
    assert _of(moves, bystander) == untouched
    rows = moves.sql(
        select(references.c.written, references.c.idle_at).where(references.c.consumer_id == workflow)
    )
    assert {row.written: row.idle_at for row in rows} == {TOKEN: clock() + 5 * DAY, CRM: clock() + 90 * DAY}


def test_a_failed_run_proves_nothing_and_leaves_the_proof_that_was_there(moves: Moves, clock: Any) -> None:
    item = moves.add().item
    workflow = moves.use("ticket-sync", TOKEN)
    proven = clock()
    _run(moves, workflow, {item.id: 1}, at=proven)
    clock.advance(DAY)

    _run(moves, workflow, {item.id: 2}, at=clock(), good=False)

    (one,) = _of(moves, workflow)
    assert (one.last_version, one.last_run_at) == (2, clock())
    assert (one.proven_version, one.proven_at) == (1, proven)


def test_a_pin_holds_one_workflow_to_a_version_until_it_is_taken_out(moves: Moves) -> None:
    item = moves.add().item
    workflow = moves.use("ticket-sync", TOKEN, item.id)
    moves.use("escalation", TOKEN)
    _pin(moves, workflow, item.id, 1)
    assert [(r.consumer_name, r.pinned) for r in _uses(moves, item.id)] == [
        ("escalation", None),
        ("ticket-sync", 1),
        ("ticket-sync", 1),
    ]
    _pin(moves, workflow, item.id, None)
    assert {r.pinned for r in _uses(moves, item.id)} == {None}


def test_what_only_mentions_an_item_has_no_pin_and_what_uses_it_anew_has_that_of_its_workflow(
    moves: Moves,
) -> None:
    """Each node in turn, of which another uses it."""
    item = moves.add(TOKEN).item
    record(moves, used=["one"], mentioned=["two"])
    with moves.services.database.write() as connection:
        moves.services.references.pin(connection, workflow_id="fl_sync", item_id=item.id, number=1)
        consumer_rows.hold(connection, item.id, ["fl_sync"], number=7, by="rot_1")
    assert pins(moves, item.id) == {"one": 1, "two": None}
    record(moves, used=["one", "two"], mentioned=["three"])
    assert pins(moves, item.id) == {"one": 1, "two": 1, "three": None}
    record(moves, used=["three"], mentioned=["one", "two"])
    assert pins(moves, item.id) == {"one": None, "two": None, "three": 1}
    record(moves, used=[], mentioned=["three"])
    record(moves, used=["three"], mentioned=[])
    assert pins(moves, item.id) == {"three": None}


def record(moves: Moves, *, used: list[str], mentioned: list[str]) -> None:
    nodes = dict.fromkeys(used, False) | dict.fromkeys(mentioned, True)
    with moves.services.database.write() as connection:
        moves.services.references.record(
            connection,
            consumer=ConsumerKind.WORKFLOW,
            consumer_id="fl_sync",
            consumer_name="sync",
            active=True,
            found=[
                NodeReference(node_id=node, name=TOKEN, item_id=None, mentioned=only)
                for node, only in nodes.items()
            ],
            now=moves.services.clock(),
        )


def pins(moves: Moves, item_id: str) -> dict[str, int | None]:
    with moves.services.database.read() as connection:
        return {one.node_id: one.pinned for one in moves.services.references.of_item(connection, item_id)}


def test_nothing_is_pinned_where_nothing_is_used(moves: Moves) -> None:
    item, other = moves.add().item, moves.add(CRM).item
    workflow = moves.use("ticket-sync", TOKEN)
    for consumer, item_id in ((workflow, other.id), ("fl_unknown", item.id)):
        with pytest.raises(NotFoundError, match="nothing to pin"):
            _pin(moves, consumer, item_id, 1)


def test_a_forgotten_consumer_uses_nothing(moves: Moves) -> None:
    item = moves.add().item
    workflow = moves.use("ticket-sync", TOKEN)
    moves.use("escalation", TOKEN)
    with moves.services.database.write() as connection:
        moves.services.references.forget(connection, workflow)
    assert [r.consumer_name for r in _uses(moves, item.id)] == ["escalation"]


# Rows


def test_a_policy_comes_back_as_it_went_in(moves: Moves) -> None:
    policy = Policy(
        mode=Mode.APPROVE,
        stated=True,
        rotator="http",
        settings={"issue": {"url": "https://example.com/\N{KEY}", "list": [1, None, True, "x"]}},
        lifetime=timedelta(days=90, seconds=1),
        lead=timedelta(hours=30),
        overlap=timedelta(0),
        idle_after=timedelta(days=35),
        thresholds=(60, 7, 0),
    )
    assert moves.add(days=90, policy=policy).item.policy == policy
    assert moves.get(TOKEN).policy == policy
    assert moves.update(TOKEN, policy=Policy(thresholds=())).policy == Policy(thresholds=())
    (row,) = moves.sql(select(items.c.overlap_seconds, items.c.idle_seconds))
    assert (row.overlap_seconds, row.idle_seconds) == (86_400, 90 * 86_400)


def test_what_an_item_lacks_stands_in_its_row(moves: Moves, clock: Any) -> None:
    moves.add("password")
    assert moves.sql(select(items.c.hygiene)) == [("no-owner no-expiry no-plan generic-name",)]
    with moves.services.database.write() as connection:
        owner = moves.services.owners.create(connection, "support", actor="test")
    moves.update(
        "password",
        name="prod-crm-password",
        owner_ids=(owner.id,),
        expires_at=clock() + DAY,
        policy=Policy(stated=True),
    )
    assert moves.sql(select(items.c.hygiene)) == [("",)]


def test_times_of_any_zone_are_stored_as_utc_with_their_microseconds(moves: Moves) -> None:
    local = datetime(2026, 7, 1, 1, 2, 3, 456_789, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    moves.add()
    changed = moves.update(TOKEN, expires_at=local)
    assert changed.expires_at == local
    assert changed.expires_at is not None
    assert changed.expires_at.tzinfo is UTC
    assert [item.name for item in moves.sql(select(items).where(items.c.expires_at == local))] == [TOKEN]
    assert moves.sql(select(items).where(items.c.expires_at < local)) == []


def test_a_time_without_a_zone_is_a_mistake(moves: Moves) -> None:
    moves.add()
    naive = datetime(2030, 1, 1)  # noqa: DTZ001  # the mistake
    with pytest.raises(StatementError, match="must know its time zone"):
        moves.sql(items.update().values(expires_at=naive))
    assert moves.get(TOKEN).expires_at is None


def _of(moves: Moves, consumer_id: str) -> list[Reference]:
    with moves.services.database.read() as connection:
        return moves.services.references.of_consumer(connection, consumer_id)


def _uses(moves: Moves, item_id: str) -> list[Reference]:
    with moves.services.database.read() as connection:
        return moves.services.references.of_item(connection, item_id)


def _idle(moves: Moves) -> dict[str, datetime | None]:
    rows = moves.sql(select(references.c.written, references.c.idle_at))
    return {row.written: row.idle_at for row in rows}


def _run(moves: Moves, workflow_id: str, used: dict[str, int], *, at: datetime, good: bool = True) -> None:
    with moves.services.database.write() as connection:
        moves.services.references.note_run(
            connection, workflow_id=workflow_id, used=used, good=good, began_at=at, at=at
        )


def _pin(moves: Moves, workflow_id: str, item_id: str, number: int | None) -> None:
    with moves.services.database.write() as connection:
        moves.services.references.pin(connection, workflow_id=workflow_id, item_id=item_id, number=number)
