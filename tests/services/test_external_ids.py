"""What the other sides call the versions in use: found by index, and as by somebody who reads every row."""

import json
from collections.abc import Collection, Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, insert, select, text

from tests.plans import explaining, find_walks
from tests.services.conftest import Moves
from tests.services.test_tampered import behind
from vaultcore.external_ids import pick_in_use
from vaultcore.model import Stage
from vaultcore.tables import versions

LONG = "x" * 250
IDS: list[Any] = [
    "", "abc", "ABC", "abcd", 'a"b', "a\\b", "a/b", "100%", "1_0", "ünd", "\N{KEY}", "a\0b", "half \ud800",
    "\\u0000", "5", 5, "-7", -7, "05", 0, "0", 10**30, 10**30 + 1, str(10**30), 1.5, "1.5", 1e22, "1e+22",
    "1e5", True, "True", None, "None", "null", "other", {"a": 1}, "{'a': 1}", [1, "a"], "[1]",
    f"{LONG}1", f"{LONG}2", "é" * 3000,
]  # fmt: skip
TOLD: list[Any] = [
    {"id": "beside a NUL", "more": "\0"},
    {"id": "beside half", "more": "\ud800"},
    {"more": {"id": "inside"}, "id": "outside"},
    {"more": {"id": "inside alone"}},
    {"role": "orders"},
    *({}, [], ["id"], "id", None, 7),
]
DAMAGED = ["", "id", '{"id": "torn', '{"id": "x"} and more', '{"id": "beside NaN", "n": NaN}', '{"id": NaN}']
"""As text. PostgreSQL takes none of them."""
RESPELT: list[tuple[Any, list[str]]] = [
    ("outside-2", ['"\\u006futside-2"', '"outside-1", "id": "outside-2"', '"x", "i\\u0064": "outside-2"']),
    ("é", ['"é"']),
    ("a/b", ['"a\\/b"']),
    (0, ["-0", " 0"]),
    (5.5, ["5.50", "5.5e0", "55e-1"]),
]
"""What an id is, and other ways to write it, as JSON after `{"id": `: all have one digest."""
SOUGHT = [
    *(str(one) for one in IDS),
    *(f"beside {what}" for what in ("a NUL", "half", "NaN", "nothing")),
    *("outside", "inside", "inside alone", "orders", "gone", "torn", "x", "nan", "%", "{}"),
]


def put(
    moves: Moves, connection: Connection, item_id: str, told: Iterable[Any], stage: Stage = Stage.PREVIOUS
) -> None:
    last = connection.scalar(select(func.max(versions.c.number))) or 0
    rows = [
        {"item_id": item_id, "number": number, "stage": stage.value, "created_at": moves.services.clock()}
        | {"external": each}
        for number, each in enumerate(told, last + 1)
    ]
    connection.execute(insert(versions), rows)


def damage(connection: Connection, to: str) -> None:
    """The last version."""
    last = connection.scalar(select(func.max(versions.c.number)))
    connection.execute(text("UPDATE versions SET external = :to WHERE number = :n"), {"to": to, "n": last})


def read_every_row(connection: Connection, sought: Collection[str]) -> frozenset[str]:
    asked = "SELECT CAST(external AS TEXT) FROM versions WHERE stage <> 'destroyed'"
    found = set()
    for external in connection.scalars(text(asked)):
        try:
            called = json.loads(external).get("id")
        except (ValueError, AttributeError):
            continue
        if called is not None:
            found.add(str(called))
    return frozenset(found.intersection(sought))


@pytest.fixture
def item_id(moves: Moves) -> str:
    return moves.add().item.id


def test_every_kind_of_id_is_found_as_by_who_reads_every_row(moves: Moves, item_id: str) -> None:
    with moves.services.database.read() as connection:
        put(moves, connection, item_id, [*({"id": one} for one in IDS), *TOLD])
        put(moves, connection, item_id, [{"id": "gone"}, {"id": "torn"}], Stage.DESTROYED)
        for one in DAMAGED if moves.services.database.is_sqlite else ():
            put(moves, connection, item_id, [{}])
            damage(connection, one)
        found = read_every_row(connection, SOUGHT)
        assert {"5", "beside a NUL", "beside half", "outside", f"{LONG}1", "{'a': 1}"} < found
        assert pick_in_use(connection, SOUGHT, beside=None) == found
        assert {one for one in SOUGHT if pick_in_use(connection, [one], beside=None)} == found


def test_who_spells_an_id_otherwise_behind_the_vaults_back_hides_none(moves: Moves, item_id: str) -> None:
    """The digest holds as before: nothing else says that somebody was there."""
    services = moves.services
    for told, spellings in RESPELT:
        with services.database.write() as connection:
            put(moves, connection, item_id, [{"id": told}])
        for spelling in spellings:
            with behind(services) as connection:
                damage(connection, f'{{"id": {spelling}}}')
            with services.database.read() as connection:
                assert pick_in_use(connection, [str(told)], beside=None) == {str(told)}, spelling
            assert services.upkeep.row_verification.check_all().wrong == ()


_ID = st.text(max_size=20) | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
_ONE_ID = _ID | st.lists(_ID, max_size=2) | st.none()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ids=st.lists(_ONE_ID, min_size=1, max_size=8), others=st.lists(st.text(max_size=5), max_size=3))
def test_any_id_is_found_as_by_who_reads_every_row(
    moves: Moves, item_id: str, ids: list[Any], others: list[str]
) -> None:
    sought = [*(str(one) for one in ids[::2]), *others]
    with moves.services.database.read() as connection:
        put(moves, connection, item_id, ({"id": one} for one in ids))
        assert pick_in_use(connection, sought, beside=None) == read_every_row(connection, sought)


def test_more_ids_than_one_statement_looks_for_are_all_looked_for(moves: Moves, item_id: str) -> None:
    sought = [f"tok-{number}" for number in range(1200)]
    with moves.services.database.read() as connection:
        put(moves, connection, item_id, ({"id": one} for one in sought[::100]))
        assert pick_in_use(connection, sought, beside=None) == frozenset(sought[::100])


def test_no_id_is_looked_for_by_a_walk_over_all_versions(moves: Moves, item_id: str) -> None:
    moves.stage(item_id, "the next value")  # outside-2
    with explaining(moves.services.database.engine) as plans, moves.services.database.read() as connection:
        assert pick_in_use(connection, ["outside-2", "7"], beside=None) == {"outside-2"}
    (plan,) = plans.values()
    by_index = "SEARCH versions USING INDEX ix_versions_external_id (<expr>=?)"
    assert by_index in plan if moves.services.database.is_sqlite else "ix_versions_external_id" in str(plan)
    assert find_walks(plans) == []
