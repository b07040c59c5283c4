"""The last nights in short, for who looks in the morning: what was found, replaced, proven, and told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.errors import UnreadableError
from vaultcore.owners import Owners
from worker.domain.rotation import Rotation
from worker.domain.saga import REPLACED, State
from worker.rows import night_rotations as night_rotation_rows
from worker.rows import nights as night_rows
from worker.rows.nights import Night
from worker.services.night.visible import find_seen_owners

_SHOWN: Final = 20
_PROVEN: Final = frozenset({State.RETIRING, State.DONE})
"""Every consumer was proven on the new value: the old one may go."""
_WAITING: Final = frozenset({State.REQUESTED, State.STUCK})


@dataclass(frozen=True, kw_only=True)
class NightSummary:
    """`opened`: its rotations, of which `rotations` are the first; `rotated` have a new value that is current,
    `proven` are those of them whose old value may go, `rolled_back` have ended on the old one, and `waiting`
    need a person. `told`: owners whom its digest tells of something.
    """

    night: Night
    opened: int
    rotated: int
    proven: int
    rolled_back: int
    waiting: int
    told: int
    rotations: tuple[Rotation | UnreadableError, ...]

    @property
    def found(self) -> int:
        """What its scan has found, in the whole vault."""
        return self.night.counts.get("findings", 0)

    @property
    def is_over(self) -> bool:
        return self.night.done_at is not None


class NightSummaries:
    """Each read is one transaction, and finds no more rows than it shows."""

    def __init__(self, *, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    def last(self, *, seen_by: Principal) -> list[NightSummary]:
        """The last night that began at its time, and the last that a person has begun since then, if any. Of
        rotations those that are shown to the principal.
        """
        with self._database.read() as connection:
            scheduled = night_rows.last_night(connection, by_hand=False)
            by_hand = night_rows.last_night(connection, by_hand=True)
            if scheduled is not None and by_hand is not None and by_hand.started_at < scheduled.started_at:
                by_hand = None
            found = [night for night in (scheduled, by_hand) if night is not None]
            return self._sum_up(connection, found, seen_by, shown=_SHOWN)

    def list_all(
        self, *, before: datetime | None, limit: int, seen_by: Principal
    ) -> list[NightSummary | UnreadableError]:
        """Those under an earlier slot, the last first, without their rotations; in the place of one that cannot
        be read, the error that says so.
        """
        with self._database.read() as connection:
            rows = list(night_rows.walk_nights(connection, before=before, limit=limit))
            nights = [one for one in rows if isinstance(one, Night)]
            summed = {one.night.slot: one for one in self._sum_up(connection, nights, seen_by, shown=0)}
        return [summed[one.slot] if isinstance(one, Night) else one for one in rows]

    def get(self, slot: datetime, *, seen_by: Principal) -> NightSummary:
        """`NotFoundError` if no night is stored under it."""
        with self._database.read() as connection:
            found = [night_rows.find_night(connection, slot)]
            return self._sum_up(connection, found, seen_by, shown=_SHOWN)[0]

    def _sum_up(
        self, connection: Connection, nights: Sequence[Night], seen_by: Principal, *, shown: int
    ) -> list[NightSummary]:
        owner_ids = find_seen_owners(connection, self._owners, seen_by, Action.ROTATION_SEE)
        slots = [night.slot for night in nights]
        counted = night_rotation_rows.count_by_state(connection, slots, seen_by=owner_ids)
        told = night_rotation_rows.count_told(connection, slots, seen_by=owner_ids)

        def list_first(slot: datetime) -> tuple[Rotation | UnreadableError, ...]:
            if not shown:
                return ()
            return tuple(night_rotation_rows.list_first(connection, slot, limit=shown, seen_by=owner_ids))

        return [
            _sum_up(night, counted[night.slot], told[night.slot], list_first(night.slot)) for night in nights
        ]


def _sum_up(
    night: Night, states: Mapping[str, int], told: int, rotations: tuple[Rotation | UnreadableError, ...]
) -> NightSummary:
    def count(*some: State) -> int:
        return sum(states.get(state.value, 0) for state in some)

    return NightSummary(
        night=night,
        opened=sum(states.values()),
        rotated=count(*REPLACED),
        proven=count(*_PROVEN),
        rolled_back=count(State.ROLLED_BACK),
        waiting=count(*_WAITING),
        told=told,
        rotations=rotations,
    )
