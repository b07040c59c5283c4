"""Nights as they are stored: opened once, scanned, ended with what was wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, bindparam, select, update

from vaultcore.damage import is_whole, is_whole_for
from vaultcore.errors import NotFoundError, UnreadableError
from vaultcore.stored import Unread, check_row, read_apart
from vaultcore.tables import deployment
from vaultcore.upserts import upsert_into
from worker.domain.problems import Problem, ProblemKind
from worker.domain.reasons import Reason, show_reason, store_reason
from worker.domain.states import NightOutcome
from worker.rows.lease_clock import lease_clock
from worker.rows.tables import sweeps

NIGHT_JOB = "night"
"""The sweeps that are nights."""


@dataclass(frozen=True, kw_only=True)
class Night:
    """One night as it is stored: under its slot, or the moment at which it was begun by hand.

    `scanned_at` None: its scan is under way, or was cut off. `done_at` None: its rotations still move.
    `outcome`: good or failed. `problems`: what was wrong when it had ended, as `end_night` stored it.
    """

    slot: datetime
    started_at: datetime
    scanned_at: datetime | None
    done_at: datetime | None
    outcome: str | None
    by_hand: bool
    counts: dict[str, int]
    problems: list[dict[str, Any]]

    @property
    def subjects(self) -> set[str]:
        """What was wrong when it had ended, by name."""
        return {problem["subject"] for problem in self.problems}


_NIGHT_COLUMNS = tuple(sweeps.c[name] for name in Night.__dataclass_fields__)
_IS_NIGHT = sweeps.c.job == NIGHT_JOB
_IS_UNCLOSED = (_IS_NIGHT, sweeps.c.scanned_at.is_not(None), sweeps.c.done_at.is_(None))
_LOCK_UNCLOSED = (
    select(sweeps.c.scanned_at).where(*_IS_UNCLOSED, sweeps.c.slot == bindparam("slot")).with_for_update()
)


def get_night(connection: Connection, slot: datetime) -> Night:
    row = connection.execute(select(*_NIGHT_COLUMNS).where(_IS_NIGHT, sweeps.c.slot == slot)).one()
    return Night(**row._mapping)  # noqa: SLF001  # SQLAlchemy's public way


def walk_nights(
    connection: Connection, *, before: datetime | None, limit: int
) -> Iterator[Night | UnreadableError]:
    """The last slots first; in the place of one that cannot be read, the error that says so."""
    query = select(*_NIGHT_COLUMNS).where(_IS_NIGHT).order_by(sweeps.c.slot.desc()).limit(limit)
    if before is not None:
        query = query.where(sweeps.c.slot < before)
    for row in connection.execute(query):
        made = read_apart(row, _read)
        yield UnreadableError("a night", made.problem) if isinstance(made, Unread) else made


def find_night(connection: Connection, slot: datetime) -> Night:
    """`NotFoundError` if there is none under that slot, `UnreadableError` if it cannot be read."""
    query = select(*_NIGHT_COLUMNS).where(_IS_NIGHT, sweeps.c.slot == slot)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no night of {slot:%Y-%m-%dT%H:%M:%S.%fZ}")
    return _read(row)


def _read(row: Row[*tuple[Any, ...]]) -> Night:
    check_row(row, "a night")
    return Night(**row._mapping)  # noqa: SLF001  # as above


def last_night(
    connection: Connection,
    *,
    before: datetime | None = None,
    closed: bool = False,
    by_hand: bool | None = None,
) -> Night | None:
    """The one that was begun last, whatever its slot; of those begun before a time, that have ended, or that
    were (not) begun by hand.
    """
    query = (
        select(*_NIGHT_COLUMNS)
        .where(_IS_NIGHT, is_whole(connection, sweeps))
        .order_by(sweeps.c.started_at.desc(), sweeps.c.slot.desc())
        .limit(1)
    )
    if before is not None:
        query = query.where(sweeps.c.started_at < before)
    if closed:
        query = query.where(sweeps.c.done_at.is_not(None))
    if by_hand is not None:
        query = query.where(sweeps.c.by_hand.is_(by_hand))
    row = connection.execute(query).one_or_none()
    return None if row is None else Night(**row._mapping)  # noqa: SLF001  # as above


def list_unclosed(connection: Connection) -> list[datetime]:
    """The slots of the nights that were scanned and have not ended."""
    return list(connection.execute(_list_unclosed(connection.dialect.name)).scalars())


@cache
def _list_unclosed(dialect: str) -> Select[datetime]:
    return select(sweeps.c.slot).where(*_IS_UNCLOSED, is_whole_for(dialect, sweeps)).order_by(sweeps.c.slot)


def lock_unclosed(connection: Connection, slot: datetime) -> datetime | None:
    """When the night had been scanned, or its slot where that cannot be read; None: it was not, or has ended.
    Nobody else closes it in this transaction.
    """
    row = connection.execute(_LOCK_UNCLOSED, {"slot": slot}).one_or_none()
    return None if row is None else row.scanned_at or slot


def mark_scanned(connection: Connection, slot: datetime, *, at: datetime, counts: Mapping[str, int]) -> None:
    """Its scan is over, and came to this."""
    connection.execute(
        update(sweeps)
        .where(_IS_NIGHT, sweeps.c.slot == slot)
        .values(scanned_at=at, outcome=None, counts=dict(counts))
    )


def add_counts(connection: Connection, slot: datetime, counts: Mapping[str, int]) -> None:
    """What it came to after its scan, beside the counts of that."""
    if not counts:
        return
    this = and_(_IS_NIGHT, sweeps.c.slot == slot)
    found = connection.execute(select(sweeps.c.counts).where(this)).scalar_one()
    before = found if isinstance(found, dict) else {}
    connection.execute(update(sweeps).where(this).values(counts={**before, **counts}))


def end_night(
    connection: Connection, slot: datetime, *, done_at: datetime, problems: Sequence[Problem]
) -> None:
    """It has ended: badly where there are any problems."""
    connection.execute(
        update(sweeps)
        .where(_IS_NIGHT, sweeps.c.slot == slot)
        .values(
            done_at=done_at,
            outcome=NightOutcome.FAILED.value if problems else NightOutcome.GOOD.value,
            problems=[
                {
                    "kind": one.kind,
                    "subject": one.subject,
                    "id": one.id,
                    "error": None if one.error is None else store_reason(one.error),
                }
                for one in problems
            ],
        )
    )


def vault_made_at(connection: Connection) -> datetime | None:
    """None where that cannot be read: no night is lost for it, or goes unmissed."""
    made_at = connection.execute(select(deployment.c.created_at)).scalar()
    return made_at if isinstance(made_at, datetime) else None


def open_sweep(
    connection: Connection,
    *,
    job: str,
    slot: datetime,
    now: datetime,
    lease: timedelta,
    tries: int,
    by_hand: bool = False,
) -> bool:
    """Whether this process does the slot: once done, or while somebody is at it, nobody else does.

    One that has been begun `tries` times, and never was done, is given up.
    """
    lease_now = lease_clock(connection, now)
    made = upsert_into(connection, sweeps).values(
        job=job, slot=slot, lease_until=lease_now + lease, started_at=now, by_hand=by_hand, counts={}
    )
    opened = connection.execute(
        made.on_conflict_do_update(
            index_elements=["job", "slot"],
            set_={"lease_until": lease_now + lease, "started_at": now},
            where=and_(
                sweeps.c.scanned_at.is_(None), sweeps.c.done_at.is_(None), sweeps.c.lease_until < lease_now
            ),
        ).returning(sweeps.c.counts)
    ).first()
    if opened is None:
        return False
    begun = _tries_of(opened.counts)
    values: dict[str, Any] = {"counts": {_TRIES: begun + 1}} if begun < tries else {"done_at": now}
    if begun:  # whoever began it before has not come back
        values["outcome"] = NightOutcome.FAILED.value
    connection.execute(update(sweeps).where(sweeps.c.job == job, sweeps.c.slot == slot).values(values))
    return begun < tries


def fail_sweep(
    connection: Connection, *, job: str, slot: datetime, now: datetime, tries: int, cause: Reason
) -> None:
    """It came to nothing this time, and why; after the last of its `tries` it is over."""
    this = and_(sweeps.c.job == job, sweeps.c.slot == slot)
    counts = connection.execute(select(sweeps.c.counts).where(this)).scalar_one()
    ended = {"done_at": now} if _tries_of(counts) >= tries else {}
    problem = {"kind": ProblemKind.NIGHT_NOT_SCANNED, "subject": "", "id": None, "error": store_reason(cause)}
    connection.execute(
        update(sweeps).where(this).values(outcome=NightOutcome.FAILED.value, problems=[problem], **ended)
    )


def list_failed_sweeps(
    connection: Connection, job: str, *, since: datetime
) -> list[tuple[datetime, Reason | None]]:
    """Slots of which nothing has come, begun since then, each with why: their scan failed or was cut off."""
    return [
        (row.slot, show_reason(row.problems[0]["error"]) if row.problems else None)
        for row in connection.execute(
            select(sweeps.c.slot, sweeps.c.problems)
            .where(
                sweeps.c.job == job,
                sweeps.c.started_at >= since,
                sweeps.c.scanned_at.is_(None),
                sweeps.c.outcome == NightOutcome.FAILED.value,
                is_whole(connection, sweeps),
            )
            .order_by(sweeps.c.slot)
        )
    ]


_TRIES = "tries"


def _tries_of(counts: object) -> int:
    """How often a scan was begun that has not succeeded; 0 where that cannot be read."""
    tries = counts.get(_TRIES, 0) if isinstance(counts, dict) else 0
    return tries if isinstance(tries, int) else 0
