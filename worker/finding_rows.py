"""Findings as rows: opened, brought up to date, resolved. It decides nothing and commits nothing."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

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


def list_open(connection: Connection, *, limit: int = 10_000) -> Sequence[Row[*tuple[Any, ...]]]:
    return connection.execute(
        select(findings)
        .where(findings.c.resolved_at.is_(None))
        .order_by(findings.c.opened_at, findings.c.id)
        .limit(limit)
    ).all()
