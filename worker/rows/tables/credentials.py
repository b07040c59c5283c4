"""Whether credentials still work: what was asked of each, and who asks at which target now."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Integer,
    LargeBinary,
    Named,
    String,
    Table,
    TypedColumns,
    false,
)

from vaultcore.tables import UtcDateTime, metadata
from worker.domain.credential_checks import CheckOutcome


class CredentialCheckColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), primary_key=True)
    next_at: Named[datetime] = Column(UtcDateTime)
    number: Named[int | None] = Column(Integer)
    outcome: Named[str | None] = Column(String(20), info={"one_of": CheckOutcome})
    checked_at: Named[datetime | None] = Column(UtcDateTime)
    detail: Named[dict[str, Any] | None] = Column(JSON)
    outages: Named[int] = Column(Integer, server_default="0")
    night: Named[datetime | None] = Column(UtcDateTime)
    target: Named[str | None] = Column(String(300))
    waits: Named[bool] = Column(Boolean, server_default=false())
    begun: Named[int] = Column(Integer, server_default="0")
    mac: Named[bytes | None] = Column(LargeBinary(32))


credential_checks = Table(
    "credential_checks",
    metadata,
    CredentialCheckColumns,
    info={"decides": ("next_at", "number", "outcome", "checked_at")},
)
"""One row for each item whose rotator might ask: of which version (`number`) was asked last, and what was said.
`night` has chosen it last, for its turn at `target`, and it `waits` for that until it has had it, or another
night will choose it; `begun`: how often somebody has begun since, and did not come back."""


class CheckTurnColumns(TypedColumns):
    target: Named[str] = Column(String(300), primary_key=True)
    item_id: Named[str] = Column(String(40))
    holder: Named[str] = Column(String(40))
    lease_until: Named[datetime] = Column(UtcDateTime)


check_turns = Table("check_turns", metadata, CheckTurnColumns)
"""Who asks a target now: one at a time. `holder` is another for each turn; who lost it commits nothing."""
