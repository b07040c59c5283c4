"""Workflows as rows: found, listed, written. Nothing is decided here, and nothing committed."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Integer, Row, Select, bindparam, insert, or_, select, update

from vaultcore.damage import is_sound, is_whole
from vaultcore.errors import UnreadableError
from vaultcore.ids import find_prefix, find_whole
from vaultcore.known_items import ItemPart, KnownPart, know, list_digests
from vaultcore.names import spellings
from vaultcore.namesakes import refuse_namesake
from vaultcore.row_macs import check_mac, find_edited, is_ours
from vaultcore.stored import Unread, check_row, read_apart, unreadable_fields
from worker.domain.places import Place
from worker.rows.tables import workflows
from worker.workflows.workflow import Workflow

ID_PREFIX: Final = "fl"


@dataclass(frozen=True, kw_only=True)
class StoredWorkflow:
    """Its columns, without what its document defines: see `read_workflow`.

    `damage`: which of its fields cannot be read, by name; empty: none. What it says is then not to be meant.
    `mac` is the digest that its row has.
    """

    id: str
    name: str
    given_id: str | None
    document: str
    active: bool
    runs: str
    stays_away: bool
    schedule_type: str
    schedule_value: str | None
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime
    mac: bytes | None
    damage: str


class DueWorkflow(NamedTuple):
    """One whose time has come by its own schedule."""

    id: str
    name: str
    schedule_type: str
    schedule_value: str | None


class UnreadDue(NamedTuple):
    """As `DueWorkflow`, of which something cannot be read: `problem` says what."""

    id: str
    problem: str


def read_workflow(stored: StoredWorkflow) -> Workflow:
    """`UnreadableError`, naming it, if what is stored of it cannot be meant."""
    from worker.workflows.definition import parse_stored  # noqa: PLC0415  # lists wait for no templates

    what = f"workflow {stored.name}"
    if stored.damage:
        raise UnreadableError(what, stored.damage)
    try:
        definition = parse_stored(stored.document)
    except (ValueError, RecursionError) as error:
        problem = type(error).__name__
    else:
        return Workflow(
            id=stored.id,
            name=stored.name,
            given_id=stored.given_id,
            active=stored.active,
            runs=Place(stored.runs),
            stays_away=stored.stays_away,
            schedule_type=stored.schedule_type,
            schedule_value=stored.schedule_value,
            next_run_at=stored.next_run_at,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            definition=definition,
        )
    raise UnreadableError(what, problem)


# Found and listed

_AT_ONCE: Final = 200
_SOME: Final = (
    select(workflows)
    .where(workflows.c.id.in_(bindparam("workflows", expanding=True)))
    .order_by(workflows.c.name)
)
_DIGESTS_AT_ONCE: Final = 5000
_ONE: Final = select(workflows).where(workflows.c.id == bindparam("workflow"))
_HAS_ID: Final = or_(workflows.c.id == bindparam("it"), workflows.c.given_id == bindparam("it"))
_BY_ID: Final = select(workflows).where(_HAS_ID)
_IS_SPELT: Final = workflows.c.name.in_(bindparam("spellings", expanding=True))
_BY_NAME: Final = select(workflows).where(_IS_SPELT)
_IS_MEANT: Final = or_(_IS_SPELT, _HAS_ID)
_MEANT: Final = select(workflows).where(_IS_MEANT)
_MEANT_IDS: Final = select(workflows.c.id).where(_IS_MEANT).limit(1)
READ_FROM = (workflows.name,)
"""The tables that one is read from."""
_WORKFLOW: "ItemPart[Workflow | None]" = ItemPart(
    tables=frozenset(READ_FROM),
    digests=lambda workflow_id: list_digests(workflows, workflows.c.mac, workflows.c.id == workflow_id),
)


def find_workflow(connection: Connection, name_or_id: str) -> Workflow | None:
    """By name, by our id, by the id that its document has, or by the only id of ours that begins so;
    `TamperedError` if none of us wrote it so.
    """
    rows = connection.execute(_MEANT, _given(name_or_id)).all()
    row = min(rows, key=lambda row: (row.id != name_or_id, row.given_id == name_or_id), default=None)
    if row is None and find_prefix(name_or_id) == ID_PREFIX:
        whole = find_whole(connection, workflows.c.id, name_or_id)
        return None if whole == name_or_id else find_workflow(connection, whole)
    if row is None:
        return None
    return _read_checked(connection, row)


def _read_checked(connection: Connection, row: Row[*tuple[Any, ...]]) -> Workflow:
    workflow = _read(row)
    check_mac(connection, workflows, row, f"workflow {row.name}")
    return workflow


def know_workflow(connection: Connection, name_or_id: str) -> Workflow | None:
    """As `find_workflow`. By its id, a unit of work that knows it does not read it again while its row is as it
    was.
    """
    known = None
    if name_or_id.startswith(f"{ID_PREFIX}_"):
        known = know(connection, name_or_id, _WORKFLOW, lambda: _read_known(connection, name_or_id))
    return find_workflow(connection, name_or_id) if known is None else known


def _read_known(connection: Connection, workflow_id: str) -> KnownPart[Workflow | None]:
    row = connection.execute(_ONE, {"workflow": workflow_id}).one_or_none()
    if row is None:
        return KnownPart(None, ())
    return KnownPart(_read_checked(connection, row), (row.mac,))


def is_known(connection: Connection, name_or_id: str) -> bool:
    return connection.execute(_MEANT_IDS, _given(name_or_id)).first() is not None


def walk_workflows(
    connection: Connection, *, after: str | None = None, limit: int | None = None
) -> Iterator[Workflow | UnreadableError]:
    """By name; in the place of one that cannot be read, or was edited, the error that says so. `after`: those
    whose names come behind this.
    """
    query = select(workflows).order_by(workflows.c.name).limit(limit)
    if after is not None:
        query = query.where(workflows.c.name > after)
    for row in connection.execute(query).all():
        workflow, what = read_apart(row, _read), f"workflow {row.name} ({row.id})"
        if isinstance(workflow, Unread):
            yield workflow.explain(what)
        else:
            yield find_edited(connection, workflows, row, what) or workflow


def walk_digests(connection: Connection) -> Iterator[dict[str, bytes | None]]:
    """The digests of the rows of all workflows, by their ids, a few thousand at a time. A row whose id is none
    is as one that was taken away: nothing leads to it.
    """
    last, query = "", _digests_after(connection.dialect.name)
    while page := connection.execute(query, {"last": last, "size": _DIGESTS_AT_ONCE}).all():
        yield {row.id: row.mac for row in page}
        last = page[-1].id


@cache
def _digests_after(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(workflows.c.id, workflows.c.mac)
        .where(workflows.c.id > bindparam("last"), is_sound(workflows.c.id, dialect))
        .order_by(workflows.c.id)
        .limit(bindparam("size", type_=Integer))
    )


def list_stored(connection: Connection, workflow_ids: Collection[str]) -> Iterator[tuple[StoredWorkflow, bool]]:
    """Those of them that there are, some hundred of them by name, each with whether one of us wrote it so."""
    wanted = sorted(workflow_ids)
    for start in range(0, len(wanted), _AT_ONCE):
        for row in connection.execute(_SOME, {"workflows": wanted[start : start + _AT_ONCE]}).all():
            yield _stored(row), is_ours(connection, workflows, row)


def find_by_id(connection: Connection, given: str) -> StoredWorkflow | None:
    """By our id, or else by the one that its document has."""
    rows = connection.execute(_BY_ID, {"it": given}).all()
    row = min(rows, key=lambda row: row.id != given, default=None)
    return None if row is None else _stored(row)


def find_by_name(connection: Connection, name: str) -> StoredWorkflow | None:
    """In whatever spelling, as it is written first of all."""
    rows = connection.execute(_BY_NAME, {"spellings": list(spellings(name))}).all()
    row = min(rows, key=lambda row: row.name != name, default=None)
    return None if row is None else _stored(row)


def refuse_taken(connection: Connection, name: str, *, but: str | None) -> None:
    """`RefusedError` for a name that another workflow than `but` has, or that looks like one of another."""
    refuse_namesake(connection, workflows, name, what="workflow", but=but)


# Written


def add_workflow(connection: Connection, workflow_id: str, **values: Any) -> None:  # noqa: ANN401  # columns
    connection.execute(insert(workflows).values(id=workflow_id, **values))


def change_workflow(connection: Connection, workflow_id: str, **values: Any) -> None:  # noqa: ANN401  # columns
    connection.execute(update(workflows).where(workflows.c.id == workflow_id).values(values))


# Their schedules


def lock_due(connection: Connection, now: datetime, *, limit: int) -> list[DueWorkflow | UnreadDue]:
    """Those that run here and whose time has come, the longest due first; what others hold is left to them."""
    rows = connection.execute(
        select(workflows)
        .where(
            workflows.c.next_run_at <= now,
            workflows.c.runs == Place.HERE.value,
            is_whole(connection, workflows),
        )
        .order_by(workflows.c.next_run_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    return [_due(row) for row in rows]


def _due(row: Row[*tuple[Any, ...]]) -> DueWorkflow | UnreadDue:
    made = read_apart(row, _read_due)
    return UnreadDue(row.id, made.problem) if isinstance(made, Unread) else made


def _read_due(row: Row[*tuple[Any, ...]]) -> DueWorkflow:
    check_row(row, f"workflow {row.name}")
    return DueWorkflow(row.id, row.name, row.schedule_type, row.schedule_value)


def _read(row: Row[*tuple[Any, ...]]) -> Workflow:
    return read_workflow(_stored(row))


def _stored(row: Row[*tuple[Any, ...]]) -> StoredWorkflow:
    return StoredWorkflow(
        id=row.id,
        name=row.name,
        given_id=row.given_id,
        document=row.document,
        active=row.active,
        runs=row.runs,
        stays_away=row.stays_away,
        schedule_type=row.schedule_type,
        schedule_value=row.schedule_value,
        next_run_at=row.next_run_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        mac=row.mac,
        damage=", ".join(unreadable_fields(row)),
    )


def _given(name_or_id: str) -> dict[str, Any]:
    """For what is meant by that; by what no database takes, nothing is."""
    if "\x00" in name_or_id:
        return {"it": None, "spellings": []}
    return {"it": name_or_id, "spellings": list(spellings(name_or_id))}
