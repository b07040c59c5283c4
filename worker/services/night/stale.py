"""Stale references, unused items and what items lack: set by set, in keyset pages."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, func, or_, select, true

from vaultcore import rules
from vaultcore.model import Consumer, Consumers, Hygiene, Mode, ReferenceState, Stage
from vaultcore.paging import walk_pages
from vaultcore.rows import policy_from_json
from vaultcore.stored import Unread, check_row, read_all
from vaultcore.tables import items, references, versions
from worker.domain.commands import first_value_command, quote_word
from worker.domain.consumption import UNREAD, advise_unread
from worker.domain.findings import (
    MENTIONED,
    Finding,
    FindingKind,
    find_of_item,
    find_unreadable,
    show_lasting,
    show_time_left,
)
from worker.workflows.document import OUTSIDE

SCANNED_KINDS = frozenset(FindingKind) - {
    FindingKind.STUCK,
    FindingKind.ROTATION_FAILED,
    FindingKind.DRIFTED,
    FindingKind.UNPROVEN,
    FindingKind.TAMPERED,
    FindingKind.PASSED_OVER,
}
"""What a whole scan sees again each time; the others are opened and resolved by rotations, restores, the check
of all rows that decide and the writing of notices."""

_KEPT_BY_NIGHTS = timedelta(days=2)
"""What lives for less may lapse between two nights."""

_USED = exists().where(
    references.c.item_id == items.c.id,
    references.c.consumer_id != items.c.id,
    references.c.active.is_(True),
    ~references.c.mentioned,
)
"""By a workflow, wherever it runs, or by the rotator of another item."""


def walk_stale(connection: Connection, now: datetime, *, page_size: int) -> Iterator[list[Finding]]:
    """Stale references: one join selects the candidates, `rules.staleness` decides."""
    pages = walk_pages(
        lambda last: _reference_page(connection, now, last, page_size),
        lambda row: (row.consumer_id, row.node_id, row.written),
        size=page_size,
    )
    for rows in pages:
        yield from _see(rows, lambda row: list(_see_reference(row, now)), _unreadable_reference)


def walk_items(connection: Connection, now: datetime, *, page_size: int) -> Iterator[list[Finding]]:
    """Items that no active consumer uses, and items that lack what their creator should have given."""
    read = _USED.where(~references.c.elsewhere)
    for where, see in ((~read, _see_unused), (items.c.hygiene != "", partial(_see_hygiene, now=now))):
        pages = walk_pages(
            partial(_item_page, connection, where, page_size), lambda row: (row.id,), size=page_size
        )
        for rows in pages:
            yield from _see(rows, see, _unreadable_item)


def _item_page(
    connection: Connection, where: ColumnElement[bool], page_size: int, last: tuple[str] | None
) -> Sequence[Row[*tuple[Any, ...]]]:
    query = (
        select(
            items.c.id,
            items.c.name,
            items.c.hygiene,
            items.c.policy,
            items.c.expires_at,
            items.c.life_seconds,
            _USED.label("is_used"),
        )
        .order_by(items.c.id)
        .limit(page_size)
    )
    return list(connection.execute(query.where(where, true() if last is None else items.c.id > last[0])))


def _see(
    rows: Sequence[Row[*tuple[Any, ...]]],
    see: Callable[[Row[*tuple[Any, ...]]], list[Finding]],
    tell: Callable[[Unread[list[Finding]]], Finding],
) -> Iterator[list[Finding]]:
    """What is found of a page, a row that cannot be read included; nothing where nothing is."""
    made, unread = read_all(rows, see)
    found = [finding for one in made for finding in one] + [tell(one) for one in unread]
    if found:
        yield found


def _unreadable_item(unread: Unread[list[Finding]]) -> Finding:
    row = unread.row
    return find_unreadable(row.id, unread.problem, item_id=row.id, item=str(row.name))


def _unreadable_reference(unread: Unread[list[Finding]]) -> Finding:
    row = unread.row
    key = f"{row.consumer_id} {row.node_id} {row.written}"
    return find_unreadable(
        f"item_references {key}",
        unread.problem,
        item_id=row.item_id,
        item=str(row.written),
        workflow=str(row.consumer_name),
        what=f"a reference to it ({key})",
    )


def _reference_page(
    connection: Connection, now: datetime, last: tuple[str, str, str] | None, page_size: int
) -> list[Row[*tuple[Any, ...]]]:
    r, other = references.c, references.alias()
    is_used_too = exists().where(
        other.c.consumer_id == r.consumer_id,
        or_(other.c.written == r.written, other.c.item_id == r.item_id),
        ~other.c.mentioned,
    )
    query = (
        select(
            r.consumer_id,
            r.consumer_name,
            r.node_id,
            r.written,
            r.active,
            r.item_id,
            r.mentioned,
            r.pinned,
            r.last_version,
            r.last_run_at,
            r.idle_at,
            r.elsewhere,
            items.c.name.label("item"),
            items.c.expires_at,
            items.c.overlap_seconds,
            versions.c.number.label("current"),
            versions.c.activated_at,
        )
        .select_from(references)
        .outerjoin(items, items.c.id == r.item_id)
        .outerjoin(
            versions,
            and_(versions.c.item_id == r.item_id, versions.c.stage == Stage.CURRENT.value),
        )
        .where(
            r.consumer == Consumer.WORKFLOW.value,
            r.active.is_(True),
            or_(~r.mentioned, ~is_used_too),
            or_(
                r.item_id.is_(None),
                items.c.expires_at <= now,
                and_(~r.mentioned, func.coalesce(r.pinned, r.last_version) != versions.c.number),
                and_(~r.mentioned, r.idle_at <= now),
            ),
        )
        .order_by(r.consumer_id, r.node_id, r.written)
        .limit(page_size)
    )
    if last is not None:
        workflow, node, written = last
        query = query.where(
            or_(
                r.consumer_id > workflow,
                and_(r.consumer_id == workflow, r.node_id > node),
                and_(r.consumer_id == workflow, r.node_id == node, r.written > written),
            )
        )
    return list(connection.execute(query))


def _see_reference(row: Row[*tuple[Any, ...]], now: datetime) -> Iterator[Finding]:
    check_row(row, f"{row.written} in node {row.node_id} of {row.consumer_name}")
    state = ReferenceState(
        active=row.active,
        item_id=row.item_id,
        expires_at=row.expires_at,
        current=row.current,
        activated_at=row.activated_at,
        overlap=timedelta(seconds=row.overlap_seconds or 0),
        pinned=None if row.mentioned else row.pinned,
        last_version=None if row.mentioned else row.last_version,
        idle_at=None if row.mentioned else row.idle_at,
    )
    for kind in rules.staleness(state, now):
        finding_kind = FindingKind(kind.value)
        name = row.item or row.written
        yield Finding(
            kind=finding_kind,
            subject=f"{row.consumer_id} {name}",
            item_id=row.item_id,
            item=name,
            workflow=row.consumer_name,
            level=MENTIONED if row.mentioned else 1,
            detail=_explain(finding_kind, row, now),
            command=_advise(finding_kind, row, name),
        )


def _explain(kind: FindingKind, row: Row[*tuple[Any, ...]], now: datetime) -> str:
    node = "the document" if row.node_id == OUTSIDE else f"node {row.node_id}"
    where = f"{node} of workflow {row.consumer_name}"
    if kind is FindingKind.MISSING:
        return f"{where} {'mentions' if row.mentioned else 'names'} it"
    if kind is FindingKind.EXPIRED:
        verb = "mentions" if row.mentioned else "uses"
        return f"{where} {verb} it, and it lapsed {show_time_left(row.expires_at, now)}"
    if kind is FindingKind.SUPERSEDED:
        held = (
            f"is pinned to version {row.pinned}"
            if row.pinned
            else (f"last ran with version {row.last_version}")
        )
        return f"{where} {held}, and version {row.current} is current"
    ran = "has never run" if row.last_run_at is None else f"last ran {show_time_left(row.last_run_at, now)}"
    return f"{where} holds it, and {ran}"


def _advise(kind: FindingKind, row: Row[*tuple[Any, ...]], name: str) -> str:
    """What settles it, as a person would type it."""
    workflow = quote_word(row.consumer_name)
    if kind is FindingKind.MISSING and rules.is_item_id(name):
        return f"nightkey workflow show {workflow}"
    if kind is FindingKind.MISSING:
        return f"nightkey item create {quote_word(name)} --owner OWNER --value-file PATH"
    if kind is FindingKind.EXPIRED:
        return f"nightkey item show {quote_word(name)}"
    if kind is FindingKind.SUPERSEDED and row.pinned:
        return f"nightkey workflow unpin {workflow} {quote_word(name)}"
    if row.elsewhere:
        return f"nightkey run report {workflow} --status completed --started-at TIME"
    return f"nightkey workflow run {workflow}"


def _see_unused(row: Row[*tuple[Any, ...]]) -> list[Finding]:
    """Nobody reads it: it cannot be replaced here, or is of no use; unless its policy says so itself."""
    policy = policy_from_json(row.policy)
    if rules.needs_consumer(policy, rules.kind_of(row.name)):
        return [_no_consumer(row)]
    return [_unused(row)] if policy.consumers is Consumers.REQUIRED and not row.is_used else []


def _no_consumer(row: Row[*tuple[Any, ...]]) -> Finding:
    name = quote_word(row.name)
    return find_of_item(
        FindingKind.NO_CONSUMER,
        row.id,
        row.name,
        detail=f"no active workflow here uses it: {UNREAD}. Apply one that does; or, if nothing here needs to "
        f"read it, nightkey item update {name} --consumers none; or leave its replacement to its owner",
        does="nothing: its value stays as it is",
        command=advise_unread(row.name),
    )


def _unused(row: Row[*tuple[Any, ...]]) -> Finding:
    return find_of_item(
        FindingKind.UNUSED,
        row.id,
        row.name,
        detail="delete it if nothing else does",
        command=f"nightkey item delete {quote_word(row.name)}",
    )


_LACKS: dict[Hygiene, tuple[str, str | None]] = {
    Hygiene.NO_OWNER: ("nobody but the operators hears of it", "--owner OWNER"),
    Hygiene.NO_EXPIRY: ("nobody will notice when it stops working", "--expires-at TIME"),
    Hygiene.NO_PLAN: ("say how it is replaced: auto, approve or notify", "--mode MODE"),
    Hygiene.GENERIC_NAME: ("name service and environment, as in prod-ticketing-api-token", "--name NAME"),
    Hygiene.NO_VALUE: ("it came in without its value: nothing here can use it before that is given", None),
}
"""What it means that an item lacks it, and the options that give it; None: a command of its own does."""


def _see_hygiene(row: Row[*tuple[Any, ...]], *, now: datetime) -> list[Finding]:
    found = []
    for lack in row.hygiene.split():
        if lack == Hygiene.MISFIT:
            found.append(_misfit(row))
            continue
        why, options = _LACKS[Hygiene(lack)]
        found.append(
            find_of_item(
                FindingKind(lack),
                row.id,
                row.name,
                detail=why,
                command=_give_value(row, now)
                if options is None
                else f"nightkey item update {quote_word(row.name)} {options}",
            )
        )
    return found


def _misfit(row: Row[*tuple[Any, ...]]) -> Finding:
    policy, life = policy_from_json(row.policy), timedelta(seconds=row.life_seconds)
    lasts, counts = show_lasting(life), show_lasting(policy.lead)
    detail = f"its last replacement lives {lasts}, and its policy counts on a lead of {counts}"
    if policy.overlap > life / 2:
        detail += f" and an overlap of {show_lasting(policy.overlap)}"
    if life < _KEPT_BY_NIGHTS:
        detail += ": a night comes once a day, and may find it lapsed"
    return find_of_item(
        FindingKind.MISFIT,
        row.id,
        row.name,
        level=2 if life < _KEPT_BY_NIGHTS else 1,
        detail=f"{detail}. Have its service give longer ones, or say how long they live",
        does=f"replaces it {show_lasting(rules.lead_of(policy, life))} before it lapses"
        if policy.mode is Mode.AUTO
        else None,
        command=f"nightkey item update {quote_word(row.name)} --lifetime {lasts}",
    )


def _give_value(row: Row[*tuple[Any, ...]], now: datetime) -> str:
    check_row(row, f"item {row.name}")
    return first_value_command(row.name, policy_from_json(row.policy), expires_at=row.expires_at, now=now)
