"""A vault that looks like one at work, the same each time: its items, and what is known of the first."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, select, update

from tests.many_items import fill, make_id
from tests.vaults import USUAL, copy_vault
from vaultcore.database import Database
from vaultcore.tables import items, references, versions
from worker.bootstrap import Services
from worker.config import load_settings
from worker.domain.reasons import Code, Reason, store_reason, store_reasons
from worker.rows.tables import deliveries, findings, notices, rotation_steps, rotations, runs, sweeps, workflows

NOW: Final = USUAL
"""By the clock of whoever looks at it."""
_OPENED: Final = NOW - timedelta(hours=3, minutes=30)
_STEPS: Final = (
    ("admit", "done", None, ""),
    (
        "create",
        "retry",
        "outage",
        "POST https://service-0.example/tokens: 503 Service Unavailable: tried again later",
    ),
    ("create", "done", None, ""),
    ("install", "done", None, ""),
    ("verify", "done", None, ""),
    ("test nodes", "done", None, ""),
    ("activate", "done", None, ""),
    ("prove", "waits", None, "workflow 0 has not run since 2026-02-28 22:38 UTC"),
)


def furnish(home: Path, number: int) -> None:
    """`number` items; the rotation of the first is watched, and everything has been seen by a night."""
    clock: Callable[[], datetime] = lambda: NOW  # noqa: E731  # a clock
    settings = load_settings(home)
    copy_vault(settings, clock)
    services = Services(settings, clock)
    try:
        fill(services.database, number, NOW - timedelta(minutes=90))
        _add_rotation(services.database)
        _add_use(services.database)
        _add_runs(services.database)
        _add_notices(services.database)
        services.night.nights.record()
        _number_findings(services.database)
        _add_night(services.database)
    finally:
        services.close()


def _add_rotation(database: Database) -> None:
    """Of the first item, whose new value is current and is waited for."""
    item, name = make_id("vlt", 0), "prod-service-0-token"
    rotation = make_id("rot", 0)
    with database.write() as connection:
        connection.execute(
            insert(versions),
            [
                {"item_id": item, "number": 1, "stage": "previous", "created_at": NOW - timedelta(days=90)}
                | {
                    "activated_at": NOW - timedelta(days=89),
                    "superseded_at": NOW - timedelta(hours=3),
                    "external": {},
                }
                | {"key_id": "none", "wrapped_key": b"sealed", "record": b"sealed"}
            ],
        )
        connection.execute(
            update(rotations)
            .where(rotations.c.id == rotation)
            .values(
                item=name,
                old_number=1,
                new_number=2,
                created_at=_OPENED,
                activated_at=_OPENED + timedelta(minutes=8),
                waits_for=[store_reason(Reason.of(Code.OTHER, text="a run of workflow 0"))],
                next_at=NOW + timedelta(minutes=20),
                overlap_until=NOW + timedelta(days=1),
            )
        )
        connection.execute(
            insert(rotation_steps),
            [
                {"rotation_id": rotation, "number": number, "step": step, "result": result, "cause": cause}
                | {"said": _say(message), "at": _OPENED + timedelta(minutes=number)}
                for number, (step, result, cause, message) in enumerate(_STEPS, start=1)
            ],
        )


def _say(message: str) -> list[dict[str, Any]]:
    return store_reasons((Reason.of(Code.OTHER, text=message),) if message else ())


def _add_use(database: Database) -> None:
    """The rotator of the second item logs in with the third."""
    user, used = make_id("vlt", 1), make_id("vlt", 2)
    with database.write() as connection:
        name = connection.execute(select(items.c.name).where(items.c.id == user)).scalar_one()
        connection.execute(
            insert(references).values(
                consumer="rotator", consumer_id=user, consumer_name=name, active=True, node_id="rotator",
                written=used, mentioned=False, elsewhere=False, item_id=used,
            )
        )  # fmt: skip


def _add_runs(database: Database) -> None:
    """Three of workflow 0, which runs each night; one failed."""
    of_workflow = {"workflow_id": make_id("fl", 0), "workflow_name": "workflow 0", "purpose": "production"}
    failed = {"error_message": "401 Unauthorized", "error_node": "call-0", "error_cause": "rejected"}
    made: list[dict[str, Any]] = [
        {
            "id": make_id("fl_run", number),
            **of_workflow,
            "trigger": "schedule",
            "created_at": at,
            "started_at": at,
        }
        | {"completed_at": at + timedelta(seconds=2), "status": "failed" if number == 2 else "completed"}
        | (failed if number == 2 else dict.fromkeys(failed))
        for number in range(1, 4)
        for at in [NOW - timedelta(days=4 - number, hours=1)]
    ]
    with database.write() as connection:
        connection.execute(insert(runs), made)
        connection.execute(
            update(workflows)
            .where(workflows.c.id == make_id("fl", 0))
            .values(schedule_type="cron", schedule_value="0 1 * * *", next_run_at=NOW + timedelta(hours=23))
        )
        connection.execute(
            update(references)
            .where(references.c.consumer_id == make_id("fl", 0))
            .values(last_run_at=NOW - timedelta(days=1, hours=1), last_version=1)
        )


def _add_notices(database: Database) -> None:
    made = [
        {
            "id": make_id("ntc", number), "dedupe_key": str(number), "owner_id": make_id("own", number),
            "owner": f"team-{number:02d}", "kind": kind, "subject": subject,
            "body": f"## {subject}\n\nLook at it.",
            "created_at": NOW - timedelta(hours=2, minutes=number), "routed": True,
        }
        for number, (kind, subject) in enumerate(
            [("digest", "Nightkey: 3 items need you"), ("stuck", "prod-service-6-token is stuck")]
        )
    ]  # fmt: skip
    refused = {
        "state": "failed",
        "last_error": "json://hooks.example/***: 500 Internal Server Error",
        "sent_at": None,
    }
    sent = {"state": "sent", "last_error": None, "sent_at": NOW - timedelta(hours=2)}
    with database.write() as connection:
        connection.execute(insert(notices), made)
        connection.execute(
            insert(deliveries),
            [
                {"notice_id": one["id"], "route_id": make_id("rte", number), "recipient": "", "attempts": 4}
                | {"shown": "json://hooks.example/***", "next_at": None, **(refused if number else sent)}
                for number, one in enumerate(made)
            ],
        )


def _number_findings(database: Database) -> None:
    """Their ids tell when they were found, to whom they are random."""
    with database.write() as connection:
        found = connection.execute(
            select(findings.c.id).order_by(findings.c.kind, findings.c.item, findings.c.subject)
        ).scalars()
        for number, old in enumerate(found.all()):
            connection.execute(update(findings).where(findings.c.id == old).values(id=make_id("fnd", number)))


def _add_night(database: Database) -> None:
    counted = {"due": 3, "rotations": 1, "findings": 5, "retired": 0, "unreadable": 0}
    slot = NOW - timedelta(days=1)
    with database.write() as connection:
        connection.execute(
            insert(sweeps).values(
                job="night", slot=slot, lease_until=slot, started_at=slot, scanned_at=slot, done_at=slot,
                outcome="failed", counts=counted, problems=[], by_hand=False,
            )
        )  # fmt: skip
        assert connection.execute(select(items.c.id).limit(1)).first() is not None
