"""Findings that a person knows of, as rows: named, and quiet until they get worse."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, and_, delete, or_, select, update

from worker.domain.findings import FindingKind
from worker.rows.tables import findings, tellings


@dataclass(frozen=True, kw_only=True)
class NamedFinding:
    """A finding as a person names it: `about` is its item, or else its subject."""

    id: str
    kind: str
    about: str
    level: int
    topic: str


def find_open(connection: Connection, finding_id: str) -> NamedFinding | None:
    """Nobody else changes it in this transaction."""
    row = connection.execute(
        select(findings).where(findings.c.id == finding_id, findings.c.resolved_at.is_(None)).with_for_update()
    ).one_or_none()
    if row is None:
        return None
    return NamedFinding(
        id=row.id, kind=row.kind, about=row.item or row.subject, level=row.level, topic=row.topic
    )


def quieten(
    connection: Connection, finding: NamedFinding, *, until: datetime | None, by: str, why: str
) -> None:
    """At the level at which it is now. What is put off is told again when its time is over."""
    connection.execute(
        update(findings)
        .where(findings.c.id == finding.id)
        .values(quiet_until=until, quiet_level=finding.level, quiet_by=by, quiet_why=why)
    )
    if until is not None:
        connection.execute(delete(tellings).where(tellings.c.topic == finding.topic))


def is_quiet(now: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    """Known to a person at the level at which it is. What has lapsed gets no worse by another day."""
    return and_(
        findings.c.quiet_level.is_not(None),
        or_(findings.c.quiet_until.is_(None), findings.c.quiet_until > now),
        or_(findings.c.level <= findings.c.quiet_level, findings.c.kind == FindingKind.LAPSED.value),
    )
