"""Nights, what they found, and who was told of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypedColumns,
    false,
)

from vaultcore.tables import UtcDateTime, metadata
from worker.domain.findings import FindingKind
from worker.domain.states import NightOutcome


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
"""One row for each night, at its scheduled time or `by_hand`; `problems`: what was wrong when it had ended. Two
other jobs have rows here, too: the lease on the resume sweep, and a count of each day of messages set aside.
"""


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


class TellingColumns(TypedColumns):
    owner_id: Named[str] = Column(String(40), ForeignKey("owners.id"))
    topic: Named[str] = Column(String(100))
    level: Named[int] = Column(Integer)
    night: Named[datetime | None] = Column(UtcDateTime)
    at: Named[datetime] = Column(UtcDateTime)


tellings = Table("tellings", metadata, TellingColumns, PrimaryKeyConstraint("owner_id", "topic"))
"""Who was told of what, how bad it was then, and in which night's digest (none: by a notice of its own)."""
