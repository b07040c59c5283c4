"""How a database would find the rows that a statement asks for: by an index, or by a walk over a table."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from vaultcore.tables import metadata
from worker.rows.tables.indexes import INDEXES

OF_FEW = {index.name for index in INDEXES if index.dialect_options["sqlite"]["where"] is not None}
"""Indexes of some of the rows of their table."""
OF_FEW -= {"ix_versions_external_id"}  # of most
_INDEX = r"(?: USING (?:COVERING )?INDEX (?P<index>\w+))?"
_OF_SQLITE = re.compile(rf"SCAN (?P<table>\w+?)(?:_\d+)?{_INDEX}(?: LEFT-JOIN)?$")
_OF_POSTGRESQL = re.compile(r".*(?P<index>Seq) Scan on (?P<table>\w+)")


@contextmanager
def explaining(engine: Engine) -> Iterator[dict[str, list[str]]]:
    """The plan of each statement that is sent until the block ends, by lines, as for tables so large that a
    walk is no choice.
    """
    plans: dict[str, list[str]] = {}

    def explain(connection: Any, _cursor: Any, statement: str, given: Any, _context: Any, many: bool) -> None:
        if not statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            return
        cursor, one = connection.connection.cursor(), given[0] if many else given
        if engine.dialect.name == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", one)
            plans[statement] = [row[3] for row in cursor.fetchall()]
        else:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {statement}", one)
            plans[statement] = [row[0] for row in cursor.fetchall()]
        cursor.close()

    event.listen(engine, "before_cursor_execute", explain)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", explain)


def find_walks(plans: Mapping[str, Sequence[str]], *, but: Collection[str] = ()) -> list[tuple[str, str]]:
    """Statement and line of each walk over a table, but for these; also where it goes through a whole index,
    unless that is one of few rows, such as those that wait.
    """
    lines = ((statement, line) for statement, plan in plans.items() for line in plan)
    return [
        (statement, line)
        for statement, line in lines
        if _walks_a_table(line, but) and "WHERE 0 = 1" not in statement
    ]


def _walks_a_table(line: str, others: Collection[str]) -> bool:
    for walk in (_OF_SQLITE, _OF_POSTGRESQL):
        found = walk.match(line)
        if found is not None:
            of_few = found["index"] in OF_FEW
            return found["table"] in metadata.tables and found["table"] not in others and not of_few
    return False
