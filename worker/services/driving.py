"""A whole night in this process, without a broker: the same services, called one after the other."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from vaultcore.database import Database
from vaultcore.vault import Vault
from worker import notice_rows, store
from worker.domain.saga import WATCHED, State, is_moving
from worker.services.delivering import Delivering
from worker.services.heartbeat import Heartbeat
from worker.services.night import Nights
from worker.services.opening import Opening
from worker.services.rotation import Rotations
from worker.store import Rotation

_POLL_SECONDS = 0.2
_PATIENCE = timedelta(minutes=2)
"""How long a night by hand waits for a notice that did not go out."""


@dataclass(frozen=True, kw_only=True)
class NightResult:
    """`problems` are sentences: what did not succeed. Without any, the night was good."""

    slot: datetime
    rotations: list[Rotation]
    problems: list[str]


class Driving:
    """Drives a night from its scan to its last notice, and a single rotation to its rest."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        nights: Nights,
        opening: Opening,
        rotations: Rotations,
        delivering: Delivering,
        heartbeat: Heartbeat,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._nights = nights
        self._opening = opening
        self._rotations = rotations
        self._delivering = delivering
        self._heartbeat = heartbeat
        self._clock = clock

    def run_night(
        self, tell: Callable[[Rotation], None], say: Callable[[str], None] = lambda _: None
    ) -> NightResult:
        """One night by hand, claimed under the present time.

        `tell` hears of each step, `say` what is waited for: a retry, or whoever holds a rotation. A
        rotation that watches is at rest. Others may work on the same rows.
        """
        began = self._clock()
        self._nights.begin(began)
        self._beat()
        self._drive(tell, say, began)
        for slot in self._nights.open_nights():
            self._nights.close(slot)
        self._deliver(say)
        self._beat()
        with self._database.read() as connection:
            problems = self._nights.problems_of(connection, began)
            problems += notice_rows.problems_since(connection, began)
            problems += self._heartbeat.problems(connection)
            rotated = store.rotations_of_night(connection, began)
        return NightResult(slot=began, rotations=rotated, problems=problems)

    def run_rotation(self, rotation_id: str, tell: Callable[[Rotation], None]) -> Rotation:
        """One rotation until it watches, waits for a person, or has ended; then its notices."""

        def moving() -> bool:
            with self._database.read() as connection:
                found = store.get_rotation(connection, rotation_id)
            return is_moving(found.state, tuple(found.waits_for), hurried=found.hurried)

        while moving():
            advanced = self._rotations.advance(rotation_id)
            if advanced is None:
                time.sleep(_POLL_SECONDS)
            else:
                tell(advanced.rotation)
        self._deliver()
        with self._database.read() as connection:
            return store.get_rotation(connection, rotation_id)

    def run_hurried(self, name: str, tell: Callable[[Rotation], None], *, asked_by: str) -> Rotation:
        """Replaces a value that somebody else knows, and takes the old one away at once.

        A rotation that had activated its new value already is finished first, and then that one is
        replaced, too: it is not known which of the two is known.
        """
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            found = store.find_open_rotation(connection, item.id)
        opened = self._opening.request_hurried(item.id, asked_by=asked_by)
        rotation = self.run_rotation(opened.id, tell)
        if found is not None and found.activated_at is not None and rotation.state is State.DONE:
            rotation = self.run_hurried(name, tell, asked_by=asked_by)
        return rotation

    def run_decided(self, rotation_id: str, tell: Callable[[Rotation], None]) -> Rotation:
        """A rotation of which a person has just decided something: the step that follows, then to its rest."""
        advanced = self._rotations.advance(rotation_id)
        if advanced is not None:
            tell(advanced.rotation)
        return self.run_rotation(rotation_id, tell)

    def settle(self, item_ids: Iterable[str], tell: Callable[[Rotation], None]) -> list[Rotation]:
        """After a run that failed: the rotations of these items look now, and go back if it was theirs."""
        with self._database.read() as connection:
            found = [store.find_open_rotation(connection, item_id) for item_id in item_ids]
        settled = []
        for rotation in found:
            if rotation is not None and rotation.state in WATCHED:
                advanced = self._rotations.advance(rotation.id)
                if advanced is not None:
                    tell(advanced.rotation)
                    settled.append(self.run_rotation(rotation.id, tell))
        return settled

    def _beat(self) -> None:
        for name in self._heartbeat.waiting():
            self._heartbeat.send(name)

    def _drive(self, tell: Callable[[Rotation], None], say: Callable[[str], None], night: datetime) -> None:
        said: set[str] = set()
        while True:
            with self._database.read() as connection:
                due = store.due_rotations(connection, self._clock())
            for rotation_id in due:
                advanced = self._rotations.advance(rotation_id)
                if advanced is not None:
                    tell(advanced.rotation)
            if not due:
                moving = self._moving(night)
                if not moving:
                    return
                for rotation in moving:
                    _say_once(said, say, _explain_wait(rotation))
                time.sleep(_POLL_SECONDS)

    def _deliver(self, say: Callable[[str], None] = lambda _: None) -> None:
        """What is due, and its retries; what waits for the end of somebody's quiet hours leaves by itself."""
        said: set[str] = set()
        while True:
            self._delivering.deliver()
            until = self._delivering.next_try()
            if until is None or until > self._clock() + _PATIENCE:
                return
            _say_once(said, say, f"waiting to send what did not go out: next try at {until:%H:%M:%S} UTC")
            time.sleep(_POLL_SECONDS)

    def _moving(self, night: datetime) -> list[Rotation]:
        with self._database.read() as connection:
            found = store.rotations_of_night(connection, night)
        return [one for one in found if is_moving(one.state, tuple(one.waits_for))]


def _say_once(said: set[str], say: Callable[[str], None], text: str) -> None:
    if text not in said:
        said.add(text)
        say(text)


def _explain_wait(rotation: Rotation) -> str:
    if rotation.lease_until is not None:
        return (
            f"waiting for {rotation.item}: a worker holds it, if it still lives, until "
            f"{rotation.lease_until:%H:%M:%S} UTC"
        )
    next_at = rotation.next_at or rotation.created_at
    return f"waiting for {rotation.item}: its next try is at {next_at:%H:%M:%S} UTC"
