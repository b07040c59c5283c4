"""A vault with rows in every table, and values of every kind that a table can hold."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
    insert,
    null,
    select,
    type_coerce,
    update,
)

from tests.conftest import Clock
from tests.services.damaged import make_vault, open_vault
from vaultcore.row_macs import MAC
from vaultcore.secret import Secret
from vaultcore.tables import UtcDateTime, metadata, owners
from worker.bootstrap import Services
from worker.domain.policies import build_policy
from worker.rows.tables import credential_checks, run_logs

SINK = "127.0.0.1:9"
"""Where nobody listens."""
DUE, FIRST_VALUE = "prod-spare-secret", "the first value of it"
"""An item that the next night rotates, and that nothing uses."""
ODD = "ä \U0001f511 'quoted' \\ \"twice\"\n\tnext"


def make_full_vault(home: Path, clock: Clock) -> None:
    """On SQLite: what the services make of a few nights, and a made-up row where a table is empty then."""
    make_vault(home, clock, SINK)
    services = open_full_vault(home, clock)
    plan = {"mode": "auto", "rotator": "random", "lifetime": "60d", "lead": "14d", "overlap": "0s"}
    try:
        with services.database.write() as connection:
            services.vault.create(
                connection,
                name=DUE,
                value=Secret(FIRST_VALUE),
                owner_ids=(services.owners.get(connection, "support").id,),
                expires_at=clock() + timedelta(days=5),
                policy=build_policy(None, plan | {"consumers": "none"}),
                actor="test",
            )
        with services.database.write() as connection:
            for table in metadata.sorted_tables:
                if not count(connection, table):
                    connection.execute(insert(table).values(_make_row(connection, table, clock)))
            _add_odd_values(connection)
        with services.database.read() as connection:
            assert all(count(connection, table) for table in metadata.sorted_tables)
        assert services.upkeep.row_verification.check_all().wrong == ()
    finally:
        services.close()


def open_full_vault(home: Path, clock: Clock) -> Services:
    return open_vault(home, clock, SINK)


def count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _make_row(connection: Connection, table: Table, clock: Clock) -> dict[str, Any]:
    columns = [column for column in table.columns if column.name != MAC]
    return {column.name: _make_value(connection, column, clock) for column in columns}


def _make_value(connection: Connection, column: Column[Any], clock: Clock) -> Any:
    for key in column.foreign_keys:
        return connection.execute(select(key.column).limit(1)).scalar_one()
    if "one_of" in column.info:
        return str(next(iter(column.info["one_of"])))
    if isinstance(column.type, UtcDateTime):
        return clock() - timedelta(days=2, microseconds=1)
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, Integer):
        return 7
    if isinstance(column.type, JSON):
        return {"object": {"a": 1.5}, "array": []}.get(column.info.get("shape", "object"))
    if isinstance(column.type, LargeBinary):
        return bytes(range(32))
    return "made-up"


def _add_odd_values(connection: Connection) -> None:
    """Texts of every alphabet, JSON that is null beside none, numbers alone, and owners who stand in for each
    other. SQLite keeps a JSON text that is a number as a number.
    """
    log = dict(connection.execute(select(run_logs).limit(1)).one()._mapping)
    outputs = (None, 0, 0.1 + 0.2, 1e22, "5", ODD, [None, {ODD: 2**60}])
    for number, output in enumerate(outputs):
        connection.execute(insert(run_logs).values(log | {"id": f"odd-{number}", "output": output}))
    kinds = select(func.typeof(type_coerce(run_logs.c.output, Text))).where(run_logs.c.id.like("odd-%"))
    assert set(connection.execute(kinds).scalars()) == {"text", "integer", "real"}
    item_id = connection.execute(select(credential_checks.c.item_id).limit(1)).scalar_one()
    connection.execute(
        update(credential_checks).where(credential_checks.c.item_id == item_id).values(detail=null())
    )
    first, second, *_ = connection.execute(select(owners.c.id).order_by(owners.c.id)).scalars()
    for mine, its in ((first, second), (second, first)):
        connection.execute(update(owners).where(owners.c.id == mine).values(deputy_id=its))
