"""The consumers of an item as rows have them: references, schedules, pins, waivers, runs under way."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    Executable,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    select,
    union_all,
    update,
)

from vaultcore.consumers import know_users
from vaultcore.errors import UnreadableError
from vaultcore.item_parts import COPIES, USERS
from vaultcore.known_items import ItemPart, is_absent, tell_some
from vaultcore.model import ConsumerKind, Stage
from vaultcore.paging import without_index
from vaultcore.row_macs import check_mac, find_edited, is_ours
from vaultcore.stored import check_row
from vaultcore.tables import items, references, versions
from vaultcore.unit_of_work import remember
from vaultcore.upserts import upsert_into
from worker.domain.proof import Consumer
from worker.domain.states import RUN_SECONDS, RunPurpose
from worker.rows.tables import rotations, runs, waivers, workflows
from worker.workflows.schedule import next_run

T = TypeVar("T")

RUN_MAX = timedelta(seconds=RUN_SECONDS)

_ITEM: Final[BindParameter[str]] = bindparam("item")
_SCHEDULES: Final = select(
    workflows.c.id,
    workflows.c.next_run_at,
    workflows.c.critical,
    workflows.c.schedule_type,
    workflows.c.schedule_value,
).where(workflows.c.id.in_(bindparam("workflows", expanding=True)))
_USERS: Final = (
    select(references.c.consumer_name)
    .where(
        references.c.item_id == _ITEM,
        references.c.consumer == ConsumerKind.WORKFLOW.value,
        references.c.active.is_(True),
        ~references.c.mentioned,
    )
    .distinct()
    .order_by(references.c.consumer_name)
)
_IS_HELD: Final = and_(references.c.item_id == _ITEM, references.c.held_by == bindparam("by"))
_HELD: Final = select(references.c.consumer_id).where(_IS_HELD).limit(1)
_LET_GO: Final = update(references).where(_IS_HELD).values(pinned=None, held_by=None)
_USING: Final = select(references.c.consumer_id).where(references.c.item_id == _ITEM, ~references.c.mentioned)


@cache
def _under_way_of(dialect: str) -> Select[*tuple[Any, ...]]:
    return select(runs).where(_workflow(dialect) == bindparam("workflow"), runs.c.completed_at.is_(None))


@cache
def _under_way_of_users(dialect: str) -> CompoundSelect[*tuple[Any, ...]]:
    """Those that say they have ended are looked at, too, where they had begun so shortly before `until` that
    they may have been under way then: an end that was forged is no end.
    """
    ended = runs.c.completed_at.is_not(None), runs.c.started_at.between(bindparam("since"), bindparam("until"))
    return union_all(
        select(runs).where(_workflow(dialect).in_(_USING), runs.c.completed_at.is_(None)),
        select(runs).where(runs.c.workflow_id.in_(_USING), *ended),
    )


def _workflow(dialect: str) -> ColumnElement[str]:
    """Of runs that have not ended: by that a database finds them. SQLite would go through all that the workflow
    ever had.
    """
    return without_index(runs.c.workflow_id) if dialect == "sqlite" else runs.c.workflow_id


def consumers_of(
    connection: Connection, item_id: str, *, rotation_id: str | None = None, now: datetime | None = None
) -> list[Consumer]:
    """The workflows that use the item, one each, with what proves them; waivers are the rotation's. With `now`
    also when those run next whose schedule another engine keeps. `TamperedError` where none of us wrote one of
    their references so.
    """
    uses = know_users(connection, item_id).rows
    waived = () if rotation_id is None else {row.workflow_id for row in waivers_of(connection, rotation_id)}
    found: dict[str, list[Consumer] | UnreadableError] = {item_id: []}
    _gather(connection, found, uses, waived=waived, now=now)
    read = found[item_id]
    if isinstance(read, UnreadableError):
        raise read
    return read


def consumers_of_each(
    connection: Connection,
    item_ids: Sequence[str],
    *,
    waived: Collection[str] = (),
    now: datetime | None = None,
) -> dict[str, list[Consumer] | UnreadableError]:
    """The same of some hundred items, by their ids; in the place of what cannot be read, or none of us wrote,
    the error that says so.
    """
    r = references.c
    found: dict[str, list[Consumer] | UnreadableError] = {one: [] for one in item_ids}
    uses = connection.execute(select(references).where(r.item_id.in_(item_ids))).all()
    for row in uses:
        what = f"{row.written} in node {row.node_id} of {row.consumer_name}"
        edited = find_edited(connection, references, row, what)
        if edited is not None and isinstance(found[row.item_id], list):
            found[row.item_id] = edited
    _gather(connection, found, uses, waived=waived, now=now)
    return found


def _gather(
    connection: Connection,
    found: dict[str, list[Consumer] | UnreadableError],
    uses: Iterable[Row[*tuple[Any, ...]]],
    *,
    waived: Collection[str],
    now: datetime | None,
) -> None:
    """Of the items in `found`, which has an error where their references are none of ours. `uses`: these
    references, as they were checked.
    """
    of_one: dict[tuple[str, str, str, bool, bool], list[Row[*tuple[Any, ...]]]] = {}
    for row in uses:
        if isinstance(found[row.item_id], UnreadableError):
            continue
        if row.consumer == ConsumerKind.WORKFLOW.value and not row.mentioned:
            one = (row.item_id, row.consumer_id, row.consumer_name, row.active, row.elsewhere)
            of_one.setdefault(one, []).append(row)
    if not of_one:
        return
    schedules = _schedules_of(connection, {workflow_id for _, workflow_id, *_ in of_one})
    held = any(row.held_by is not None for rows in of_one.values() for row in rows)
    at_it = _open_ones(connection, list(found)) if held else {}
    for (item_id, workflow_id, *_), rows in sorted(of_one.items(), key=lambda one: str(one[0][2])):
        consumers = found[item_id]
        if isinstance(consumers, UnreadableError):
            continue
        try:
            made = _consumer(rows, schedules.get(workflow_id), waived, at_it.get(item_id, ()), now)
        except UnreadableError as error:
            found[item_id] = error
        else:
            consumers.append(made)


def _schedules_of(connection: Connection, workflow_ids: Collection[str]) -> dict[str, Row[*tuple[Any, ...]]]:
    """When these run next, by their ids."""

    def read() -> dict[str, Row[*tuple[Any, ...]]]:
        rows = connection.execute(_SCHEDULES, {"workflows": list(workflow_ids)})
        return {row.id: row for row in rows}

    return remember(connection, ("schedules", frozenset(workflow_ids)), (workflows.name,), read)


def _open_ones(connection: Connection, item_ids: Collection[str]) -> dict[str, list[str]]:
    """The rotations of each of these items that are open."""
    rows = connection.execute(
        select(rotations.c.item_id, rotations.c.id).where(
            rotations.c.item_id.in_(item_ids), rotations.c.finished_at.is_(None)
        )
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.item_id, []).append(row.id)
    return found


def users_of(connection: Connection, item_id: str) -> list[str]:
    """The names of the active workflows that use the item: for who is told of it, whatever else can be read."""
    return [str(name) for name in connection.execute(_USERS, {"item": item_id}).scalars()]


def hold(connection: Connection, item_id: str, workflow_ids: Iterable[str], *, number: int, by: str) -> None:
    """These workflows stay on a version, for a rotation and until it lets them go; pins of others stay."""
    connection.execute(
        update(references)
        .where(
            references.c.item_id == item_id,
            references.c.consumer_id.in_(sorted(workflow_ids)),
            references.c.pinned.is_(None),
            ~references.c.mentioned,
        )
        .values(pinned=number, held_by=by)
    )


def unpin_from(connection: Connection, item_id: str, number: int) -> list[str]:
    """Those who were pinned to a version follow the current one again: which workflows."""
    unpinned = connection.execute(
        update(references)
        .where(references.c.item_id == item_id, references.c.pinned == number)
        .values(pinned=None, held_by=None)
        .returning(references.c.consumer_id)
    )
    return sorted(set(unpinned.scalars()))


def let_go(connection: Connection, item_id: str, *, by: str) -> None:
    """Whoever is pinned by this rotation (`by`) follows the current version again. Mostly that is nobody, and
    nothing is written.
    """
    given = {"item": item_id, "by": by}
    if connection.execute(_HELD, given).first() is not None:
        connection.execute(_LET_GO, given)


def waive(
    connection: Connection, rotation_id: str, workflow_id: str, *, by: str, why: str, at: datetime
) -> None:
    """The last word counts."""
    connection.execute(
        delete(waivers).where(waivers.c.rotation_id == rotation_id, waivers.c.workflow_id == workflow_id)
    )
    connection.execute(
        upsert_into(connection, waivers).values(
            rotation_id=rotation_id, workflow_id=workflow_id, by=by, why=why, at=at
        )
    )


CHECK = "check"
"""Stands for the workflow in a waiver of somebody who answers for that the new value works."""


WAIVERS: ItemPart[None] = ItemPart(
    tables=frozenset({waivers.name}),
    digests=lambda rotation_id: tell_some(waivers.c.rotation_id == rotation_id),
)
"""Of a rotation. All that is ever known is that there are none."""
_WAIVERS_OF: Final = select(waivers).where(waivers.c.rotation_id == bindparam("rotation"))


class Waiver(NamedTuple):
    """Somebody answers for a consumer, or for the new value (`CHECK`), whatever has shown."""

    rotation_id: str
    workflow_id: str
    by: str
    why: str
    at: datetime


def waivers_of(connection: Connection, rotation_id: str | None) -> list[Waiver]:
    """Those that somebody gave: one that none of us wrote answers for nothing."""
    if rotation_id is not None and is_absent(connection, rotation_id, WAIVERS):
        return []
    return remember(
        connection, ("waivers", rotation_id), (waivers.name,), lambda: _read_waivers(connection, rotation_id)
    )


def _read_waivers(connection: Connection, rotation_id: str | None) -> list[Waiver]:
    rows = connection.execute(_WAIVERS_OF, {"rotation": rotation_id})
    return [
        Waiver(row.rotation_id, row.workflow_id, row.by, row.why, row.at)
        for row in rows
        if is_ours(connection, waivers, row)
    ]


def is_check_waived_since(connection: Connection, item_id: str, since: datetime) -> bool:
    """Whether somebody has answered since then, in any rotation of the item, for that its new value works."""
    found = connection.execute(
        select(waivers.c.rotation_id)
        .join(rotations, rotations.c.id == waivers.c.rotation_id)
        .where(rotations.c.item_id == item_id, waivers.c.workflow_id == CHECK, waivers.c.at >= since)
        .limit(1)
    ).first()
    return found is not None


def forget_proof(connection: Connection, item_id: str, number: int) -> None:
    connection.execute(
        update(references)
        .where(references.c.item_id == item_id, references.c.proven_version == number)
        .values(proven_version=None, proven_at=None)
    )


def _select_stale_copies() -> Select[str]:
    held, new = versions.alias("held"), versions.alias("new")
    original: BindParameter[str] = bindparam("original")
    used = (
        select(references.c.item_id)
        .where(references.c.item_id == items.c.id, references.c.active, ~references.c.mentioned)
        .exists()
    )
    return (
        select(items.c.name)
        .join(held, and_(held.c.item_id == items.c.id, held.c.stage == Stage.CURRENT.value))
        .join(new, and_(new.c.item_id == original, new.c.number == bindparam("number")))
        .where(items.c.copy_of == original, held.c.likeness.is_distinct_from(new.c.likeness), used)
        .order_by(items.c.name)
    )


_STALE_COPIES = _select_stale_copies()


def stale_copies(connection: Connection, item_id: str, number: int) -> list[str]:
    """Declared copies of the item that active workflows use, and that do not hold its version's value."""
    if is_absent(connection, item_id, COPIES):
        return []
    return list(connection.execute(_STALE_COPIES, {"original": item_id, "number": number}).scalars())


def running_since(connection: Connection, item_id: str, since: datetime | None, until: datetime) -> list[str]:
    """Workflows with a production run under way that began between these times, both included.

    `TamperedError` where none of us wrote so a run that may be one: it is open, or was then.
    """
    if is_absent(connection, item_id, USERS):
        return []
    given = {"item": item_id, "since": until - RUN_MAX, "until": until}
    under_way = _under_way(connection, _under_way_of_users(connection.dialect.name), given)
    return sorted(
        {
            row.workflow_name
            for row in under_way
            if row.started_at is not None
            and row.started_at <= until
            and (since is None or row.started_at >= since)
        }
    )


def is_running(connection: Connection, workflow_id: str) -> bool:
    """Whether a production run of the workflow is under way, or opened.

    `TamperedError` where none of us wrote so a run of it that may be one.
    """
    return bool(_under_way(connection, _under_way_of(connection.dialect.name), {"workflow": workflow_id}))


def _under_way(
    connection: Connection, may_be: Executable, given: Mapping[str, Any]
) -> list[Row[*tuple[Any, ...]]]:
    """Production runs that have not ended."""
    found = connection.execute(may_be, given).all()
    for row in found:
        check_mac(connection, runs, row, f"run {row.id} of {row.workflow_name}")
    return [row for row in found if row.purpose == RunPurpose.PRODUCTION.value and row.completed_at is None]


def _consumer(
    uses: Sequence[Row[*tuple[Any, ...]]],
    schedule: Row[*tuple[Any, ...]] | None,
    waived: Collection[str],
    at_it: Collection[str],
    now: datetime | None,
) -> Consumer:
    """What a rotation that is over, or was never there, holds is pinned: nobody will let it go. Whoever runs
    elsewhere is neither: which version its engine uses is not decided here.
    """
    workflow = uses[0]
    for row in (*uses, *(() if schedule is None else (schedule,))):
        check_row(row, f"workflow {workflow.consumer_name}")
    elsewhere, active = workflow.elsewhere, workflow.active
    held = _most(row.held_by for row in uses) in at_it and not elsewhere
    next_run_at = None if schedule is None else schedule.next_run_at
    if elsewhere and active and now is not None and schedule is not None:
        next_run_at = next_run(schedule.schedule_type, schedule.schedule_value, now)
    return Consumer(
        id=workflow.consumer_id,
        name=workflow.consumer_name,
        active=active,
        critical=schedule is not None and bool(schedule.critical),
        elsewhere=elsewhere,
        pinned=None if held or elsewhere else _most(row.pinned for row in uses),
        held=held,
        proven=_most(row.proven_version for row in uses),
        last_run_at=_most(row.last_run_at for row in uses),
        next_run_at=next_run_at,
        waived=workflow.consumer_id in waived,
    )


def _most(values: Iterable[T | None]) -> T | None:
    """The greatest that is there."""
    found: list[Any] = [value for value in values if value is not None]
    return max(found, default=None)
