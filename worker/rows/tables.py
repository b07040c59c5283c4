"""The worker's tables, beside the vault's in one database.

Every row that a process may hold has a lease and, where it is written back, a fence: who lost the
lease cannot commit. Ids of items stand without foreign keys: a record outlives what it is about.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypedColumns,
    false,
    text,
)

from vaultcore.errors import Cause
from vaultcore.old_sentences import undo_reason
from vaultcore.tables import UtcDateTime, metadata
from worker.domain.drift import Result
from worker.domain.findings import FindingKind
from worker.domain.places import Place
from worker.domain.saga import State
from worker.domain.states import Beat, BeatState, DeliveryState, NightOutcome, RunPurpose


class WorkflowColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    name: Named[str] = Column(String(200), unique=True)
    skeleton: Named[str | None] = Column(Text, index=True)
    given_id: Named[str | None] = Column(String(200))
    document: Named[str] = Column(Text, info={"json_text": True})
    runs: Named[str] = Column(String(10), info={"one_of": Place})
    stays_away: Named[bool] = Column(Boolean, server_default=false())
    critical: Named[bool] = Column(Boolean, server_default=false())
    active: Named[bool] = Column(Boolean)
    schedule_type: Named[str] = Column(String(10))
    schedule_value: Named[str | None] = Column(String(100))
    next_run_at: Named[datetime | None] = Column(UtcDateTime)
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


workflows = Table(
    "workflows",
    metadata,
    WorkflowColumns,
    info={
        "decides": (
            "name",
            "given_id",
            "document",
            "runs",
            "stays_away",
            "critical",
            "active",
            "schedule_type",
            "schedule_value",
        )
    },
)
"""`document` is the text as it was given; `given_id` the id that it has there, where that is none of ours.
`runs` says where it runs, `stays_away` that somebody said so; the rest is what the document says."""

Index(
    "uq_workflows_given_id",
    workflows.c.given_id,
    unique=True,
    sqlite_where=text("given_id IS NOT NULL"),
    postgresql_where=text("given_id IS NOT NULL"),
)
Index(
    "ix_workflows_next_run",
    workflows.c.next_run_at,
    sqlite_where=text("next_run_at IS NOT NULL"),
    postgresql_where=text("next_run_at IS NOT NULL"),
)


class RunColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    workflow_id: Named[str] = Column(String(40), ForeignKey("workflows.id"))
    workflow_name: Named[str] = Column(String(200))
    purpose: Named[str] = Column(String(10), info={"one_of": RunPurpose})
    trigger: Named[str] = Column(String(10))
    external_id: Named[str | None] = Column(String(200))
    rotation_id: Named[str | None] = Column(String(40))
    parent_id: Named[str | None] = Column(String(40))
    depth: Named[int] = Column(Integer, server_default="0")
    status: Named[str] = Column(String(30))
    error_message: Named[str | None] = Column(Text)
    error_node: Named[str | None] = Column(String(100))
    error_cause: Named[str | None] = Column(String(10), info={"one_of": Cause})
    created_at: Named[datetime] = Column(UtcDateTime)
    started_at: Named[datetime | None] = Column(UtcDateTime)
    completed_at: Named[datetime | None] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


runs = Table(
    "runs",
    metadata,
    RunColumns,
    info={
        "decides": (
            "workflow_id",
            "purpose",
            "trigger",
            "external_id",
            "rotation_id",
            "parent_id",
            "depth",
            "status",
            "error_node",
            "error_cause",
            "started_at",
            "completed_at",
        ),
        "generation": 2,
    },
)
"""`parent_id`: the run that began this one; `depth`: how many there were before it, each begun by another."""

Index("ix_runs_workflow", runs.c.workflow_id, runs.c.started_at)
Index(
    "ix_runs_open",
    runs.c.created_at,
    sqlite_where=text("completed_at IS NULL"),
    postgresql_where=text("completed_at IS NULL"),
)


Index(
    "uq_runs_external",
    runs.c.external_id,
    unique=True,
    sqlite_where=text("external_id IS NOT NULL"),
    postgresql_where=text("external_id IS NOT NULL"),
)


class RunLogColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    run_id: Named[str] = Column(String(40), ForeignKey("runs.id"), index=True)
    node_id: Named[str] = Column(String(100))
    component_id: Named[str] = Column(String(100))
    status: Named[str] = Column(String(10))
    output: Named[Any] = Column(JSON, info={"shape": "any"})
    created_at: Named[datetime] = Column(UtcDateTime)


run_logs = Table("run_logs", metadata, RunLogColumns)


class RunStateColumns(TypedColumns):
    run_id: Named[str] = Column(String(40), ForeignKey("runs.id"), primary_key=True)
    kept_at: Named[datetime] = Column(UtcDateTime)
    resume_at: Named[datetime] = Column(UtcDateTime, index=True)
    key_id: Named[str] = Column(String(32))
    wrapped_key: Named[bytes] = Column(LargeBinary)
    record: Named[bytes] = Column(LargeBinary)


run_states = Table("run_states", metadata, RunStateColumns)
"""What a run needs to go on, sealed, since its outputs may hold values: of one that waits, and of one that
another run has opened and nobody has begun. Whoever goes on takes it away, and it never outlives its run."""


class RunVersionColumns(TypedColumns):
    run_id: Named[str] = Column(String(40), ForeignKey("runs.id"))
    item_id: Named[str] = Column(String(40))
    number: Named[int] = Column(Integer)
    mac: Named[bytes | None] = Column(LargeBinary(32))


run_versions = Table(
    "run_versions",
    metadata,
    RunVersionColumns,
    PrimaryKeyConstraint("run_id", "item_id"),
    info={"decides": ("number",), "generation": 2},
)
"""Which version of each item the run resolved at its start and one of its nodes then used."""


class SweepColumns(TypedColumns):
    job: Named[str] = Column(String(20))
    slot: Named[datetime] = Column(UtcDateTime)
    lease_until: Named[datetime] = Column(UtcDateTime)
    started_at: Named[datetime] = Column(UtcDateTime)
    scanned_at: Named[datetime | None] = Column(UtcDateTime)
    done_at: Named[datetime | None] = Column(UtcDateTime)
    outcome: Named[str | None] = Column(String(10), info={"one_of": NightOutcome})
    by_hand: Named[bool] = Column(Boolean, server_default=false())
    counts: Named[dict[str, Any]] = Column(JSON)
    problems: Named[list[dict[str, Any]]] = Column(JSON, server_default="[]", info={"shape": "array"})


sweeps = Table("sweeps", metadata, SweepColumns, PrimaryKeyConstraint("job", "slot"))
"""One row for each scheduled time of a job, and for each time that it was done `by_hand`. `problems`: what was
wrong when it had ended."""


class FindingColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    kind: Named[str] = Column(String(20), info={"one_of": FindingKind})
    subject: Named[str] = Column(String(250))
    item_id: Named[str | None] = Column(String(40), index=True)
    item: Named[str | None] = Column(String(60))
    workflow: Named[str | None] = Column(String(200))
    level: Named[int] = Column(Integer)
    topic: Named[str] = Column(String(100))
    deadline: Named[datetime | None] = Column(UtcDateTime)
    detail: Named[dict[str, Any]] = Column(JSON)
    does: Named[dict[str, Any] | None] = Column(JSON(none_as_null=True))
    command: Named[str | None] = Column(Text)
    opened_at: Named[datetime] = Column(UtcDateTime)
    seen_at: Named[datetime] = Column(UtcDateTime)
    resolved_at: Named[datetime | None] = Column(UtcDateTime)
    quiet_until: Named[datetime | None] = Column(UtcDateTime)
    quiet_level: Named[int | None] = Column(Integer)
    quiet_by: Named[str | None] = Column(String(100))
    quiet_why: Named[str | None] = Column(Text)


findings = Table("findings", metadata, FindingColumns)
"""One open row per subject and kind. `does` is what Nightkey does about it by itself, `command` what a person
can, and `detail` what was seen: both but the command are codes (`worker.domain.reasons`). What is found of one
expiry, the `deadline`, is one `topic`, however it is seen; else each finding is."""

Index(
    "uq_findings_open",
    findings.c.kind,
    findings.c.subject,
    unique=True,
    sqlite_where=text("resolved_at IS NULL"),
    postgresql_where=text("resolved_at IS NULL"),
)
Index(
    "ix_findings_topic",
    findings.c.topic,
    sqlite_where=text("resolved_at IS NULL"),
    postgresql_where=text("resolved_at IS NULL"),
)


class TellingColumns(TypedColumns):
    owner_id: Named[str] = Column(String(40), ForeignKey("owners.id"))
    topic: Named[str] = Column(String(100))
    level: Named[int] = Column(Integer)
    night: Named[datetime | None] = Column(UtcDateTime)
    at: Named[datetime] = Column(UtcDateTime)


tellings = Table("tellings", metadata, TellingColumns, PrimaryKeyConstraint("owner_id", "topic"))
"""Who was told of what, how bad it was then, and in which night's digest (none: by a notice of its own)."""

Index("ix_tellings_night", tellings.c.night, tellings.c.owner_id)


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

Index(
    "uq_rotations_open",
    rotations.c.item_id,
    unique=True,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)
Index(
    "ix_rotations_next",
    rotations.c.next_at,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)
Index("ix_rotations_night", rotations.c.night)


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
    message: Named[str] = Column(Text)
    at: Named[datetime] = Column(UtcDateTime)


rotation_steps = Table(
    "rotation_steps", metadata, RotationStepColumns, PrimaryKeyConstraint("rotation_id", "number")
)
"""The record of what was done. `message`: in words, as it was said then; nothing is decided by it."""


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
Index(
    "uq_departures_open",
    departures.c.name,
    unique=True,
    sqlite_where=text("finished_at IS NULL"),
    postgresql_where=text("finished_at IS NULL"),
)


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


class SignOfLifeColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    kind: Named[str] = Column(String(10))
    host: Named[str] = Column(String(255))
    pid: Named[int] = Column(Integer)
    started_at: Named[datetime] = Column(UtcDateTime)
    seen_at: Named[datetime] = Column(UtcDateTime)
    every_seconds: Named[int] = Column(Integer)


signs_of_life = Table("signs_of_life", metadata, SignOfLifeColumns)
"""One row for each process of a worker or of beat: seen while it works, and again within `every_seconds`."""


class HeartbeatColumns(TypedColumns):
    slot: Named[datetime] = Column(UtcDateTime)
    beat: Named[str] = Column(String(10), info={"one_of": Beat})
    text: Named[str] = Column(Text)
    state: Named[str] = Column(String(10), info={"one_of": BeatState})
    attempts: Named[int] = Column(Integer)
    next_at: Named[datetime | None] = Column(UtcDateTime)
    last_error: Named[str | None] = Column(Text)
    posted_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


heartbeats = Table(
    "heartbeats",
    metadata,
    HeartbeatColumns,
    PrimaryKeyConstraint("slot", "beat"),
    info={"decides": ("text", "state", "posted_at"), "generation": 2},
)
"""What is said of each night to whoever would notice if nothing were said."""


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
Index("ix_pickups_version", pickups.c.item_id, pickups.c.number)
Index(
    "ix_pickups_ending",
    pickups.c.arrived_at,
    sqlite_where=text("arrived_at IS NOT NULL AND ended_at IS NULL"),
    postgresql_where=text("arrived_at IS NOT NULL AND ended_at IS NULL"),
)


class NoticeColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    dedupe_key: Named[str] = Column(String(200), unique=True)
    owner_id: Named[str] = Column(String(40))
    owner: Named[str] = Column(String(100))
    kind: Named[str] = Column(String(20))
    subject: Named[str] = Column(Text)
    body: Named[str | None] = Column(Text)
    night: Named[datetime | None] = Column(UtcDateTime)
    urgent: Named[bool] = Column(Boolean, server_default=false())
    about: Named[str | None] = Column(String(40))
    routed: Named[bool] = Column(Boolean, server_default=false())
    pickup_id: Named[str | None] = Column(String(40), info={"digested_as": "claim_id"})
    created_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


notices = Table(
    "notices",
    metadata,
    NoticeColumns,
    info={
        "decides": (
            "dedupe_key",
            "owner_id",
            "owner",
            "kind",
            "subject",
            "body",
            "night",
            "urgent",
            "about",
            "pickup_id",
        ),
        "generation": 2,
    },
)
"""One message to one owner, in Markdown. The digest of a `night` has no body until it leaves, so that it says
how things stand then. `about` is what it asks for: when that is settled, the notice is withdrawn. `routed`: it
has its deliveries, or needs none."""
Index(
    "ix_notices_unrouted",
    notices.c.owner_id,
    sqlite_where=text("NOT routed"),
    postgresql_where=text("NOT routed"),
)
Index(
    "ix_notices_about",
    notices.c.about,
    sqlite_where=text("about IS NOT NULL"),
    postgresql_where=text("about IS NOT NULL"),
)


class DeliveryColumns(TypedColumns):
    notice_id: Named[str] = Column(String(40), ForeignKey("notices.id"))
    route_id: Named[str] = Column(String(40))
    recipient: Named[str] = Column(String(320), server_default="", info={"may_be_empty": True})
    shown: Named[str] = Column(Text)
    stands_in: Named[bool] = Column(Boolean, server_default=false())
    state: Named[str] = Column(String(10), info={"one_of": DeliveryState})
    attempts: Named[int] = Column(BigInteger)
    last_error: Named[str | None] = Column(Text)
    next_at: Named[datetime | None] = Column(UtcDateTime)
    tried_at: Named[datetime | None] = Column(UtcDateTime)
    sent_at: Named[datetime | None] = Column(UtcDateTime)
    parts_taken: Named[int] = Column(Integer, server_default="0")
    draft: Named[dict[str, str] | None] = Column(JSON(none_as_null=True))
    mac: Named[bytes | None] = Column(LargeBinary(32))


deliveries = Table(
    "deliveries",
    metadata,
    DeliveryColumns,
    PrimaryKeyConstraint("notice_id", "route_id", "recipient"),
    info={"decides": ("stands_in", "state", "draft"), "generation": 2},
)
"""The outbox proper: one row per notice and recipient of a route, tried by itself. `next_at` is also its lease.
`recipient` is empty where the route leads to one place, or nobody has looked yet whom it leads to. `stands_in`:
the route of a deputy or the operators, for an owner whom none of their own has reached. Of a message that is
too long for its service, the first `parts_taken` parts were taken, cut from the text that `draft` keeps."""

Index(
    "ix_deliveries_failed",
    deliveries.c.tried_at,
    sqlite_where=text("state = 'failed'"),
    postgresql_where=text("state = 'failed'"),
)
Index(
    "ix_deliveries_next",
    deliveries.c.next_at,
    sqlite_where=text("state = 'waiting'"),
    postgresql_where=text("state = 'waiting'"),
)


class RestorationColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    how: Named[str] = Column(String(10))
    at: Named[datetime] = Column(UtcDateTime)
    made_at: Named[datetime | None] = Column(UtcDateTime)
    seq: Named[int] = Column(BigInteger)
    by: Named[str] = Column(String(100))


restorations = Table("restorations", metadata, RestorationColumns)
"""This database was put back: from a backup `made_at` some time (`restored`), or by hand, which somebody then
told (`adopted`). `seq`: the last row of its audit log then."""


class ComparisonColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), primary_key=True)
    restoration_id: Named[str] = Column(String(40), ForeignKey("restorations.id"))
    result: Named[str] = Column(String(20), info={"one_of": Result})
    detail: Named[dict[str, Any]] = Column(JSON)
    next_at: Named[datetime] = Column(UtcDateTime)
    compared_at: Named[datetime | None] = Column(UtcDateTime)
    settled_at: Named[datetime | None] = Column(UtcDateTime)
    settled_by: Named[str | None] = Column(String(100))
    mac: Named[bytes | None] = Column(LargeBinary(32))


comparisons = Table(
    "comparisons",
    metadata,
    ComparisonColumns,
    info={"decides": ("restoration_id", "result", "settled_at", "settled_by"), "generation": 3},
)
"""One row per item of a vault that was put back: what its target accepts. Until it is settled, by agreement or
by a person, nothing of the item is rotated or revoked."""

Index(
    "ix_comparisons_open",
    comparisons.c.next_at,
    sqlite_where=text("settled_at IS NULL"),
    postgresql_where=text("settled_at IS NULL"),
)


class HeldPlaceColumns(TypedColumns):
    place: Named[str] = Column(String(64), primary_key=True)
    asked_at: Named[datetime] = Column(UtcDateTime)
    until: Named[datetime] = Column(UtcDateTime)


held_places = Table("held_places", metadata, HeldPlaceColumns)
"""Hosts that asked not to be called for a while, by `Retry-After` or by a limit that is used up: no worker does
before. `place` is a digest: a host's name that a template makes may hold a value."""


class RowCheckColumns(TypedColumns):
    id: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    table_name: Named[str | None] = Column(String(40))
    key: Named[list[str | int] | None] = Column(JSON(none_as_null=True), info={"shape": "array"})
    begun_at: Named[datetime] = Column(UtcDateTime)
    whole_at: Named[datetime | None] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


row_checks = Table("row_checks", metadata, RowCheckColumns, info={"decides": ("table_name", "key", "begun_at")})
"""One row: where the nights' check of all rows that decide has come to (the primary key of the last one that
was looked at), when this round of it began, and when one last came to its end."""
