"""Rotations, runs and notices: none of their services talks to the database; the rows of the worker do."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "worker" / "services"
ROOMS = ("notices", "rotation", "runs")
STATEMENTS = {"execute", "exec_driver_sql", "scalar", "scalars", "stream"}


def find_sql(source: str) -> Iterator[str]:
    """What such a module must not have: a statement, a row as it came, or what statements are made of."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(value=of, attr=name)) if name in STATEMENTS:
                if ast.unparse(of).endswith("connection"):
                    yield f"{node.lineno}: {ast.unparse(node.func)}"
            case ast.Subscript(value=of) if ast.unparse(of).rpartition(".")[2] == "Row":
                yield f"{node.lineno}: Row"
            case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "sqlalchemy":
                yield from (f"{node.lineno}: {one.name}" for one in names if one.name != "Connection")
            case ast.ImportFrom(module="vaultcore.tables" | "worker.rows.tables" as module):
                yield f"{node.lineno}: {module}"
            case ast.Import(names=names):
                yield from (f"{node.lineno}: {one.name}" for one in names if one.name == "sqlalchemy")


@pytest.mark.parametrize("room", ROOMS)
def test_no_service_of_the_room_makes_a_statement(room: str) -> None:
    modules = sorted((SERVICES / room).glob("*.py"))
    assert modules
    found = {module.name: list(find_sql(module.read_text())) for module in modules}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("connection.execute(query).all()", ["1: connection.execute"]),
        ("self._connection.scalars(query)", ["1: self._connection.scalars"]),
        ("def f(row: Row[*tuple[Any, ...]]) -> None: ...", ["1: Row"]),
        ("from sqlalchemy import Connection, select", ["1: select"]),
        ("import sqlalchemy", ["1: sqlalchemy"]),
        ("from worker.rows.tables import notices", ["1: worker.rows.tables"]),
        ("self._execution.execute(run, context)", []),
        ("from sqlalchemy import Connection", []),
    ],
)
def test_what_is_taken_for_a_statement(source: str, found: list[str]) -> None:
    assert list(find_sql(source)) == found
