"""Rotations as rows: found, listed, due, woken. Nothing is decided here, and nothing committed."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from functools import cache, partial
from typing import Any, Final, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    String,
    Update,
    and_,
    bindparam,
    exists,
    false,
    func,
    not_,
    or_,
    select,
    text,
    update,
)

from vaultcore.damage import is_whole_for, text_in
from vaultcore.errors import Cause, NotFoundError, UnreadableError
from vaultcore.paging import walk_keyset
from vaultcore.row_macs import MAC, check_mac, find_edited
from vaultcore.stored import Unread, check_row, read_all, read_apart
from vaultcore.tables import UtcDateTime, versions
from worker.domain.limits import SUCCEEDED
from worker.domain.reasons import Code, read_reason, read_reasons
from worker.domain.rotation import Rotation
from worker.domain.saga import AT_REST, WATCHED, State, is_moving
from worker.rows import target_capacity
from worker.rows.lease_clock import given_times, lease_now, lease_times
from worker.rows.tables import rotations

_STATES = frozenset(State)
_CAUSES = frozenset(Cause)
_PAGE = 100
_MOVES: Final = sorted(state.value for state in State if state not in AT_REST)
_MAY_MOVE: Final = sorted({*_MOVES, *(state.value for state in WATCHED)})
"""By their states: those at work, and what an emergency waits for."""
IS_EMERGENCY: Final = text("rotations.emergency")
"""As the index of these names it."""
_ONE: Final = select(rotations).where(rotations.c.id == bindparam("rotation"))
_NEWEST: Final = select(rotations).order_by(rotations.c.id.desc()).limit(bindparam("most", type_=Integer))
_OF_ITEMS: Final = rotations.c.item_id.in_(bindparam("items", expanding=True))
_OPEN: Final = (
    select(rotations).where(_OF_ITEMS, rotations.c.finished_at.is_(None)).order_by(rotations.c.item_id)
)
_OPEN_LOCKED: Final = _OPEN.with_for_update()
_WAKE_WATCHING: Final = (
    update(rotations)
    .where(
        _OF_ITEMS,
        rotations.c.finished_at.is_(None),
        rotations.c.state.in_([state.value for state in WATCHED]),
    )
    .values(next_at=bindparam("at"))
)


def rotation_from_row(row: Row[*tuple[Any, ...]]) -> Rotation:
    """`UnreadableError`, naming it, if what is stored of it cannot be meant."""
    what = f"rotation {row.id}"
    check_row(row, what)
    if row.state not in _STATES or row.stuck_in not in (None, *_STATES):
        raise UnreadableError(what, "state")
    stored = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way, named so to avoid clashes
    del stored[MAC]
    stuck_in = None if stored["stuck_in"] is None else State(stored["stuck_in"])
    reasons = _read_reasons(stored, what)
    states = {"state": State(stored["state"]), "stuck_in": stuck_in}
    return Rotation(**{**stored, **reasons, **states, "last_cause": _read_cause(stored["last_cause"])})


def _read_cause(stored: str | None) -> Cause | None:
    """A word that is none of them is shown as it stands, and nothing is decided by it: the scan finds it."""
    return Cause(stored) if stored in _CAUSES else cast("Cause | None", stored)


def _read_reasons(stored: dict[str, Any], what: str) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, how in (("reason", read_reason), ("last_error", read_reason), ("waits_for", read_reasons)):
        try:
            read[name] = None if stored[name] is None and name == "last_error" else how(stored[name])
        except ValueError:
            raise UnreadableError(what, name) from None
    return read


def get_rotation(connection: Connection, rotation_id: str) -> Rotation:
    row = connection.execute(_ONE, {"rotation": rotation_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"no rotation {rotation_id[:60]!r}: `nightkey rotation list` shows them all")
    return rotation_from_row(row)


def find_open_rotation(connection: Connection, item_id: str, *, lock: bool = False) -> Rotation | None:
    """`lock`: nobody else changes it before this transaction ends."""
    return find_open_rotations(connection, [item_id], lock=lock).get(item_id)


def find_open_rotations(
    connection: Connection, item_ids: Collection[str], *, lock: bool = False
) -> dict[str, Rotation]:
    """By item, those of these items, locked in the order of the items."""
    rows = connection.execute(_OPEN_LOCKED if lock else _OPEN, {"items": list(item_ids)})
    return {row.item_id: rotation_from_row(row) for row in rows}


def list_rotations(connection: Connection, *, limit: int = 1000) -> list[Rotation]:
    """Newest first, those that can be read."""
    return [one for one in walk_rotations(connection, limit=limit) if isinstance(one, Rotation)]


def walk_rotations(connection: Connection, *, limit: int = 1000) -> list[Rotation | UnreadableError]:
    """Newest first; in the place of one that cannot be read, or was edited, the error that says so."""
    rows = connection.execute(_NEWEST, {"most": limit})
    found = [(row, read_apart(row, rotation_from_row)) for row in rows]
    return [
        one.explain(f"rotation {row.id}")
        if isinstance(one, Unread)
        else find_edited(connection, rotations, row, f"rotation {row.id}") or one
        for row, one in found
    ]


def read_whole(connection: Connection, row: Row[*tuple[Any, ...]]) -> Rotation:
    """The rotation, to be acted upon; `TamperedError` if none of us wrote it so."""
    rotation = rotation_from_row(row)
    check_mac(connection, rotations, row, f"rotation {row.id}")
    return rotation


def due_rotations(
    connection: Connection,
    now: datetime,
    *,
    limit: int = 500,
    at_once: int | None = None,
    emergencies: bool = False,
) -> list[str]:
    """Open rotations whose next step is due and that nobody holds: also those that a killed worker held. With
    `at_once` no more of one target than may be worked on there, and none where there is no room.

    One that cannot be read is nobody's: it would be due for ever. The longest due come first, and those of one
    moment in any order: no more of them are looked at than are asked for. `emergencies`: these alone.
    """
    given = given_times(connection, now) | {"now": now, "most": limit}
    if at_once is not None:
        given |= target_capacity.given_capacity(connection, at_once=at_once, now=now)
    rows = connection.execute(_list_due(connection.dialect.name, at_once is not None, emergencies), given).all()
    taken = Counter[str]()
    found = []
    for row in rows:
        taken[row.target] += row.target is not None
        if at_once is None or taken[row.target] <= at_once:
            found.append(row.id)
    return found


@cache
def _list_due(dialect: str, bounded: bool, emergencies: bool) -> Select[str, str | None]:
    """`bounded`: by the capacity of their targets; `emergencies`: these alone."""
    return (
        select(rotations.c.id, rotations.c.target)
        .where(
            rotations.c.finished_at.is_(None),
            rotations.c.next_at <= bindparam("now", type_=UtcDateTime),
            or_(rotations.c.lease_until.is_(None), rotations.c.lease_until < lease_times(dialect).now),
            is_whole_for(dialect, rotations),
            *([target_capacity.has_capacity(dialect)] if bounded else []),
            *([IS_EMERGENCY] if emergencies else []),
        )
        .order_by(rotations.c.next_at)
        .limit(bindparam("most", type_=Integer))
    )


def wake_open(connection: Connection, item_id: str, now: datetime, *, states: Collection[State]) -> None:
    """The item was changed: its open rotation, if it is in one of the states and nobody at it, goes on now."""
    connection.execute(
        update(rotations)
        .where(
            rotations.c.item_id == item_id,
            rotations.c.state.in_([state.value for state in states]),
            _rests(connection, now),
        )
        .values(next_at=now)
    )


def wake_unshown(connection: Connection, now: datetime, *, item_ids: Collection[str] | None = None) -> None:
    """A check may tell by now, of these items or of any: whose new value nothing has shown to work looks again.

    Not one that waits for what may still happen late at the other side.
    """
    late = and_(rotations.c.state == State.RETIRING.value, rotations.c.late_until > now)
    waiting = select(rotations.c.id).where(
        *([] if item_ids is None else [rotations.c.item_id.in_(sorted(item_ids))]),
        rotations.c.state.in_([state.value for state in WATCHED | {State.RETIRING}]),
        rotations.c.shown_by.is_(None),
        rotations.c.failing_since.is_(None),
        not_(func.coalesce(late, false())),
        _rests(connection, now),
    )
    _wake(connection, waiting, now)


def _wake(connection: Connection, which: Select[str], now: datetime) -> None:
    """These, by their ids. Who is at one of them is not waited for, since they look by themselves."""
    connection.execute(_waking(which), {"at": now})


def _waking(which: Select[str]) -> Update:
    resting = which.with_for_update(skip_locked=True)
    return update(rotations).where(rotations.c.id.in_(resting)).values(next_at=bindparam("at"))


def _rests(connection: Connection, now: datetime) -> ColumnElement[bool]:
    """It is open, its next step is to come, and nobody is at it."""
    return and_(
        rotations.c.finished_at.is_(None),
        rotations.c.next_at > now,
        or_(rotations.c.lease_until.is_(None), rotations.c.lease_until < lease_now(connection, now)),
    )


def wake_watching(connection: Connection, item_ids: Iterable[str], now: datetime) -> None:
    """A run ended that used these items: who watches them looks again."""
    connection.execute(_WAKE_WATCHING, {"items": sorted(item_ids), "at": now})


def wake_watching_at_rest(connection: Connection, item_ids: Collection[str], now: datetime) -> None:
    """Of a workflow that uses these items something was changed: who watches them looks again. Who is at one
    of them at this moment is not waited for.
    """
    watching = select(rotations.c.id).where(
        rotations.c.item_id.in_(sorted(item_ids)),
        rotations.c.state.in_([state.value for state in WATCHED]),
        _rests(connection, now),
    )
    _wake(connection, watching, now)


def wake_queued(
    connection: Connection, night: datetime, target: str, now: datetime, *, due_too: bool = True
) -> None:
    """The first of a target has succeeded or failed: those behind it look again.

    One that somebody is just looking at is left to them: two that wait for each other's rows would not end.
    `due_too`: those that are due already are written, too, until one has succeeded. Who begins to look at one
    of them now waits for this transaction, and finds out. Later there is nothing to find out.
    """
    connection.execute(_wake_queued(due_too=due_too), {"of_night": night, "at_target": target, "at": now})


@cache
def _wake_queued(*, due_too: bool) -> Update:
    night, target = bindparam("of_night", type_=UtcDateTime), bindparam("at_target", type_=String)
    others = rotations.alias("others")
    had_succeeded = exists().where(
        others.c.night == night,
        others.c.target == target,
        others.c.state.in_([state.value for state in SUCCEEDED]),
    )
    return _waking(
        select(rotations.c.id).where(
            rotations.c.night == night,
            rotations.c.target == target,
            rotations.c.state.in_([State.QUEUED.value, State.SCHEDULED.value]),
            or_(
                rotations.c.next_at.is_(None),
                rotations.c.next_at > bindparam("at", type_=UtcDateTime),
                ~had_succeeded if due_too else false(),
            ),
        )
    )


def rotations_of_night(connection: Connection, night: datetime) -> list[Rotation]:
    """In the order in which they were opened."""
    rows = connection.execute(select(rotations).where(rotations.c.night == night).order_by(rotations.c.id))
    return read_all(rows, rotation_from_row)[0]


def walk_moving(connection: Connection, *, begun_by: datetime) -> Iterator[Rotation]:
    """Those for whose rest a night waits: opened by that time, in this night, another, or by hand. In pages, so
    that who asks for one reads few: by what is open, in the order of its index.
    """
    open_by_then = select(rotations).where(
        rotations.c.finished_at.is_(None),
        rotations.c.created_at <= begun_by,
        rotations.c.state.in_(_MAY_MOVE),
        or_(rotations.c.state.in_(_MOVES), rotations.c.emergency.is_(True)),
    )
    for page in walk_keyset(connection, open_by_then, (rotations.c.state, rotations.c.id), size=_PAGE):
        for one in read_all(page, partial(read_whole, connection))[0]:
            if is_moving(one.state, one.waits_for, emergency=one.emergency):
                yield one


def saw_one_way(connection: Connection, item_id: str, rotator: str) -> bool:
    """Whether the last new value of the item that the rotator brought ended the old one at once."""
    return bool(
        connection.execute(
            select(rotations.c.one_way)
            .where(
                rotations.c.item_id == item_id,
                rotations.c.rotator == rotator,
                text_in(rotations.c.reason, "code", connection.dialect.name) != Code.BY_OWNER.value,
                rotations.c.new_number.is_not(None),
                rotations.c.old_dead.is_(False),
            )
            .order_by(rotations.c.id.desc())
            .limit(1)
        ).scalar_one_or_none()
    )


def holds_new() -> ColumnElement[bool]:
    """Whether the new version of a rotation's row holds a value: it may have been begun, and never issued."""
    return (
        select(versions.c.number)
        .where(
            versions.c.item_id == rotations.c.item_id,
            versions.c.number == rotations.c.new_number,
            or_(versions.c.record.is_not(None), versions.c.digest.is_not(None)),
        )
        .exists()
    )


def has_new(connection: Connection, rotation: Rotation) -> bool:
    """As `holds_new`, of one rotation."""
    query = select(holds_new()).where(rotations.c.id == rotation.id)
    return bool(connection.execute(query).scalar_one_or_none())
