"""Many items that nobody created one by one: rows as the vault writes them, with their digests, all at once."""

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from vaultcore.database import Database
from vaultcore.labels import join_labels, read_labels
from vaultcore.model import Kind, Label, Mode, Policy
from vaultcore.rows import derived_columns
from vaultcore.tables import item_labels, item_owners, items, owners, references, versions
from worker.domain.reasons import Code, Reason, store_reason
from worker.rows.tables import rotations, workflows

OWNERS = 40
WORKFLOWS = 200
_MODES = tuple(Mode)
_AT_ONCE = 5_000


def fill(database: Database, number: int, now: datetime) -> None:
    """`number` items of owners `team-00` to `team-39`: the first has half of all. Each hundredth is being
    rotated, each is used by one of 200 workflows, `fl_` and a number, and one in eleven never lapses. Their
    labels are as `labels_on` has them.
    """
    with database.write() as connection:
        connection.execute(
            insert(owners),
            [
                {"id": make_id("own", n), "name": f"team-{n:02d}", "zone": "UTC", "created_at": now}
                | {"skeleton": None, "quiet": None, "deputy_id": None}
                for n in range(OWNERS)
            ],
        )
        connection.execute(insert(workflows), [_workflow(n, now) for n in range(WORKFLOWS)])
    for start in range(0, number, _AT_ONCE):
        some = range(start, min(start + _AT_ONCE, number))
        with database.write() as connection:
            connection.execute(insert(items), [_item(n, number, now) for n in some])
            connection.execute(insert(versions), [_version(n, number, now) for n in some])
            connection.execute(insert(item_owners), [_owned(n, number) for n in some])
            connection.execute(insert(item_labels), [row for n in some for row in _labelled(n, number)])
            connection.execute(insert(references), [_reference(n, now) for n in some])
            connection.execute(insert(rotations), [_rotation(n, now) for n in some if n % 100 == 0])
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")


def owner_of(n: int, number: int) -> int:
    """Half belong to the first; then come blocks, and the last quarter is mixed."""
    if n < number // 2:
        return 0
    if n < number // 2 + number // 4:
        return 1 + (n - number // 2) * 9 // (number // 4)
    return 10 + n % (OWNERS - 10)


def labels_on(n: int, number: int) -> tuple[Label, ...]:
    """`env=prod` is on half of all, `tier=core` on a block of a tenth, `audit=yes` on one in 400, and `team` on
    each, with one of 40 values.
    """
    labels = {"env": "prod" if n % 2 else "stage", "team": f"team-{n * 31 % OWNERS:02d}"}
    if number * 6 // 10 <= n < number * 7 // 10:
        labels["tier"] = "core"
    if n % 400 == 7:
        labels["audit"] = "yes"
    return read_labels(labels)


def make_id(kind: str, n: int) -> str:
    return f"{kind}_01k{n:07d}{n:016d}"


def _item(n: int, number: int, now: datetime) -> dict[str, Any]:
    mode = _MODES[n % 3]
    policy = Policy(
        mode=mode,
        stated=True,
        rotator=None if mode is Mode.NOTIFY else ("http", "random", "ssh-key")[n % 7 % 3],
        settings={"url": f"https://service-{n % 500}.example/tokens", "kept": "x" * 300},
        lifetime=timedelta(days=90),
    )
    shuffled = n * 7919 % number
    expires_at = _expiry(n, number, now)
    name = f"{('prod', 'stage', 'dev')[shuffled % 3]}-service-{shuffled}-token"
    return {
        "id": make_id("vlt", n),
        "name": name,
        "kind": Kind.SECRET.value,
        "created_at": now - timedelta(days=400) + timedelta(seconds=n),
        "updated_at": now - timedelta(days=30) + timedelta(seconds=n * 31 % number),
        "hold_until": now + timedelta(days=1) if n % 500 == 1 else None,
        "first_owner": f"team-{owner_of(n, number):02d}",
        "owned_by": make_id("own", owner_of(n, number)),
        "labelled": join_labels(labels_on(n, number)),
        **derived_columns(
            make_id("vlt", n), name, Kind.SECRET, owned=True, policy=policy, expires_at=expires_at
        ),
    }


def _workflow(n: int, now: datetime) -> dict[str, Any]:
    begins = {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}}
    document = {"name": f"workflow {n}", "nodes": [begins], "edges": [], "is_active": True}
    return {
        "id": make_id("fl", n), "name": f"workflow {n}", "document": json.dumps(document), "runs": "here",
        "stays_away": False, "critical": False, "active": True, "schedule_type": "manual",
        "created_at": now, "updated_at": now,
    }  # fmt: skip


def _expiry(n: int, number: int, now: datetime) -> datetime | None:
    shuffled = n * 7919 % number
    return None if n % 11 == 0 else now + timedelta(minutes=(shuffled * 200_000 // number) - 5_000)


def _version(n: int, number: int, now: datetime) -> dict[str, Any]:
    return {
        "item_id": make_id("vlt", n), "number": 2, "stage": "current", "created_at": now,
        "activated_at": now - timedelta(days=30), "external": {}, "expires_at": _expiry(n, number, now),
        "key_id": "none", "wrapped_key": b"sealed", "record": b"sealed",
    }  # fmt: skip


def _owned(n: int, number: int) -> dict[str, Any]:
    return {"item_id": make_id("vlt", n), "owner_id": make_id("own", owner_of(n, number))}


def _labelled(n: int, number: int) -> list[dict[str, Any]]:
    return [{"item_id": make_id("vlt", n), **vars(label)} for label in labels_on(n, number)]


def _reference(n: int, now: datetime) -> dict[str, Any]:
    user = n % WORKFLOWS
    return {
        "consumer": "workflow", "consumer_id": make_id("fl", user), "consumer_name": f"workflow {user}",
        "active": True, "node_id": f"call-{n}", "written": make_id("vlt", n), "mentioned": False,
        "elsewhere": False, "item_id": make_id("vlt", n), "last_version": 2, "current_version": 2,
        "idle_at": now + timedelta(days=60),
    }  # fmt: skip


def _rotation(n: int, now: datetime) -> dict[str, Any]:
    state = ("watching", "stuck", "requested", "planned")[n // 100 % 4]
    return {
        "id": make_id("rot", n), "item_id": make_id("vlt", n), "item": f"item {n}", "rotator": "random",
        "state": state,
        "reason": store_reason(Reason.of(Code.BY_OWNER)), "asked_by": "test", "old_number": 2, "attempts": 0,
        "waits_for": [], "fence": 0, "created_at": now, "emergency": False, "gated": False, "issuing": False,
        "one_way": False, "old_dead": False,
    }  # fmt: skip
