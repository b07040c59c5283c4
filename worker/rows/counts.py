"""How much there is: rows of the vault and the worker, counted."""

from sqlalchemy import Connection, Table, func, select

from vaultcore.tables import audit, items, owners, versions
from worker.rows.tables import rotations, workflows

_BACKED_UP = {
    "items": items,
    "versions": versions,
    "owners": owners,
    "workflows": workflows,
    "rotations": rotations,
    "audit rows": audit,
}


def count_backed_up(connection: Connection) -> dict[str, int]:
    """What a backup says that it holds, by what it is called to people."""
    return {name: _count(connection, table) for name, table in _BACKED_UP.items()}


def count_items(connection: Connection) -> int:
    return _count(connection, items)


def count_workflows(connection: Connection) -> int:
    return _count(connection, workflows)


def count_rotations(connection: Connection) -> dict[str, int]:
    """All that there ever were, by the state in which they are."""
    counted = connection.execute(select(rotations.c.state, func.count()).group_by(rotations.c.state)).all()
    return dict(counted)


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()
