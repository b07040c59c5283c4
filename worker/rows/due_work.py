"""What kinds of work a sweep has to look for, told by one select: it costs what is due, not what is open.

Each part asks an index for one row, and says no only if the statement that does the work would find nothing.
It may say yes in vain, of a row that is damaged, that somebody holds, or that nothing is to be done by: then
that statement decides. Words stand in it as they are: an index of some of the rows serves only a statement that
names them as the index does.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, String, and_, bindparam, exists, func, select, text

from vaultcore.tables import UtcDateTime, audit, routes
from worker.domain.messages import beginning_of_ids
from worker.domain.states import BeatState, DeliveryState, RunStatus
from worker.rows.nights import NIGHT_JOB
from worker.rows.rotations import IS_EMERGENCY
from worker.rows.tables import (
    credential_checks,
    deliveries,
    heartbeats,
    notices,
    pickups,
    requests,
    rotations,
    run_payloads,
    runs,
    sweeps,
    taken_messages,
)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """By when something counts as due: now, or what lies so long before it that its time is over. What was done
    after `ahead` was done by a clock that is ahead of this one, or was.
    """

    now: datetime
    ahead: datetime
    runs_opened: datetime
    runs_begun: datetime
    keys_arrived: datetime
    requests_asked: datetime
    messages_sent: datetime


@dataclass(frozen=True, kw_only=True)
class DueWork:
    """Whether there may be any: `nights` that could end, `arrived` keys that are kept no longer, what is `old`
    and forgotten, `unrouted` notices, times of a clock that was `ahead` (if they have an index), and the work
    that the other names say.
    """

    rotations: bool
    emergencies: bool
    checks: bool
    pending_runs: bool
    lost_runs: bool
    heartbeats: bool
    deliveries: bool
    unrouted: bool
    nights: bool
    arrived: bool
    old: bool
    ahead: bool

    @property
    def is_any(self) -> bool:
        return any(vars(self).values())


def find_due(connection: Connection, moments: Moments) -> DueWork:
    given = {**vars(moments), "messages_sent": beginning_of_ids(moments.messages_sent)}
    row = connection.execute(_select_due(), given).one()
    return DueWork(**{name: bool(found) for name, found in row._mapping.items()})  # noqa: SLF001  # SQLAlchemy's public way


_LAST_SEQ: Final = select(func.max(audit.c.seq)).scalar_subquery()


@cache
def _select_due() -> Select[*tuple[Any, ...]]:
    now, unfinished = _time("now"), runs.c.completed_at.is_(None)
    pending = runs.c.status == _word(RunStatus.PENDING)
    parts: dict[str, ColumnElement[bool]] = {
        "rotations": _any(rotations.c.finished_at.is_(None), rotations.c.next_at <= now),
        "emergencies": _any(IS_EMERGENCY, rotations.c.finished_at.is_(None), rotations.c.next_at <= now),
        "checks": _any(text("credential_checks.waits"), of=credential_checks),
        "pending_runs": _any(unfinished, pending, runs.c.created_at < _time("runs_opened")),
        "lost_runs": _any(unfinished, runs.c.started_at < _time("runs_begun")),
        "heartbeats": _any(heartbeats.c.state == _word(BeatState.WAITING), heartbeats.c.next_at <= now),
        "deliveries": _any(deliveries.c.state == _word(DeliveryState.WAITING), deliveries.c.next_at <= now),
        "unrouted": and_(_any(text("NOT notices.routed"), of=notices), _any(routes.c.id > "")),
        "nights": _any(sweeps.c.job == NIGHT_JOB, sweeps.c.scanned_at.is_not(None), sweeps.c.done_at.is_(None)),
        "arrived": _any(pickups.c.arrived_at <= _time("keys_arrived"), pickups.c.ended_at.is_(None)),
        "old": _any(run_payloads.c.ends_at <= now)
        | _any(requests.c.asked_at < _time("requests_asked"))
        | _any(taken_messages.c.id < bindparam("messages_sent", type_=String)),
        "ahead": _any(sweeps.c.job == NIGHT_JOB, sweeps.c.slot > _time("ahead"))
        | _any(unfinished, runs.c.created_at > _time("ahead"))
        | _any(audit.c.seq == _LAST_SEQ, audit.c.at > _time("ahead")),
    }
    return select(*(part.label(name) for name, part in parts.items()))


def _any(*which: Any, of: Any = None) -> ColumnElement[bool]:  # noqa: ANN401  # text, too, and then its table
    found = exists().where(*which)
    return found if of is None else found.select_from(of)


def _time(name: str) -> ColumnElement[datetime]:
    return bindparam(name, type_=UtcDateTime)


def _word(named: StrEnum) -> ColumnElement[str]:
    return bindparam(None, named.value, type_=String, literal_execute=True)
