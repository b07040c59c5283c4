"""What somebody sees first: what waits for a person, and what the coming nights hold."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.model import Item
from vaultcore.owners import Owners
from worker.config import Settings
from worker.domain.problems import Problem
from worker.domain.rotation import Rotation
from worker.domain.slots import next_slot
from worker.rows import attention as attention_rows
from worker.rows.coming_days import Event, Span, count_each
from worker.services.night.problems import Problems
from worker.services.night.visible import VisibleProblems, find_seen_owners

NIGHTS = 7
LISTED_MAX = 200
"""So many of each are named at most; the others are counted."""


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
    """What is shown to who looks. `problems`: worst first. `owners_turn`: lapsed items of which no problem
    tells, and for their owners what is due and theirs to replace. `approvals`: rotations that wait for one,
    soonest end first. `more`: how many of these are counted alone. `next_expiry`: of any item; None: nothing
    lapses.
    """

    problems: list[Problem]
    owners_turn: list[Item]
    approvals: list[Rotation]
    more: int
    items: int
    next_expiry: datetime | None
    nights: list[ComingNight]

    @property
    def number(self) -> int:
        """Of all that needs somebody."""
        return len(self.problems) + len(self.owners_turn) + len(self.approvals) + self.more


class OutlookReader:
    """Reads in one transaction, and writes nothing."""

    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        problems: Problems,
        visible: VisibleProblems,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owners = owners
        self._problems = problems
        self._visible = visible
        self._settings = settings
        self._clock = clock

    def read(self, *, seen_by: Principal, shown: int = LISTED_MAX) -> Outlook:
        """`shown`: so many of each are named; the others are counted."""
        now = self._clock()
        with self._database.read() as connection:
            owner_ids = find_seen_owners(connection, self._owners, seen_by, Action.ITEM_SEE)
            problems = self._read_problems(connection, seen_by)
            due_too = owner_ids is not None
            turn = attention_rows.list_owners_turn(
                connection, now=now, due_too=due_too, limit=shown, seen_by=owner_ids
            )
            approvals = attention_rows.list_requested(connection, limit=shown, seen_by=owner_ids)
            number = (
                len(problems)
                + attention_rows.count_owners_turn(connection, now=now, due_too=due_too, seen_by=owner_ids)
                + attention_rows.count_requested(connection, seen_by=owner_ids)
            )
            named = len(problems[:shown]) + len(turn) + len(approvals)
            return Outlook(
                problems=problems[:shown],
                owners_turn=turn,
                approvals=approvals,
                more=number - named,
                items=attention_rows.count_seen_items(connection, seen_by=owner_ids),
                next_expiry=attention_rows.first_expiry(connection, after=now, seen_by=owner_ids),
                nights=self._look_ahead(connection, now, owner_ids),
            )

    def _read_problems(self, connection: Connection, seen_by: Principal) -> list[Problem]:
        found = self._problems.now(connection)
        sees = self._visible.read(connection, seen_by, {one.subject for one in found})
        return [one for one in found if sees(one.subject, one.kind)]

    def _look_ahead(
        self, connection: Connection, now: datetime, owner_ids: Collection[str] | None
    ) -> list[ComingNight]:
        slots, slot = list[datetime](), now
        for _ in range(NIGHTS):
            slot = next_slot(self._settings.night_at, self._settings.zone, slot)
            slots.append(slot)
        due = [
            Span(event=Event.DUE, after=before, until=slot)
            for before, slot in zip([None, *slots], slots, strict=False)
        ]
        lapse = [
            Span(event=Event.LAPSES, after=before, until=slot)
            for before, slot in zip([now, *slots], slots, strict=False)
        ]
        counts = count_each(connection, [*due, *lapse], seen_by=owner_ids)
        return [
            ComingNight(slot=slot, due=counts[due[place]], lapse=counts[lapse[place]])
            for place, slot in enumerate(slots)
        ]
