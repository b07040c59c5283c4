"""Findings as rows: opened, brought up to date, resolved. It decides nothing and commits nothing."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, not_, or_, select, update

from vaultcore.database import upsert_into
from vaultcore.ids import new_id
from worker.domain.findings import Finding, FindingKind
from worker.tables import findings


def record(connection: Connection, finding: Finding, now: datetime, *, told: bool = False) -> None:
    """Opens the finding, or brings the open one up to date. `told`: its owner hears by a notice of its own."""
    seen: dict[str, Any] = {
        "level": finding.level,
        "detail": finding.detail,
        "owner_id": finding.owner_id,
        "item": finding.item,
        "workflow": finding.workflow,
        "seen_at": now,
    }
    if told:
        seen["told_level"] = finding.level
    connection.execute(
        upsert_into(connection, findings)
        .values(
            id=new_id("fnd", now),
            kind=finding.kind.value,
            subject=finding.subject,
            item_id=finding.item_id,
            opened_at=now,
            **seen,
        )
        .on_conflict_do_update(
            index_elements=["kind", "subject"],
            index_where=findings.c.resolved_at.is_(None),
            set_=seen,
        )
    )


def touch(connection: Connection, item_id: str, now: datetime) -> None:
    """What is open for an item that could not be looked at is not resolved by that."""
    connection.execute(
        update(findings)
        .where(findings.c.item_id == item_id, findings.c.resolved_at.is_(None))
        .values(seen_at=now)
    )


def resolve_unseen(
    connection: Connection, kinds: Iterable[FindingKind], *, before: datetime, now: datetime
) -> int:
    """Resolves what this scan, which began at `before`, did not see again. How many."""
    return connection.execute(
        update(findings)
        .where(
            findings.c.kind.in_([kind.value for kind in kinds]),
            findings.c.resolved_at.is_(None),
            findings.c.seen_at < before,
        )
        .values(resolved_at=now)
    ).rowcount


def resolve_of(connection: Connection, kind: FindingKind, item_id: str, now: datetime) -> None:
    connection.execute(
        update(findings)
        .where(
            findings.c.kind == kind.value,
            findings.c.item_id == item_id,
            findings.c.resolved_at.is_(None),
        )
        .values(resolved_at=now)
    )


def resolve(connection: Connection, kind: FindingKind, subject: str, now: datetime) -> None:
    connection.execute(
        update(findings)
        .where(findings.c.kind == kind.value, findings.c.subject == subject, findings.c.resolved_at.is_(None))
        .values(resolved_at=now)
    )


def find_open(connection: Connection, finding_id: str) -> Row[*tuple[Any, ...]] | None:
    return connection.execute(
        select(findings).where(findings.c.id == finding_id, findings.c.resolved_at.is_(None)).with_for_update()
    ).one_or_none()


def quieten(
    connection: Connection, row: Row[*tuple[Any, ...]], *, until: datetime | None, by: str, why: str
) -> None:
    """At the level at which it is now. What is put off is told again when its time is over."""
    values: dict[str, Any] = {
        "quiet_until": until,
        "quiet_level": row.level,
        "quiet_by": by,
        "quiet_why": why,
    }
    if until is not None:
        values["told_level"] = None
    connection.execute(update(findings).where(findings.c.id == row.id).values(values))


def is_untold(now: datetime) -> ColumnElement[bool]:
    """Open, worse than when it was last told, and not among what a person knows of at that level.

    What has lapsed gets no worse by another day, though it is told daily.
    """
    quiet = and_(
        findings.c.quiet_level.is_not(None),
        or_(findings.c.quiet_until.is_(None), findings.c.quiet_until > now),
        or_(findings.c.level <= findings.c.quiet_level, findings.c.kind == FindingKind.LAPSED.value),
    )
    return and_(
        findings.c.resolved_at.is_(None),
        or_(findings.c.told_level.is_(None), findings.c.told_level < findings.c.level),
        not_(quiet),
    )


def show_quiet(row: Row[*tuple[Any, ...]], now: datetime) -> str | None:
    """Who knows of it, for how long and why; None: nobody, or not any more."""
    over = row.quiet_until is not None and row.quiet_until <= now
    worse = row.quiet_level is not None and row.level > row.quiet_level and row.kind != FindingKind.LAPSED.value
    if row.quiet_level is None or over or worse:
        return None
    until = "" if row.quiet_until is None else f", until {row.quiet_until:%Y-%m-%d %H:%M} UTC"
    return f"{row.quiet_by}{until}: {row.quiet_why}"


def list_open(connection: Connection, *, limit: int = 10_000) -> Sequence[Row[*tuple[Any, ...]]]:
    return connection.execute(
        select(findings)
        .where(findings.c.resolved_at.is_(None))
        .order_by(findings.c.opened_at, findings.c.id)
        .limit(limit)
    ).all()
