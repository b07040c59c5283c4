"""Rotations: their steps, checks and answers, who left, and keys that wait to be collected."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypedColumns,
    false,
)

from vaultcore.errors import Cause
from vaultcore.old_sentences import undo_reason
from vaultcore.tables import UtcDateTime, metadata
from worker.domain.saga import State


class RotationColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    item_id: Named[str] = Column(String(40), index=True)
    item: Named[str] = Column(String(50))
    rotator: Named[str] = Column(String(60), info={"may_be_empty": True})
    target: Named[str | None] = Column(String(250), info={"digested_as": "counterpart"})
    state: Named[str] = Column(String(20), info={"one_of": State})
    stuck_in: Named[str | None] = Column(String(20), info={"one_of": State})
    reason: Named[dict[str, Any]] = Column(JSON)
    asked_by: Named[str] = Column(String(100))
    approved_by: Named[str | None] = Column(String(100))
    request_digest: Named[str | None] = Column(String(64))
    emergency: Named[bool] = Column(Boolean, server_default=false(), info={"digested_as": "hurried"})
    gated: Named[bool] = Column(Boolean, server_default=false())
    night: Named[datetime | None] = Column(UtcDateTime)
    told_night: Named[datetime | None] = Column(UtcDateTime)
    old_number: Named[int] = Column(Integer)
    new_number: Named[int | None] = Column(Integer)
    candidates: Named[int] = Column(Integer, server_default="0")
    issuing: Named[bool] = Column(Boolean, server_default=false())
    late_until: Named[datetime | None] = Column(UtcDateTime)
    shown_by: Named[str | None] = Column(String(250))
    one_way: Named[bool] = Column(Boolean, server_default=false())
    old_dead: Named[bool] = Column(Boolean, server_default=false())
    attempts: Named[int] = Column(Integer)
    outages: Named[int] = Column(Integer, server_default="0")
    failing_since: Named[datetime | None] = Column(UtcDateTime)
    polls: Named[int] = Column(Integer, server_default="0")
    propagating_since: Named[datetime | None] = Column(UtcDateTime, info={"digested_as": "settling_since"})
    last_cause: Named[str | None] = Column(String(10), info={"one_of": Cause})
    last_error: Named[dict[str, Any] | None] = Column(JSON(none_as_null=True))
    waits_for: Named[list[dict[str, Any]]] = Column(JSON, info={"shape": "array"})
    next_at: Named[datetime | None] = Column(UtcDateTime)
    lease_until: Named[datetime | None] = Column(UtcDateTime)
    touched_at: Named[datetime | None] = Column(UtcDateTime)
    fence: Named[int] = Column(Integer)
    leases_lost: Named[int] = Column(Integer, server_default="0")
    created_at: Named[datetime] = Column(UtcDateTime)
    activated_at: Named[datetime | None] = Column(UtcDateTime)
    canary_id: Named[str | None] = Column(String(40))
    widened_at: Named[datetime | None] = Column(UtcDateTime)
    overlap_until: Named[datetime | None] = Column(UtcDateTime)
    finished_at: Named[datetime | None] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


rotations = Table(
    "rotations",
    metadata,
    RotationColumns,
    info={
        "decides": (
            "item_id",
            "rotator",
            "target",
            "state",
            "stuck_in",
            "reason",
            "asked_by",
            "approved_by",
            "request_digest",
            "emergency",
            "gated",
            "old_number",
            "new_number",
            "issuing",
            "late_until",
            "shown_by",
            "one_way",
            "old_dead",
            "activated_at",
            "canary_id",
            "widened_at",
            "overlap_until",
            "finished_at",
        ),
        "before": {4: undo_reason},
    },
)
"""`told_night`: the night in whose digest its owners read of it. `stuck_in`: the state in which it got stuck.
`gated`: windows and freezes hold for it. `issuing`: the other side was asked for a value and its answer is
not recorded; such a request may take effect up to `late_until`. `candidates`: replacements that were thrown
away. `attempts` are the tries of the present step, `outages` those of them that say nothing of the value,
`polls` those of a value that is not accepted yet. `shown_by`: the check that was shown able to fail and has
accepted the new value; `one_way`: the old value stopped working when the new one was issued. `canary_id`:
the workflow that moves first; the others move at `widened_at`. `reason`, `last_error` and `waits_for` are
codes with their parameters (`worker.domain.reasons`). `touched_at`: when its present step was
leased, by the clock that then set `next_at`."""


class CheckColumns(TypedColumns):
    digest: Named[str] = Column(String(64), primary_key=True)
    subject: Named[str] = Column(String(250))
    tells_apart: Named[bool] = Column(Boolean)
    asked_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


checks = Table("checks", metadata, CheckColumns, info={"decides": ("subject", "tells_apart", "asked_at")})
"""A check of values, by a digest of its target and settings, and whether it refused one that was made up."""


class RotationStepColumns(TypedColumns):
    rotation_id: Named[str] = Column(String(40), ForeignKey("rotations.id"))
    number: Named[int] = Column(Integer)
    step: Named[str] = Column(String(20))
    result: Named[str] = Column(String(10))
    cause: Named[str | None] = Column(String(10))
    said: Named[list[dict[str, Any]]] = Column(JSON, info={"shape": "array"})
    at: Named[datetime] = Column(UtcDateTime)


rotation_steps = Table(
    "rotation_steps", metadata, RotationStepColumns, PrimaryKeyConstraint("rotation_id", "number")
)
"""The record of what was done. `said`: what it came to, as reasons; nothing is decided by it."""


class WaiverColumns(TypedColumns):
    rotation_id: Named[str] = Column(String(40), ForeignKey("rotations.id"))
    workflow_id: Named[str] = Column(String(40))
    by: Named[str] = Column(String(100))
    why: Named[str] = Column(Text)
    at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


waivers = Table(
    "waivers",
    metadata,
    WaiverColumns,
    PrimaryKeyConstraint("rotation_id", "workflow_id"),
    info={"decides": ("by", "why", "at")},
)
"""Somebody answers for a consumer that was not proven on the new value."""


class DepartureColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    name: Named[str] = Column(String(100))
    asked_by: Named[str] = Column(String(100))
    emergency: Named[bool] = Column(Boolean, info={"digested_as": "hurried"})
    began_at: Named[datetime] = Column(UtcDateTime)
    finished_at: Named[datetime | None] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


departures = Table(
    "departures",
    metadata,
    DepartureColumns,
    info={"decides": ("name", "asked_by", "emergency", "began_at", "finished_at"), "generation": 2},
)
"""Somebody left: what they could read is replaced. At most one open departure per name."""


class DepartureItemColumns(TypedColumns):
    departure_id: Named[str] = Column(String(40), ForeignKey("departures.id"))
    position: Named[int] = Column(Integer)
    item_id: Named[str] = Column(String(40))
    item: Named[str] = Column(String(50))
    number: Named[int] = Column(Integer)
    mac: Named[bytes | None] = Column(LargeBinary(32))


departure_items = Table(
    "departure_items",
    metadata,
    DepartureItemColumns,
    PrimaryKeyConstraint("departure_id", "position"),
    info={"decides": ("item_id", "item", "number"), "generation": 2},
)
"""What is to be replaced, in order: done when no version up to `number` is left."""


class PickupColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    item_id: Named[str] = Column(String(40))
    number: Named[int] = Column(Integer)
    rotation_id: Named[str | None] = Column(String(40), index=True)
    created_at: Named[datetime] = Column(UtcDateTime)
    expires_at: Named[datetime | None] = Column(UtcDateTime)
    taken_by: Named[str | None] = Column(String(100))
    taken_at: Named[datetime | None] = Column(UtcDateTime)
    arrived_at: Named[datetime | None] = Column(UtcDateTime, info={"digested_as": "claimed_at"})
    ended_at: Named[datetime | None] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


pickups = Table(
    "pickups",
    metadata,
    PickupColumns,
    info={
        "decides": (
            "item_id",
            "number",
            "rotation_id",
            "created_at",
            "expires_at",
            "taken_by",
            "taken_at",
            "arrived_at",
            "ended_at",
        ),
        "digested_as": "claims",
        "generation": 2,
    },
)
"""A pickup: somebody collects a generated key by a token, which is derived and never stored.

Without a `rotation_id` it is of an item's first key. `taken_by` is whom it is kept for, from before it was
first shown to them; `arrived_at` is when it had arrived: written, or presented by a caller. Until `ended_at`
the key is kept sealed; from then on there is nothing to collect."""
