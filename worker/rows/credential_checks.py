"""What was asked of each credential, as rows: which are due, which wait tonight, and what was said last.

It decides nothing and commits nothing. A row that none of us wrote so is passed over: the check of all rows
tells of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
    update,
)

from vaultcore.damage import is_sound, is_whole, is_whole_for
from vaultcore.mac_writing import update_apart
from vaultcore.model import Policy, Stage
from vaultcore.paging import walk_keyset, without_index
from vaultcore.row_macs import is_ours
from vaultcore.rows import policy_from_json
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import UtcDateTime, items, versions
from vaultcore.upserts import upsert_given, upsert_into
from worker.domain.credential_checks import UNDISTURBED, CheckAnswer, CheckCandidate, CheckOutcome
from worker.domain.reasons import Reason, read_reason, store_reason
from worker.rows.comparisons import is_open
from worker.rows.tables import credential_checks, rotations

_C = credential_checks.c
_WAITS: Final = and_(text("credential_checks.waits"), _C.waits)
"""In words of the index of these: by others a database goes through all of which anything was asked."""
_DECIDES = ("next_at", "number", "outcome", "checked_at")


@dataclass(frozen=True, kw_only=True)
class LastCheck:
    """What came of the last one; `number`: of which version. `next_at`: when a night may ask again."""

    number: int
    outcome: CheckOutcome
    detail: Reason
    checked_at: datetime
    next_at: datetime


@dataclass(frozen=True, kw_only=True)
class DueCheck:
    """A credential whose time has come. `differs`: not compared, or not agreed, since a restore."""

    item_id: str
    policy: Policy
    expires_at: datetime | None
    number: int | None
    rotating: bool
    differs: bool


@dataclass(frozen=True, kw_only=True)
class RefusedCheck:
    """An item whose current value was refused."""

    item_id: str
    name: str
    policy: Policy
    check: LastCheck


_CURRENT = (
    select(versions.c.number)
    .where(versions.c.item_id == items.c.id, versions.c.stage == Stage.CURRENT.value)
    .scalar_subquery()
)
_ROTATING = exists().where(
    rotations.c.item_id == items.c.id,
    rotations.c.finished_at.is_(None),
    rotations.c.state.not_in([state.value for state in UNDISTURBED]),
)
_ITS: Final = _C.item_id == bindparam("item")
_OPEN: Final = (
    update(credential_checks)
    .where(_ITS)
    .values(night=bindparam("of_night"), target=bindparam("at_target"), waits=True, begun=0)
)
_BEGIN: Final = update(credential_checks).where(_ITS).values(begun=_C.begun + 1).returning(_C.begun)
_OWN = (_C.item_id, *(_C[name] for name in _DECIDES), _C.mac)


def enrol(connection: Connection, first: Mapping[str, datetime]) -> None:
    """Items of which nothing was asked yet, and when each comes due."""
    if first:
        connection.execute(
            upsert_into(connection, credential_checks).on_conflict_do_nothing(index_elements=[_C.item_id]),
            [{"item_id": item_id, "next_at": at} for item_id, at in first.items()],
        )


def walk_new(connection: Connection, *, page_size: int) -> Iterator[list[str]]:
    """Items with a rotator of which nothing was asked yet. Whether it can ask is decided when they are due."""
    query = (
        select(items.c.id)
        .outerjoin(credential_checks, _C.item_id == items.c.id)
        .where(_C.item_id.is_(None), items.c.rotator.is_not(None))
        .where(is_sound(items.c.id, connection.dialect.name))
    )
    for rows in walk_keyset(connection, query, (items.c.id,), size=page_size):
        yield [row.id for row in rows]


def walk_due(
    connection: Connection, now: datetime, *, night: datetime, page_size: int
) -> Iterator[list[DueCheck]]:
    """Those that are due and were not chosen by this night, in pages, the one that is due longest first."""
    query = (
        select(
            *_OWN,
            items.c.policy,
            items.c.expires_at,
            _CURRENT.label("current"),
            _ROTATING.label("rotating"),
            is_open(items.c.id).label("differs"),
        )
        .join(items, items.c.id == _C.item_id)
        .where(_C.next_at <= now, is_sound(_C.next_at, connection.dialect.name))
        .where(_C.night.is_(None) | (_C.night != night))
    )
    for rows in walk_keyset(connection, query, (_C.next_at, _C.item_id), size=page_size):
        made = [read_apart(row, _read_due) for row in rows if is_ours(connection, credential_checks, row)]
        yield [one for one in made if not isinstance(one, Unread)]


def put_off(connection: Connection, item_ids: Sequence[str], next_at: datetime) -> None:
    """Nobody can be asked of these: they are looked at again then."""
    if item_ids:
        update_apart(connection, credential_checks, _C.item_id.in_(item_ids), {"next_at": next_at})


def count_chosen(connection: Connection, night: datetime) -> dict[str, int]:
    """How many a night has chosen of each target."""
    query = select(_C.target, func.count().label("number")).where(_C.night == night, _C.target.is_not(None))
    return {str(row.target): row.number for row in connection.execute(query.group_by(_C.target))}


def open_for(connection: Connection, night: datetime, chosen: Sequence[CheckCandidate]) -> None:
    """They wait for their turn in this night."""
    for one in chosen:
        connection.execute(_OPEN, {"item": one.item_id, "of_night": night, "at_target": one.target})


def leave(connection: Connection, *which: ColumnElement[bool]) -> None:
    """What waits is asked in another night."""
    connection.execute(update(credential_checks).where(_WAITS, *which).values(waits=False, begun=0))


def leave_others(connection: Connection, night: datetime) -> None:
    """What another night has left waiting."""
    leave(connection, _C.night.is_(None) | (_C.night != night))


def leave_night(connection: Connection, night: datetime) -> None:
    leave(connection, _is_of(connection.dialect.name, night))


def leave_target(connection: Connection, target: str) -> None:
    leave(connection, _C.target == target)


def leave_item(connection: Connection, item_id: str) -> None:
    leave(connection, _C.item_id == item_id)


def list_waiting(connection: Connection) -> list[CheckCandidate]:
    """What waits for its turn, by target, the one that is due longest first."""
    rows = connection.execute(_list_waiting(connection.dialect.name))
    return [CheckCandidate(item_id=row.item_id, target=row.target) for row in rows]


def find_next(connection: Connection, target: str) -> list[str]:
    """The item whose turn it is at a target, if any waits there."""
    return list(connection.execute(_find_next(connection.dialect.name), {"at_target": target}).scalars())


def is_waiting(connection: Connection, night: datetime) -> bool:
    """Whether anything waits that the night has chosen."""
    found = connection.execute(_find_of_night(connection.dialect.name), {"of_night": night})
    return found.first() is not None


def find_waiting(connection: Connection, item_id: str) -> CheckCandidate | None:
    row = connection.execute(_find_waiting(connection.dialect.name), {"item": item_id}).one_or_none()
    return None if row is None or row.target is None else CheckCandidate(item_id=row.item_id, target=row.target)


def begin(connection: Connection, item_id: str) -> int:
    """Somebody asks now; how often somebody has begun."""
    begun: int = connection.execute(_BEGIN, {"item": item_id}).scalar_one()
    return begun


def find(connection: Connection, item_id: str) -> LastCheck | None:
    """What came of the last one; None: nothing was asked yet, or none of us wrote so what stands there."""
    row = connection.execute(
        select(credential_checks).where(_C.item_id == item_id, is_whole(connection, credential_checks))
    ).one_or_none()
    if row is None or row.outcome is None or not is_ours(connection, credential_checks, row):
        return None
    made = read_apart(row, _read_check)
    return None if isinstance(made, Unread) else made


def count_outages(connection: Connection, item_id: str) -> int:
    """How often in a row the other side was away."""
    found = connection.execute(select(_C.outages).where(_C.item_id == item_id)).scalar_one_or_none()
    return found if isinstance(found, int) else 0


def record(
    connection: Connection,
    item_id: str,
    answer: CheckAnswer,
    *,
    number: int,
    outages: int,
    now: datetime,
    next_at: datetime,
) -> None:
    """What it came to. Whatever stood there before is written anew as a whole."""
    values = {
        "item_id": item_id,
        "next_at": next_at,
        "number": number,
        "outcome": answer.outcome.value,
        "checked_at": now,
        "detail": store_reason(answer.detail),
        "outages": outages,
        "waits": False,
        "begun": 0,
    }
    connection.execute(upsert_given(connection.dialect.name, credential_checks, tuple(values)), values)


def wake(connection: Connection, item_id: str, now: datetime) -> None:
    """It has another value: the next night may ask, whatever was said of the one before."""
    update_apart(connection, credential_checks, _C.item_id == item_id, {"next_at": now})


def wake_refused(connection: Connection, item_id: str, now: datetime) -> None:
    """The same where the value of before was refused."""
    which = and_(_C.item_id == item_id, _C.outcome == CheckOutcome.REFUSED.value)
    update_apart(connection, credential_checks, which, {"next_at": now})


def forget(connection: Connection, item_id: str) -> None:
    """The item is gone."""
    connection.execute(delete(credential_checks).where(_C.item_id == item_id))


def walk_refused(connection: Connection, *, page_size: int) -> Iterator[list[RefusedCheck]]:
    """Items whose current value was refused, in pages."""
    query = (
        select(credential_checks, items.c.name, items.c.policy)
        .join(items, items.c.id == _C.item_id)
        .where(_C.outcome == CheckOutcome.REFUSED.value, _C.number == _CURRENT)
        .where(is_sound(_C.item_id, connection.dialect.name))
    )
    for rows in walk_keyset(connection, query, (_C.item_id,), size=page_size):
        made = [read_apart(row, _read_refused) for row in rows if is_ours(connection, credential_checks, row)]
        yield [one for one in made if not isinstance(one, Unread)]


def count_outcomes(connection: Connection, night: datetime, *, since: datetime) -> dict[str, int]:
    """What came of those that the night has chosen, by outcome."""
    query = select(_C.outcome, func.count().label("number")).where(
        and_(_C.night == night, ~_C.waits, _C.checked_at >= since, _C.outcome.is_not(None))
    )
    return {str(row.outcome): row.number for row in connection.execute(query.group_by(_C.outcome))}


def _is_of(dialect: str, night: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    """Chosen by it. Asked of what waits, SQLite would go through all that the night has chosen."""
    return (without_index(_C.night) if dialect == "sqlite" else _C.night) == night


@cache
def _list_waiting(dialect: str) -> Select[str, str | None]:
    waiting = select(_C.item_id, _C.target).where(
        _WAITS, _C.target.is_not(None), is_whole_for(dialect, credential_checks)
    )
    return waiting.order_by(_C.target, _C.next_at, _C.item_id)


@cache
def _find_next(dialect: str) -> Select[str]:
    waiting = select(_C.item_id).where(
        _WAITS, _C.target == bindparam("at_target"), is_whole_for(dialect, credential_checks)
    )
    return waiting.order_by(_C.next_at, _C.item_id).limit(1)


@cache
def _find_of_night(dialect: str) -> Select[str]:
    night = bindparam("of_night", type_=UtcDateTime)
    return (
        select(_C.item_id)
        .where(_WAITS, _is_of(dialect, night), is_whole_for(dialect, credential_checks))
        .limit(1)
    )


@cache
def _find_waiting(dialect: str) -> Select[str, str | None]:
    return select(_C.item_id, _C.target).where(_ITS, _C.waits, is_whole_for(dialect, credential_checks))


def _read_check(row: Row[*tuple[Any, ...]]) -> LastCheck:
    check_row(row, f"what came of the check of {row.item_id}")
    return LastCheck(
        number=row.number,
        outcome=CheckOutcome(row.outcome),
        detail=read_reason(row.detail),
        checked_at=row.checked_at,
        next_at=row.next_at,
    )


def _read_due(row: Row[*tuple[Any, ...]]) -> DueCheck:
    check_row(row, f"the check of {row.item_id}")
    return DueCheck(
        item_id=row.item_id,
        policy=policy_from_json(row.policy),
        expires_at=row.expires_at,
        number=row.current,
        rotating=row.rotating,
        differs=row.differs,
    )


def _read_refused(row: Row[*tuple[Any, ...]]) -> RefusedCheck:
    return RefusedCheck(
        item_id=row.item_id, name=row.name, policy=policy_from_json(row.policy), check=_read_check(row)
    )
