"""Edits behind the vault's back, by text, one column at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import JSON, Boolean, Integer, Table, bindparam, insert, select, text

from tests.services.test_tampered import behind
from vaultcore.row_macs import MAC, key_of
from vaultcore.tables import UtcDateTime
from worker.bootstrap import Services
from worker.rows.tables import workflows

_EARLIER = timedelta(hours=7)


def spoil(services: Services, table: Table, key: str, name: str) -> Any:
    """Another value in one column of the row with that key, which is given as it was."""
    row = find(services, table, key)
    write(services, table, row, **{name: _another(services, table, name, row[name])})
    return row


@contextmanager
def spoiled(services: Services, table: Table, key: str, name: str) -> Iterator[None]:
    """Put right afterwards, by the same hand: every column."""
    row = spoil(services, table, key, name)
    yield
    write(services, table, row, **row)


def find(services: Services, table: Table, key: str) -> dict[str, Any]:
    with services.database.read() as connection:
        rows = [dict(row) for row in connection.execute(select(table)).mappings()]
    (found,) = [row for row in rows if key_of(table, row) == key]
    return found


def write(services: Services, table: Table, row: dict[str, Any], **values: Any) -> None:
    """By text, whatever else the row holds; its key is `row`'s."""
    keys = [column.name for column in table.primary_key]
    settings = ", ".join(f"{name} = :new_{name}" for name in values)
    where = " AND ".join(f"{name} = :its_{name}" for name in keys)
    statement = text(f"UPDATE {table.name} SET {settings} WHERE {where}").bindparams(
        *(bindparam(f"new_{name}", value, type_=table.c[name].type) for name, value in values.items()),
        *(bindparam(f"its_{name}", row[name], type_=table.c[name].type) for name in keys),
    )
    with behind(services) as connection:
        assert connection.execute(statement).rowcount == 1


def forge(services: Services, table: Table, key: str, **values: Any) -> None:
    """A row like that one, and without a digest of its own."""
    row = find(services, table, key)
    with behind(services) as connection:
        connection.execute(insert(table).values({**row, MAC: None, **values}))


def wrong(services: Services) -> list[str]:
    """The tables of the rows that the check of all names."""
    return [found.subject.split(" ")[0] for found in services.upkeep.row_verification.check_all().wrong]


def _another(services: Services, table: Table, name: str, value: Any) -> Any:
    """What could stand there as well."""
    if name == "workflow_id":
        with services.database.read() as connection:
            return connection.execute(select(workflows.c.id).where(workflows.c.id != value)).scalars().first()
    words = {
        "purpose": "controlled",
        "status": "failed" if value == "completed" else "completed",
        "state": "sent" if value == "waiting" else "waiting",
        "error_cause": "rejected",
    }
    if name in words:
        return words[name]
    match table.c[name].type:
        case Boolean():
            return not value
        case Integer():
            return (value or 0) + 1
        case UtcDateTime():
            return (value or services.clock()) - _EARLIER
        case JSON():
            return {"subject": "x", "body": "y"}
    return f"{value or 'x'}y"
