"""Workflows and their runs."""

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
from vaultcore.tables import UtcDateTime, metadata
from worker.domain.places import Place
from worker.domain.states import RunPurpose


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


class RunPayloadColumns(TypedColumns):
    run_id: Named[str] = Column(String(40), ForeignKey("runs.id"), primary_key=True)
    kept_at: Named[datetime] = Column(UtcDateTime)
    ends_at: Named[datetime] = Column(UtcDateTime, index=True)
    key_id: Named[str] = Column(String(32))
    wrapped_key: Named[bytes] = Column(LargeBinary)
    record: Named[bytes] = Column(LargeBinary)


run_payloads = Table("run_payloads", metadata, RunPayloadColumns)
"""What a run that has ended began with, and what its nodes gave, sealed, until `ends_at`: for who runs it
again. No value of the vault is in it, and so none outlives its version here."""


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
