"""Lists of open findings: filtered, sorted and paged by the database."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, not_, or_, select

from worker.domain.findings import FindingKind
from worker.domain.paging import Page, PageRequest
from worker.rows.findings import ListedFinding, list_finding, read_finding
from worker.rows.item_lists import owned_by
from worker.rows.listing import Listing, read_page, read_rows
from worker.rows.quiet_findings import is_quiet
from worker.rows.tables import findings

FINDINGS: Final = Listing(
    name="findings",
    id=findings.c.id,
    sorts={"opened_at": findings.c.opened_at, "kind": findings.c.kind, "item": findings.c.item},
    usual="opened_at",
)


@dataclass(frozen=True, kw_only=True)
class FindingFilter:
    """`owners`: names. `item`: its name or id. `snoozed`: those that somebody knows of, or the others."""

    kinds: Collection[FindingKind] = frozenset()
    owners: Collection[str] = frozenset()
    item: str | None = None
    workflow: str | None = None
    snoozed: bool | None = None


def page_findings(
    connection: Connection,
    wanted: FindingFilter,
    request: PageRequest,
    *,
    now: datetime,
    owner_ids: Collection[str],
    seen_by: Collection[str] | None,
) -> Page[ListedFinding]:
    """As `page_rotations`. What is about no item is shown to who may see all."""
    c = findings.c
    where: list[ColumnElement[bool]] = [c.resolved_at.is_(None)]
    if wanted.kinds:
        where.append(c.kind.in_(sorted(kind.value for kind in wanted.kinds)))
    if wanted.item is not None:
        where.append(or_(c.item == wanted.item, c.item_id == wanted.item))
    if wanted.workflow is not None:
        where.append(c.workflow == wanted.workflow)
    if wanted.snoozed is not None:
        where.append(is_quiet(now) if wanted.snoozed else not_(is_quiet(now)))
    if wanted.owners:
        where.append(c.item_id.in_(owned_by(owner_ids)))
    if seen_by is not None:
        where.append(c.item_id.in_(owned_by(seen_by)))
    asked = {**vars(wanted), "seen_by": None if seen_by is None else sorted(seen_by)}
    found = read_page(connection, FINDINGS, select(c.id).where(*where), request, asked=asked)
    return read_rows(
        connection, findings, found, lambda row: list_finding(read_finding(row), now), what="finding"
    )
