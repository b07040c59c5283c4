"""The keyed digests that every statement writes: many rows at once, and statements of every form."""

from typing import Any

import pytest
from sqlalchemy import bindparam, delete, insert, select, update

from tests.services.conftest import TOKEN, Moves
from vaultcore.tables import item_owners, items, owners, references
from worker.bootstrap import Services

MANY = {"sqlite": 12_000, "postgresql": 22_000}
"""More than a statement has room for, at three parameters each."""


def refer(number: int, written: str = TOKEN) -> dict[str, Any]:
    return {
        "consumer": "workflow", "consumer_id": f"fl_{number}", "consumer_name": f"w{number}", "active": True,
        "node_id": "n", "written": written, "mentioned": False,
    }  # fmt: skip


def test_as_many_rows_as_there_are_are_changed_by_one_statement(services: Services, moves: Moves) -> None:
    many = MANY[services.database.engine.dialect.name]
    with services.database.write() as connection:
        connection.execute(insert(references), [refer(number) for number in range(many)])
        connection.execute(insert(references).values(refer(0, written="another")))
    item_id = moves.add().item.id
    assert services.upkeep.row_verification.check_all().wrong == ()
    with services.database.write() as connection:
        to_one = update(references).where(references.c.written == TOKEN).values(item_id=item_id, pinned=1)
        assert connection.execute(to_one).rowcount == many
        others = connection.execute(select(references.c.pinned).where(references.c.written == "another"))
        assert others.scalars().all() == [None]
        connection.execute(delete(references).where(references.c.consumer_id != "fl_1"))


def test_many_rows_of_a_table_with_one_key_are_changed_by_one_statement(
    services: Services, moves: Moves
) -> None:
    made = {moves.add(f"prod-{number}", f"value-{number}").item.id for number in range(3)}
    with services.database.write() as connection:
        changed = update(items).where(items.c.id.in_(made)).values(idle_seconds=5).returning(items.c.id)
        assert set(connection.execute(changed).scalars()) == made
    assert services.upkeep.row_verification.check_all().wrong == ()


STATEMENTS: dict[str, Any] = {
    "parameters": (update(items), {"idle_seconds": 6}),
    "many parameters": (update(items).where(items.c.id == bindparam("k")), [{"k": "x", "idle_seconds": 6}]),
    "a value by its name": (update(items).values(idle_seconds=bindparam("x")), {"x": 6}),
    "an expression": (update(items).values(idle_seconds=items.c.idle_seconds + 1), None),
    "an expression in order": (
        update(items).ordered_values((items.c.idle_seconds, items.c.life_seconds)),
        None,
    ),
    "rows in the statement": (insert(item_owners).values([{"item_id": "a", "owner_id": "b"}]), None),
    "rows of a select": (
        insert(item_owners).from_select(["item_id", "owner_id"], select(items.c.id, owners.c.id)),
        None,
    ),
}


def test_a_statement_whose_rows_cannot_be_known_before_is_refused(services: Services, moves: Moves) -> None:
    moves.add()
    for name, (statement, parameters) in STATEMENTS.items():
        with services.database.write() as connection:
            try:
                connection.execute(statement, parameters)
            except TypeError as error:
                assert "a deciding column of" in str(error), name  # noqa: PT017  # of each
            else:
                pytest.fail(name)


def test_every_other_form_of_a_statement_writes_digests(services: Services, moves: Moves) -> None:
    item_id = moves.add().item.id
    with services.database.write() as connection:
        people = [
            services.owners.find_or_create(connection, name, actor="test") for name in ("ann", "bob", "eve")
        ]
        several = [{"item_id": item_id, "owner_id": one} for one in people]
        connection.execute(insert(item_owners), several[:2])
        connection.execute(insert(item_owners), several[2])
        connection.execute(
            update(items).where(items.c.id == bindparam("k")), [{"k": item_id, "hold_until": None}]
        )
    assert services.upkeep.row_verification.check_all().wrong == ()
