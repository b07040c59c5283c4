"""Findings as rows: opened, brought up to date, resolved, and told. It decides nothing and commits nothing."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    true,
    update,
)

from vaultcore.damage import is_sound
from vaultcore.errors import NotFoundError
from vaultcore.ids import new_id
from vaultcore.known_items import ItemPart, is_absent, tell_some
from vaultcore.paging import walk_keyset
from vaultcore.stored import check_row, is_readable, read_all, take_readable
from vaultcore.tables import UtcDateTime, item_owners, owners
from vaultcore.upserts import upsert_for, upsert_into
from worker.domain.audience import DEPUTY_LEVEL
from worker.domain.clocks import SKEW
from worker.domain.findings import Finding, FindingKind, topic_of
from worker.domain.reasons import Reason, read_reason, store_reason
from worker.rows.quiet_findings import is_quiet
from worker.rows.tables import findings, tellings

OPEN_FINDINGS: ItemPart[None] = ItemPart(
    tables=frozenset({findings.name}),
    digests=lambda item_id: tell_some((findings.c.item_id == item_id) & findings.c.resolved_at.is_(None)),
)
"""Of an item. All that is ever known is that there are none."""


@dataclass(frozen=True, kw_only=True)
class OpenFinding:
    """As it is stored. `quiet_by` is who knows of it, if anybody does, at which level, until when and why."""

    id: str
    kind: FindingKind
    subject: str
    item_id: str | None
    item: str | None
    workflow: str | None
    level: int
    detail: Reason
    does: Reason | None
    command: str | None
    opened_at: datetime
    quiet_until: datetime | None
    quiet_level: int | None
    quiet_by: str | None
    quiet_why: str | None


@dataclass(frozen=True, kw_only=True)
class ListedFinding:
    """`quiet`: who knows of it, for how long and why; None: nobody, or not any more."""

    finding: OpenFinding
    quiet: str | None


_SEEN = ("level", "detail", "does", "command", "deadline", "item", "workflow", "seen_at")
"""What each look says of it anew."""


def record(connection: Connection, finding: Finding, now: datetime) -> str:
    """Opens the finding, or brings the open one up to date: its topic."""
    row = _row_of(finding, now)
    statement = _record(connection.dialect.name, has_topic=_find_topic(finding) is not None, returns=True)
    return str(connection.execute(statement, row).scalar_one())


def record_all(connection: Connection, seen: Sequence[Finding], now: datetime) -> None:
    """As `record`, of many together."""
    for has_topic in (True, False):
        rows = [_row_of(one, now) for one in seen if (_find_topic(one) is not None) is has_topic]
        if rows:
            connection.execute(_record(connection.dialect.name, has_topic=has_topic, returns=False), rows)


def _find_topic(finding: Finding) -> str | None:
    """None: it is of no expiry of an item that can be told."""
    if finding.item_id is None or finding.deadline is None or not is_readable(finding.item_id):
        return None
    return topic_of(finding.item_id, finding.deadline)


def _row_of(finding: Finding, now: datetime) -> dict[str, Any]:
    """What is found of no expiry is a topic of its own. Of a damaged row all is written that can be read."""
    finding_id = new_id("fnd", now)
    return {
        "id": finding_id,
        "kind": finding.kind.value,
        "subject": str(finding.subject),
        "item_id": take_readable(finding.item_id),
        "topic": _find_topic(finding) or finding_id,
        "opened_at": now,
        "level": finding.level,
        "detail": store_reason(finding.detail),
        "does": None if finding.does is None else store_reason(finding.does),
        "command": finding.command,
        "deadline": finding.deadline,
        "item": take_readable(finding.item),
        "workflow": take_readable(finding.workflow),
        "seen_at": now,
    }


@cache
def _record(dialect: str, *, has_topic: bool, returns: bool) -> Any:  # noqa: ANN401  # two dialects, one API
    new = upsert_for(dialect, findings)
    seen = {name: new.excluded[name] for name in _SEEN}
    made = new.on_conflict_do_update(
        index_elements=["kind", "subject"],
        index_where=findings.c.resolved_at.is_(None),
        set_=seen | (_change_topic(new.excluded.topic) if has_topic else {}),
    )
    return made.returning(findings.c.topic) if returns else made


def _change_topic(topic: ColumnElement[str]) -> dict[str, ColumnElement[Any]]:
    """What a person knows of is one expiry; of another one they know nothing yet."""
    columns = (findings.c.quiet_until, findings.c.quiet_level, findings.c.quiet_by, findings.c.quiet_why)
    quiet = {column.name: case((findings.c.topic == topic, column), else_=None) for column in columns}
    return {"topic": topic, **quiet}


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
    """Resolves what this scan, which began at `before`, did not see again; also what was seen when the clock
    was ahead. How many.
    """
    of_these = findings.c.kind.in_([kind.value for kind in kinds])
    earlier = or_(findings.c.seen_at < before, findings.c.seen_at > now + SKEW)
    return _resolve(connection, now, of_these, earlier)


def resolve_of(connection: Connection, kinds: Iterable[FindingKind], item_id: str, now: datetime) -> None:
    """Of these kinds, whatever is open of the item."""
    if not is_absent(connection, item_id, OPEN_FINDINGS):
        given = {"kinds": [kind.value for kind in kinds], "of_item": item_id, "now": now}
        connection.execute(_RESOLVE_OF_ITEM, given)


def resolve_item(connection: Connection, item_id: str, now: datetime) -> None:
    """The item is gone, and with it whatever was found of it."""
    _resolve(connection, now, findings.c.item_id == item_id)


def resolve(connection: Connection, kind: FindingKind, subject: str, now: datetime) -> bool:
    """Whether there was one."""
    return resolve_each(connection, kind, [subject], now)


def resolve_about(
    connection: Connection, kind: FindingKind, item_id: str, subjects: Collection[str], now: datetime
) -> bool:
    """The same of subjects that are all of one item."""
    return not is_absent(connection, item_id, OPEN_FINDINGS) and resolve_each(connection, kind, subjects, now)


def resolve_each(connection: Connection, kind: FindingKind, subjects: Collection[str], now: datetime) -> bool:
    """Whether there was any."""
    if not subjects:
        return False
    given = {"of_kind": kind.value, "about": sorted(subjects), "now": now}
    return connection.execute(_RESOLVE, given).rowcount > 0


_RESOLVE_OPEN = (
    update(findings)
    .where(findings.c.resolved_at.is_(None))
    .values(resolved_at=bindparam("now", type_=UtcDateTime))
)
_RESOLVE = _RESOLVE_OPEN.where(
    findings.c.kind == bindparam("of_kind"), findings.c.subject.in_(bindparam("about", expanding=True))
)
_RESOLVE_OF_ITEM = _RESOLVE_OPEN.where(
    findings.c.kind.in_(bindparam("kinds", expanding=True)), findings.c.item_id == bindparam("of_item")
)


def _resolve(connection: Connection, now: datetime, *which: ColumnElement[bool]) -> int:
    return connection.execute(
        update(findings).where(findings.c.resolved_at.is_(None), *which).values(resolved_at=now)
    ).rowcount


def list_subjects(connection: Connection, kind: FindingKind) -> list[str]:
    """Of the open findings of a kind."""
    return list(
        connection.execute(
            select(findings.c.subject).where(findings.c.kind == kind.value, findings.c.resolved_at.is_(None))
        ).scalars()
    )


def list_open(connection: Connection, *, owner_id: str | None = None, limit: int = 10_000) -> list[OpenFinding]:
    """Oldest first; of an owner's items, or all. One that cannot be read is told by the next scan."""
    mine = select(item_owners.c.item_id).where(item_owners.c.owner_id == owner_id)
    whose = true() if owner_id is None else findings.c.item_id.in_(mine)
    rows = connection.execute(
        select(findings)
        .where(findings.c.resolved_at.is_(None), whose)
        .order_by(findings.c.opened_at, findings.c.id)
        .limit(limit)
    )
    return read_all(rows, read_finding)[0]


def read_finding(row: Row[*tuple[Any, ...]]) -> OpenFinding:
    check_row(row, f"finding {row.id}")
    return OpenFinding(
        id=row.id,
        kind=FindingKind(row.kind),
        subject=row.subject,
        item_id=row.item_id,
        item=row.item,
        workflow=row.workflow,
        level=row.level,
        detail=read_reason(row.detail),
        does=None if row.does is None else read_reason(row.does),
        command=row.command,
        opened_at=row.opened_at,
        quiet_until=row.quiet_until,
        quiet_level=row.quiet_level,
        quiet_by=row.quiet_by,
        quiet_why=row.quiet_why,
    )


def get_open(connection: Connection, finding_id: str) -> OpenFinding:
    row = connection.execute(
        select(findings).where(findings.c.id == finding_id, findings.c.resolved_at.is_(None))
    ).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no open finding {finding_id[:60]!r}")
    return read_finding(row)


def find_command(connection: Connection, kind: FindingKind, subject: str) -> str | None:
    """What helps about the open finding; None: there is none, or nothing does."""
    found: str | None = connection.execute(
        select(findings.c.command).where(
            findings.c.kind == kind.value, findings.c.subject == subject, findings.c.resolved_at.is_(None)
        )
    ).scalar_one_or_none()
    return found


def list_finding(finding: OpenFinding, now: datetime) -> ListedFinding:
    return ListedFinding(finding=finding, quiet=show_quiet(finding, now))


def show_quiet(finding: OpenFinding, now: datetime) -> str | None:
    """Who knows of it, for how long and why; None: nobody, or not any more."""
    quiet_until, quiet_level = finding.quiet_until, finding.quiet_level
    over = quiet_until is not None and quiet_until <= now
    if quiet_level is None or over:
        return None
    if finding.level > quiet_level and finding.kind is not FindingKind.LAPSED:
        return None
    until = "" if quiet_until is None else f", until {quiet_until:%Y-%m-%d %H:%M} UTC"
    return f"{finding.quiet_by}{until}: {finding.quiet_why}"


# Who was told of what


def walk_untold(
    connection: Connection, *, operators: str, now: datetime, page_size: int
) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    """Pages of open findings that may be news to somebody, a row for each owner of the item.

    Of what has lapsed for days all are there: deputies and operators may not have heard of it yet.
    """
    owner = func.coalesce(owners.c.id, operators).label("key")
    query = (
        select(
            findings.c.id,
            findings.c.opened_at,
            findings.c.level,
            findings.c.topic,
            owner,
            owners.c.id.label("owner_id"),
            owners.c.deputy_id,
        )
        .select_from(findings)
        .outerjoin(item_owners, item_owners.c.item_id == findings.c.item_id)
        .outerjoin(owners, owners.c.id == item_owners.c.owner_id)
        .outerjoin(tellings, and_(tellings.c.topic == findings.c.topic, tellings.c.owner_id == owner))
        .where(
            findings.c.resolved_at.is_(None),
            is_sound(findings.c.opened_at, connection.dialect.name),
            not_(is_quiet(now)),
            or_(
                tellings.c.level.is_(None),
                tellings.c.level < findings.c.level,
                findings.c.level >= DEPUTY_LEVEL,
            ),
        )
    )
    in_order = (findings.c.opened_at, findings.c.id, owner)  # by an index of those that are open
    return walk_keyset(connection, query, in_order, size=page_size)


def told_levels(connection: Connection, topics: Collection[str]) -> dict[tuple[str, str], int]:
    """How bad each topic was when each owner was last told of it."""
    rows = connection.execute(
        select(tellings.c.owner_id, tellings.c.topic, tellings.c.level).where(
            tellings.c.topic.in_(sorted(topics))
        )
    )
    return {(row.owner_id, row.topic): row.level for row in rows}


def mark_told(
    connection: Connection,
    told: Iterable[tuple[str, str, int]],
    *,
    night: datetime | None,
    now: datetime,
) -> None:
    """Owner, topic and level; what they knew of already, as bad as that, stays as it was."""
    worst: dict[tuple[str, str], int] = {}
    for owner_id, topic, level in told:
        worst[owner_id, topic] = max(level, worst.get((owner_id, topic), level))
    if not worst:
        return
    made = upsert_into(connection, tellings)
    connection.execute(
        made.on_conflict_do_update(
            index_elements=["owner_id", "topic"],
            set_={"level": made.excluded.level, "night": made.excluded.night, "at": made.excluded.at},
            where=tellings.c.level < made.excluded.level,
        ),
        [
            {"owner_id": owner_id, "topic": topic, "level": level, "night": night, "at": now}
            for (owner_id, topic), level in worst.items()
        ],
    )
