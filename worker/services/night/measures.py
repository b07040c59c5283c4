"""What who watches from outside is told: counts, and whether this can work. Read when it is asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from vaultcore.database import Database
from worker.domain.findings import FindingKind
from worker.domain.messages import MessageFault
from worker.domain.problems import ProblemKind
from worker.domain.saga import State
from worker.domain.states import DeliveryState
from worker.rows import counts
from worker.rows import messages as message_rows
from worker.rows import metrics as metric_rows
from worker.rows import notices as notice_rows
from worker.services.night.problems import Problems

DAYS: Final = (1, 7, 14, 30, 90)
_LATE: Final = frozenset({ProblemKind.NIGHT_LATE, ProblemKind.NIGHT_CUT_OFF, ProblemKind.NIGHT_NOT_SCANNED})


@dataclass(frozen=True, kw_only=True)
class Measures:
    """`items`: by the days that they have left, each counted once, at the first bound that it is within.
    `messages_set_aside`: since the vault was made, by what was wrong with them. `last_good`: how long ago the
    last night ended that ended well; None: none has.
    """

    items: Mapping[str, int]
    rotations: Mapping[str, int]
    notices: Mapping[str, int]
    findings: Mapping[str, int]
    messages_set_aside: Mapping[str, int]
    leases_lost: int
    last_good: timedelta | None


class MeasureReader:
    """Each call is one transaction, and changes nothing."""

    def __init__(self, *, database: Database, problems: Problems, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._problems = problems
        self._clock = clock

    def read(self) -> Measures:
        now = self._clock()
        with self._database.read() as connection:
            good = metric_rows.last_good_night(connection)
            return Measures(
                items=metric_rows.count_by_days_left(connection, now, DAYS),
                rotations=_each(State) | counts.count_rotations(connection),
                notices=_each(DeliveryState) | notice_rows.count(connection),
                findings=_each(FindingKind) | metric_rows.count_findings(connection),
                messages_set_aside=_each(MessageFault) | message_rows.count_by_fault(connection),
                leases_lost=metric_rows.count_leases_lost(connection),
                last_good=None if good is None else now - good,
            )

    def is_night_on_time(self) -> bool:
        """Whether nights begin and are scanned when they should be."""
        with self._database.read() as connection:
            return not any(one.kind in _LATE for one in self._problems.now(connection))


def _each(kinds: type[StrEnum]) -> dict[str, int]:
    """A series that is there from the beginning can be watched from the beginning."""
    return dict.fromkeys(map(str, kinds), 0)
