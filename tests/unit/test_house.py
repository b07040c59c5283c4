"""Who talks to the database: the rows of the worker and the vault itself, and none of the rooms above them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "worker"
ROOMS = (
    "services",
    "cli",
    "web",
    "supervision",
    "app.py",
    "bootstrap.py",
    "open_vault.py",
    "installation.py",
    "tasks.py",
)
"""Folders and files that hold no SQL. A room whose statements moved to `worker/rows` is added here."""
STATEMENTS = {"execute", "exec_driver_sql", "scalar", "scalars", "stream"}
OPENS = {"begin", "begin_nested", "connect", "read", "write"}
NAMES = {"Connection", "Table", "URL", "DBAPIError", "SQLAlchemyError"}
"""What such a room may know of SQLAlchemy: types to hand on, the address of a database, and what one raises."""


OUTSIDE = {
    ("sqlalchemy", "Connection"),
    ("sqlalchemy", "Table"),
    ("sqlalchemy", "URL"),
    ("sqlalchemy", "make_url"),
    ("sqlalchemy.exc", "ArgumentError"),
    ("sqlalchemy.exc", "DBAPIError"),
    ("sqlalchemy.exc", "SQLAlchemyError"),
}
"""All that the worker imports of SQLAlchemy outside of `worker/rows`: nothing that makes a statement."""


def find_sql(source: str) -> list[str]:
    """What such a module must not have, each with its line."""
    tree = ast.parse(source)
    connections = set(find_connections(tree))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in STATEMENTS:
            of = ast.unparse(node.func.value)
            if of.rpartition(".")[2].endswith("connection") or of in connections:
                found.append(f"{node.lineno}: {of}.{node.func.attr}")
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "Row":
            found.append(f"{node.lineno}: Row")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sqlalchemy":
            found += [f"{node.lineno}: import {one.name}" for one in node.names if one.name not in NAMES]
        elif isinstance(node, ast.Import):
            names = [one.name for one in node.names if one.name.partition(".")[0] == "sqlalchemy"]
            found += [f"{node.lineno}: import {name}" for name in names]
    return found


def find_connections(tree: ast.AST) -> Iterator[str]:
    """The names under which a module has connections: by annotation, or from a database that it opens."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            if "Connection" in ast.unparse(node.annotation):
                yield node.arg
        elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            opened = node.context_expr.func if isinstance(node.context_expr, ast.Call) else None
            if isinstance(opened, ast.Attribute) and opened.attr in OPENS:
                yield node.optional_vars.id


def list_modules(room: str) -> list[Path]:
    place = HOUSE / room
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


@pytest.mark.parametrize("room", ROOMS)
def test_no_statement_stands_above_the_rows(room: str) -> None:
    modules = list_modules(room)
    assert modules, f"there is no {room}"
    found = {str(module.relative_to(HOUSE)): find_sql(module.read_text()) for module in modules}
    assert {module: wrong for module, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(connection): connection.execute(query).all()", ["1: connection.execute"]),
        ("def f(self): self._connection.scalars(query)", ["1: self._connection.scalars"]),
        ("def f(db: Connection | None): return db.scalar(query)", ["1: db.scalar"]),
        ("with self._database.read() as reading: reading.execute(query)", ["1: reading.execute"]),
        ("def f(row: Row[*tuple[Any, ...]]) -> None: ...", ["1: Row"]),
        ("def f() -> sqlalchemy.Row[tuple[int]]: ...", ["1: Row"]),
        ("from sqlalchemy import Connection, select", ["1: import select"]),
        ("from sqlalchemy.sql import text as said", ["1: import text"]),
        ("import sqlalchemy as sa", ["1: import sqlalchemy"]),
        ("self._runs.execute(run_id, actor=ACTOR)", []),
        ("with open(file) as stream: stream.read()", []),
        ("def f(connection: Connection): return finding_rows.list_open(connection)", []),
    ],
)
def test_what_is_taken_for_a_statement(source: str, found: list[str]) -> None:
    assert find_sql(source) == found


def find_imports(source: str) -> Iterator[tuple[str, str]]:
    """What such a module imports of SQLAlchemy, wherever it does so: from where, and what; all of it: `*`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            if not node.level and (node.module or "").partition(".")[0] == "sqlalchemy":
                yield from ((node.module or "", one.name) for one in node.names)
        elif isinstance(node, ast.Import):
            yield from ((one.name, "*") for one in node.names if one.name.partition(".")[0] == "sqlalchemy")


def test_outside_of_the_rows_nothing_is_imported_that_makes_a_statement() -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for module in HOUSE.rglob("*.py"):
        if not module.is_relative_to(HOUSE / "rows"):
            for one in find_imports(module.read_text()):
                found.setdefault(one, []).append(str(module.relative_to(HOUSE)))
    assert {one: modules for one, modules in found.items() if one not in OUTSIDE} == {}
    assert found.keys() == OUTSIDE, "what nobody imports any more is allowed to nobody"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from sqlalchemy import Connection, select", [("sqlalchemy", "Connection"), ("sqlalchemy", "select")]),
        ("def f():\n    from sqlalchemy.sql import text as said", [("sqlalchemy.sql", "text")]),
        ("import sqlalchemy.orm as orm", [("sqlalchemy.orm", "*")]),
        ("from sqlalchemy_utils import select\nfrom .sqlalchemy import select", []),
    ],
)
def test_what_is_taken_for_an_import_of_it(source: str, found: list[tuple[str, str]]) -> None:
    assert list(find_imports(source)) == found


@pytest.mark.parametrize("module", list_modules("cli"), ids=lambda module: module.stem)
def test_the_command_line_opens_no_transaction(module: Path) -> None:
    """What it shows, a service has read for it, as for every other edge."""
    opened = [ast.unparse(node) for node in ast.walk(ast.parse(module.read_text())) if is_opening(node)]
    assert opened == []


def is_opening(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in OPENS
        and ast.unparse(node.func.value).rpartition(".")[2].endswith("database")
    )


def test_what_is_taken_for_an_opened_transaction() -> None:
    found = [
        node for node in ast.walk(ast.parse("with s.database.read() as c: file.read()")) if is_opening(node)
    ]
    assert [ast.unparse(node) for node in found] == ["s.database.read()"]
