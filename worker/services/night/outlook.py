"""What somebody sees first: what waits for a person, and what the coming nights hold."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.database import Database
from worker.config import Settings
from worker.domain.problems import Problem
from worker.domain.rotation import Rotation
from worker.domain.slots import next_slot
from worker.rows import attention as attention_rows
from worker.rows import counts
from worker.services.night.problems import Problems

NIGHTS = 7
_APPROVALS_MAX = 200


@dataclass(frozen=True, kw_only=True)
class ComingNight:
    """`due`: items whose replacement it begins or asks for; `lapse`: items that lapse before it begins and
    after the one before.
    """

    slot: datetime
    due: int
    lapse: int


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """`problems`: worst first. `approvals`: rotations that wait for one, soonest end first. `next_expiry`: of
    any item; None: nothing lapses.
    """

    problems: list[Problem]
    approvals: list[Rotation]
    items: int
    next_expiry: datetime | None
    nights: list[ComingNight]


class OutlookReader:
    """Reads in one transaction, and writes nothing."""

    def __init__(
        self, *, database: Database, problems: Problems, settings: Settings, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._problems = problems
        self._settings = settings
        self._clock = clock

    def read(self) -> Outlook:
        now = self._clock()
        with self._database.read() as connection:
            return Outlook(
                problems=self._problems.now(connection),
                approvals=attention_rows.list_requested(connection, limit=_APPROVALS_MAX),
                items=counts.count_items(connection),
                next_expiry=attention_rows.first_expiry(connection, after=now),
                nights=self._look_ahead(connection, now),
            )

    def _look_ahead(self, connection: Connection, now: datetime) -> list[ComingNight]:
        found, before, slot = list[ComingNight](), None, now
        for _ in range(NIGHTS):
            begins = next_slot(self._settings.night_at, self._settings.zone, slot)
            found.append(
                ComingNight(
                    slot=begins,
                    due=attention_rows.count_due(connection, after=before, until=begins),
                    lapse=attention_rows.count_lapsing(connection, after=slot, until=begins),
                )
            )
            before = slot = begins
        return found
