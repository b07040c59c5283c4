"""A vault with a row in every table that decides something, and what can be done to each of its columns."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Integer, LargeBinary, String, insert

import worker.rows.tables as ours
from tests.chains import apply, chain, wait
from tests.stepping import advance
from tests.vaults import copy_vault
from tests.ways_out import LOOPBACK
from vaultcore.secret import Secret
from vaultcore.tables import UtcDateTime, metadata
from worker.bootstrap import Clock, Services
from worker.config import load_settings
from worker.domain.notice_kinds import NoticeKind
from worker.domain.policies import build_policy
from worker.domain.states import Beat, RunPurpose, RunTrigger
from worker.rows import runs as run_rows
from worker.rows.rotations import due_rotations

HEALTHY, DAMAGED, MOVING, KEY = "prod-ticketing-token", "prod-crm-token", "prod-billing-token", "api-key:orders"
DEEP = json.dumps({"a": 1})[:-1] + ', "b": ' + "[" * 3000 + "]" * 3000 + "}"
NULL = object()


def make_vault(home: Path, clock: Any, sink: str) -> None:
    """Two items are due, a third is being rotated, a key waits to be collected; something of all else."""
    services = open_vault(home, clock, sink, new=True)
    with services.database.write() as connection:
        for name in ("operators", "support", "crm-team"):
            made = name == "operators"  # with the vault
            owner = (
                services.owners.get(connection, name)
                if made
                else services.owners.create(connection, name, quiet=None, actor="test")
            )
            services.owners.add_route(
                connection, owner, Secret(f"json://{sink}/{name}"), shown=f"json://{name}", actor="test"
            )
    for name, days, owned_by in ((HEALTHY, 23, "support"), (MOVING, 5, "support"), (DAMAGED, 22, "crm-team")):
        _add_item(
            services,
            name,
            days,
            owned_by,
            mode="auto",
            rotator="random",
            lifetime="60d",
            lead="14d",
            overlap="12d",
        )
    _add_item(
        services,
        KEY,
        5,
        "support",
        mode="auto",
        rotator="workflow-api-key",
        lifetime="60d",
        lead="14d",
        overlap="12d",
    )
    services.runs.documents.apply(
        [(f"{item}.json", json.dumps(_workflow(item, sink))) for item in (HEALTHY, DAMAGED, MOVING)],
        actor="test",
    )
    run_night(services)
    clock.now += timedelta(days=10)
    apply(services, chain("waiting", wait(15)))
    services.runs.runs.start("waiting", actor="test")
    with services.database.write() as connection:
        owner_id = services.owners.get(connection, "crm-team").id
        workflow = services.runs.definitions.get(connection, DAMAGED)
        run_rows.open_run(
            connection,
            workflow.id,
            workflow.name,
            purpose=RunPurpose.PRODUCTION,
            trigger=RunTrigger.SCHEDULE,
            at=clock.now - timedelta(minutes=10),
        )
        services.notices.outbox.post(
            connection,
            owner_id,
            kind=NoticeKind.NIGHT_FAILED,
            dedupe_key="of the test",
            data={"night": clock.now, "problems": ["of the test"]},
        )
        services.notices.heartbeat.post(connection, clock.now - timedelta(days=1), Beat.SUCCESS, "of the test")
        connection.execute(
            insert(ours.departures).values(
                id="dpt_of_the_test", name="crm-team", asked_by="test", emergency=False, began_at=clock.now
            )
        )
        connection.execute(
            insert(ours.sweeps).values(
                job="night",
                slot=clock.now - timedelta(days=1),
                lease_until=clock.now - timedelta(days=1),
                started_at=clock.now - timedelta(days=1),
                scanned_at=clock.now - timedelta(days=1),
                counts={"due": 0},
            )
        )
    services.close()


def open_vault(home: Path, clock: Clock, sink: str, *, new: bool = False) -> Services:
    settings = load_settings(home, outbound_private=LOOPBACK, heartbeat_url=f"http://{sink}/beat")
    if new:
        copy_vault(settings, clock)
    return Services(settings, clock)


def run_night(services: Services) -> str | None:
    """What a night by hand does, but for its waiting: how it ended."""
    slot = services.clock()
    services.night.resume_sweep.carry_on()
    services.night.nights.begin(slot)
    for _ in range(200):
        with services.database.read() as connection:
            due = due_rotations(connection, services.clock())
        if not due:
            break
        for rotation_id in due:
            advance(services, rotation_id)
    else:
        raise AssertionError("it does not come to rest")
    outcome = services.night.nights.close(slot)
    services.notices.delivery.deliver()
    for name in services.notices.heartbeat.waiting():
        services.notices.heartbeat.send(name)
    return outcome


def _add_item(services: Services, name: str, days: float, owner: str, **policy: Any) -> None:
    with services.database.write() as connection:
        services.vault.create(
            connection,
            name=name,
            value=None if name == KEY else Secret(f"the first value of {name}"),
            owner_ids=(services.owners.get(connection, owner).id,),
            expires_at=services.clock() + timedelta(days=days),
            policy=build_policy(None, policy),
            actor="test",
        )


def _workflow(item: str, sink: str) -> dict[str, Any]:
    """It calls the sink, and runs at nine each day."""
    return {
        "name": item,
        "schedule_type": "daily",
        "schedule_value": "09:00",
        "nodes": [
            {"id": "start", "type": "trigger", "data": {"componentId": "schedule_trigger"}},
            {
                "id": "use",
                "type": "action",
                "data": {
                    "componentId": "webhook",
                    "method": "POST",
                    "url": f"http://{sink}/use",
                    "headers": {"Authorization": f"Bearer {{{{ vault.{item} }}}}"},
                },
            },
        ],
        "edges": [{"id": "e1", "source": "start", "target": "use"}],
    }


@dataclass(frozen=True)
class Damage:
    """`plain`: a value that one of us could have written there, which nobody can tell from another."""

    table: str
    column: str
    value: Any
    kind: str
    plain: bool = False

    def __str__(self) -> str:
        return f"{self.table}.{self.column}-{self.kind}"


def every_damage() -> Iterator[Damage]:
    """Each column of each table, in each way that its type knows."""
    for table in metadata.sorted_tables:
        for column in table.columns:
            for kind, value, plain in _kinds(column):
                yield Damage(table.name, column.name, value, kind, plain)


def _kinds(column: Column[Any]) -> Iterator[tuple[str, Any, bool]]:
    if column.nullable:
        yield "null", NULL, True
    if isinstance(column.type, UtcDateTime):
        yield "word", "garbage", False
        yield "empty", "", False
        yield "number", 12345, False
        yield "no-day", "2026-02-31 00:00:00.000000", False
        yield "year-1", "0001-01-01 00:00:00.000000", False
        yield "year-9999", "9999-12-31 23:59:59.999999", True
    elif isinstance(column.type, Boolean):
        yield "word", "garbage", False
        yield "seven", 7, False
    elif isinstance(column.type, Integer):
        yield "word", "garbage", False
        yield "negative", -1, False
        yield "huge", 2**63 - 1, True
    elif isinstance(column.type, JSON):
        any_shape = column.info.get("shape") == "any"
        yield "cut", '{"a": ', False
        yield "shape", '"a word"', any_shape
        yield "deep", DEEP, False
    elif isinstance(column.type, LargeBinary):
        yield "text", "garbage", False
        yield "empty", b"", True
    else:
        limited = isinstance(column.type, String) and column.type.length is not None
        yield "bytes", b"\xff\x00", False
        yield "empty", "", not limited or bool(column.info.get("may_be_empty"))
        yield "word", "garbage", "one_of" not in column.info


def do_damage(file: Path, damage: Damage) -> bool:
    """Behind the vault's back, to the row that matters most; False: the database itself refuses it, or there is
    no such row.
    """
    database = sqlite3.connect(file, isolation_level=None)
    try:
        return _write(database, damage, _find_row(database, damage.table))
    finally:
        database.close()


@contextmanager
def damaged(file: Path, damage: Damage) -> Iterator[bool]:
    """As `do_damage`, and put right afterwards."""
    database = sqlite3.connect(file, isolation_level=None)
    row = _find_row(database, damage.table)
    before = database.execute(
        f'SELECT "{damage.column}" FROM "{damage.table}" WHERE rowid = ?', (row,)
    ).fetchone()
    try:
        yield _write(database, damage, row)
    finally:
        if before is not None:
            database.execute(
                f'UPDATE "{damage.table}" SET "{damage.column}" = ? WHERE rowid = ?', (before[0], row)
            )
        database.close()


def is_still_there(file: Path, damage: Damage) -> bool:
    database = sqlite3.connect(file)
    column = f'"{damage.column}"'
    value = None if damage.value is NULL else damage.value
    found = database.execute(f'SELECT 1 FROM "{damage.table}" WHERE {column} IS ?', (value,)).fetchone()
    database.close()
    return found is not None


def _write(database: sqlite3.Connection, damage: Damage, row: int) -> bool:
    value = None if damage.value is NULL else damage.value
    try:
        changed = database.execute(
            f'UPDATE "{damage.table}" SET "{damage.column}" = ? WHERE rowid = ?', (value, row)
        )
    except sqlite3.IntegrityError:
        return False
    return changed.rowcount == 1


def _find_row(database: sqlite3.Connection, table: str) -> int:
    found = database.execute(_row(table)).fetchone()
    return 0 if found is None else found[0]


def _row(table: str) -> str:
    """Which one: of the item that is to be damaged, or else of what is still open."""
    item = f"(SELECT id FROM items WHERE name = '{DAMAGED}')"
    moving = f"(SELECT id FROM items WHERE name = '{MOVING}')"
    where = {
        "items": f"name = '{DAMAGED}'",
        "versions": f"item_id = {item}",
        "item_references": f"item_id = {item} AND consumer = 'workflow'",
        "item_owners": f"item_id = {item}",
        "workflows": f"name = '{DAMAGED}'",
        "owners": "name = 'crm-team'",
        "routes": "shown = 'json://crm-team'",
        "runs": "completed_at IS NULL",
        "rotations": f"item_id = {moving} AND finished_at IS NULL",
        "notices": "dedupe_key = 'of the test'",
        "deliveries": "notice_id = (SELECT id FROM notices WHERE dedupe_key = 'of the test')",
        "heartbeats": "state = 'waiting'",
        "sweeps": "done_at IS NULL",
        "findings": "resolved_at IS NULL",
    }.get(table, "1")
    return f'SELECT rowid FROM "{table}" WHERE {where} ORDER BY rowid DESC LIMIT 1'
