"""The keyed digests that every statement writes: many rows at once, and statements of every form."""

from typing import Any

import pytest
from sqlalchemy import bindparam, delete, insert, select, text, update

from tests.services.conftest import TOKEN, Moves
from vaultcore.mac_writing import update_apart
from vaultcore.tables import item_owners, items, owners, references
from worker.bootstrap import Services

SOME = 300
MANY = {"sqlite": 12_000, "postgresql": 22_000}
"""More than a statement has room for, at three parameters each."""


def refer(number: int, written: str = TOKEN) -> dict[str, Any]:
    return {
        "consumer": "workflow", "consumer_id": f"fl_{number}", "consumer_name": f"w{number}", "active": True,
        "node_id": "n", "written": written, "mentioned": False,
    }  # fmt: skip


@pytest.mark.parametrize("are_many", [False, pytest.param(True, marks=pytest.mark.long)])
def test_as_many_rows_as_there_are_are_changed_by_one_statement(
    services: Services, moves: Moves, *, are_many: bool
) -> None:
    many = MANY[services.database.engine.dialect.name] if are_many else SOME
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


def test_a_forged_row_gets_the_values_of_an_update_apart_and_no_digest(
    services: Services, moves: Moves
) -> None:
    ids = [moves.add(f"prod-{number}", f"value-{number}").item.id for number in range(4)]
    with services.database.write() as connection:
        connection.execute(text("UPDATE items SET idle_seconds = 7 WHERE id = :id"), {"id": ids[0]})
        connection.execute(text("UPDATE items SET mac = NULL WHERE id = :id"), {"id": ids[1]})
        of_three = items.c.id.in_(ids[:3])
        before = update_apart(connection, items, of_three, {"life_seconds": 5, "hold_until": None})
        assert [(row.id, row.life_seconds) for row in before] == [(one, None) for one in sorted(ids[:3])]
        assert update_apart(connection, items, items.c.id == "x", {"life_seconds": 5}) == []
        after = connection.execute(select(items.c.life_seconds).order_by(items.c.name)).scalars()
        assert after.all() == [5, 5, 5, None]
    wrong = {one.subject for one in services.upkeep.row_verification.check_all().wrong}
    assert wrong == {f"items {one}" for one in ids[:2]}
    for one in ids[:2]:
        digest = services.upkeep.row_verification.show("items", one).digest
        services.upkeep.row_verification.accept("items", one, shown=digest, actor="test")


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
    "many values by their name": (update(items).values(idle_seconds=bindparam("x")), [{"x": 6}, {"x": 7}]),
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


@pytest.mark.parametrize("name", ["made", "its_id"])
def test_a_parameter_with_the_name_of_one_of_ours_is_refused(services: Services, name: str) -> None:
    """Of two by one name the database would be given one value."""
    change = update(items).where(items.c.id == bindparam(name)).values(idle_seconds=6)
    with services.database.write() as connection, pytest.raises(TypeError, match="called its_id or made"):
        connection.execute(change, {name: "x"})


def test_a_statement_that_is_made_once_changes_none_one_or_many_rows_by_its_parameters(
    services: Services, moves: Moves
) -> None:
    ids = [moves.add(f"prod-{number}", f"value-{number}").item.id for number in range(3)]
    of_some = items.c.id.in_(bindparam("some", expanding=True))
    change = update(items).where(of_some).values(idle_seconds=bindparam("seconds"), life_seconds=None)
    seconds = select(items.c.idle_seconds).order_by(items.c.name)
    with services.database.write() as connection:
        first = connection.execute(seconds).scalars().all()[0]
        for step, some in enumerate((["x"], ids[:1], ids[1:], ids[2:], ids)):
            done = connection.execute(change, {"some": some, "seconds": step})
            assert done.rowcount == len([one for one in some if one in ids])
            expected = [[first] * 3, [1, first, first], [1, 2, 2], [1, 2, 3], [4, 4, 4]][step]
            assert connection.execute(seconds).scalars().all() == expected
    assert services.upkeep.row_verification.check_all().wrong == ()


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
