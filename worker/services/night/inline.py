"""A whole night in this process, without a broker: the same services, rotations side by side as workers do."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from threading import Event

from vaultcore.database import Database
from vaultcore.errors import LockedError, RefusedError
from vaultcore.vault import Vault
from worker.domain.problems import Problem
from worker.domain.rotation import Rotation
from worker.domain.saga import WATCHED, State, is_moving
from worker.outbound import sessions_kept
from worker.rows import nights as night_rows
from worker.rows import rotations as rotation_rows
from worker.services.night.nights import Nights
from worker.services.night.problems import Problems
from worker.services.night.resume_sweep import ResumeSweep
from worker.services.notices.delivery import Delivery
from worker.services.notices.heartbeat import Heartbeat
from worker.services.rotation.advance import Advanced, RotationDriver
from worker.services.rotation.credential_checks import CredentialChecks
from worker.services.rotation.opening import Opening
from worker.services.rotation.side_by_side import SideBySide
from worker.services.upkeep.clock_repair import ClockRepair
from worker.wording.reasons import say

_POLL_SECONDS = 0.2
_NAMED_MAX = 100
"""Of those that are waited for, how many are looked at each time: as they come to rest, the others follow."""
_PATIENCE = timedelta(minutes=2)
"""How long a night by hand waits for a notice that did not go out."""


@dataclass(frozen=True, kw_only=True)
class NightResult:
    """`problems`: whatever is unfinished, failed or overdue, whoever began it. Without any, all is well."""

    slot: datetime
    counts: dict[str, int]
    problems: list[Problem]


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """`again`: an emergency found it with its new value activated, which is replaced, too."""

    rotation: Rotation
    again: bool = False


class InlineNight:
    """Drives a night from its scan to its last notice, and a single rotation to its rest.

    Told to stop, it ends between two steps: nothing is held then, and whoever comes next goes on.
    """

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        nights: Nights,
        opening: Opening,
        rotations: RotationDriver,
        side_by_side: SideBySide,
        credential_checks: CredentialChecks,
        delivery: Delivery,
        heartbeat: Heartbeat,
        problems: Problems,
        resume_sweep: ResumeSweep,
        clock_repair: ClockRepair,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._nights = nights
        self._opening = opening
        self._rotations = rotations
        self._side_by_side = side_by_side
        self._credential_checks = credential_checks
        self._delivery = delivery
        self._heartbeat = heartbeat
        self._problems = problems
        self._resume_sweep = resume_sweep
        self._clock_repair = clock_repair
        self._clock = clock
        self._stopping = Event()

    @property
    def stopped(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """The step under way is the last one. Safe in a signal handler."""
        self._stopping.set()

    def run_night(
        self,
        tell: Callable[[Rotation], None],
        say: Callable[[str], None] = lambda _: None,
        *,
        wait: bool = True,
    ) -> NightResult:
        """One night by hand, opened under the present time.

        `tell` hears of each step, `say` what is waited for: a retry, or whoever holds a rotation. A rotation
        that watches is at rest. Others may work on the same rows. Without `wait` each step and notice that is
        due has one try, and what is to be tried again is left to whoever comes next.
        """
        try:
            self._clock_repair.mend()
            self._resume_sweep.carry_on()
            began = self._clock()
            self._nights.begin(began, by_hand=True)
        except Exception:  # it is told of, as its outcome would be
            self._beat()
            self._deliver(say, wait=wait)
            raise
        self._beat()
        with sessions_kept():
            self._drive(tell, say, began, wait=wait)
        for slot in self._nights.open_nights():
            self._nights.close(slot)
        if not self.stopped:
            self._deliver(say, wait=wait)
            self._nights.review(began)
            self._beat()
        with self._database.read() as connection:
            return NightResult(
                slot=began,
                counts=night_rows.get_night(connection, began).counts,
                problems=self._problems.of_night(connection, began),
            )

    def list_rotations(self, slot: datetime) -> list[Rotation]:
        """All of that night, as they are now."""
        with self._database.read() as connection:
            return rotation_rows.rotations_of_night(connection, slot)

    def find_moving(self) -> list[Rotation]:
        """What a person who stops now leaves under way."""
        return self._find_moving(self._clock(), None)

    def run_rotation(self, rotation_id: str, tell: Callable[[Rotation], None]) -> Rotation:
        """One rotation until it watches, waits for a person, or has ended; then its notices.

        A notice that cannot leave keeps nobody waiting: it is tried again with the next night, or by `up`.
        """

        def moving() -> bool:
            with self._database.read() as connection:
                found = rotation_rows.get_rotation(connection, rotation_id)
            return is_moving(found.state, found.waits_for, emergency=found.emergency)

        while moving() and not self.stopped:
            if self._rotate(rotation_id, tell) is None:
                self._stopping.wait(_POLL_SECONDS)
        if not self.stopped:
            self._deliver(wait=False)
        with self._database.read() as connection:
            return rotation_rows.get_rotation(connection, rotation_id)

    def run_emergency(self, name: str, tell: Callable[[Rotation], None], *, asked_by: str) -> Rotation:
        """Replaces a value that somebody else knows, and takes the old one away at once.

        A rotation that had activated its new value already is finished first, and then that one is
        replaced, too: it is not known which of the two is known.
        """
        return self._finish(self._open_emergency(name, asked_by), tell, asked_by)

    def run_several(
        self,
        item_ids: Sequence[str],
        tell: Callable[[Rotation], None],
        *,
        asked_by: str,
        emergency: bool = False,
        in_freeze: bool = False,
    ) -> list[Rotation | RefusedError]:
        """Replaces several items, or each as `run_emergency` does. A rotation of each is opened before the
        first is driven, so that whatever ends this command loses none; a refusal stands in the place of one.
        """
        opened: list[_Opened | RefusedError] = []
        for item_id in item_ids:
            try:
                if emergency:
                    opened.append(self._open_emergency(item_id, asked_by))
                else:
                    rotation = self._opening.request(item_id, asked_by=asked_by, in_freeze=in_freeze)
                    opened.append(_Opened(rotation=rotation))
            except LockedError:
                raise
            except RefusedError as error:
                opened.append(error)
        with sessions_kept():
            return [
                one if isinstance(one, RefusedError) else self._finish(one, tell, asked_by) for one in opened
            ]

    def _open_emergency(self, name: str, asked_by: str) -> "_Opened":
        with self._database.read() as connection:
            item = self._vault.get(connection, name)
            found = rotation_rows.find_open_rotation(connection, item.id)
        opened = self._opening.request_emergency(item.id, asked_by=asked_by)
        return _Opened(rotation=opened, again=found is not None and found.activated_at is not None)

    def _finish(self, opened: "_Opened", tell: Callable[[Rotation], None], asked_by: str) -> Rotation:
        rotation = self.run_rotation(opened.rotation.id, tell)
        if opened.again and rotation.state is State.DONE and not self.stopped:
            return self.run_emergency(rotation.item_id, tell, asked_by=asked_by)
        return rotation

    def run_decided(self, rotation_id: str, tell: Callable[[Rotation], None]) -> Rotation:
        """A rotation of which a person has just decided something: the step that follows, then to its rest."""
        self._rotate(rotation_id, tell)
        return self.run_rotation(rotation_id, tell)

    def recheck(self, item_ids: Iterable[str], tell: Callable[[Rotation], None]) -> list[Rotation]:
        """After a run that failed: the rotations of these items look now, and go back if it was theirs."""
        with self._database.read() as connection:
            found = [rotation_rows.find_open_rotation(connection, item_id) for item_id in item_ids]
        looked = []
        for rotation in found:
            watches = rotation is not None and rotation.state in WATCHED
            if rotation is not None and watches and self._rotate(rotation.id, tell) is not None:
                looked.append(self.run_rotation(rotation.id, tell))
        return looked

    def _beat(self) -> None:
        for name in self._heartbeat.waiting():
            self._heartbeat.send(name)

    def _drive(
        self, tell: Callable[[Rotation], None], say: Callable[[str], None], night: datetime, *, wait: bool
    ) -> None:
        """Whatever is due, until nothing moves that was there when the night began: its own rotations, and
        those of other nights, of persons, and of workers who may be gone.
        """
        said: set[str] = set()
        while not self._stopping.is_set():
            if self._side_by_side.drive_all(tell=tell, stopped=self._stopping.is_set) or self._check_some():
                continue
            moving = self._find_moving(self._nights.scanned_at(night), _NAMED_MAX)
            checking = self._nights.is_checking(night)
            if not (moving or checking) or not wait:
                return
            if checking:
                _say_once(said, say, "waiting for credentials that another process is checking")
            for rotation in moving:
                _say_once(said, say, _explain_wait(rotation))
            self._stopping.wait(_POLL_SECONDS)

    def _rotate(self, rotation_id: str, tell: Callable[[Rotation], None]) -> Advanced | None:
        return self._rotations.drive(rotation_id, tell=tell, stopped=self._stopping.is_set)

    def _check_some(self) -> bool:
        """Of each target the credential whose turn it is. Whether any was asked of."""
        asked = False
        for item_id in self._credential_checks.find_ready():
            if self._stopping.is_set():
                break
            asked = self._credential_checks.run(item_id) is not None or asked
        return asked

    def _deliver(self, say: Callable[[str], None] = lambda _: None, *, wait: bool) -> None:
        """What is due, and its retries; what waits for the end of somebody's quiet hours leaves by itself."""
        said: set[str] = set()
        while not self.stopped:
            self._delivery.deliver()
            until = self._delivery.next_try()
            if not wait or until is None or until > self._clock() + _PATIENCE:
                return
            _say_once(said, say, f"waiting to send what did not go out: next try at {until:%H:%M:%S} UTC")
            self._stopping.wait(_POLL_SECONDS)

    def _find_moving(self, begun_by: datetime, most: int | None) -> list[Rotation]:
        with self._database.read() as connection:
            return list(islice(rotation_rows.walk_moving(connection, begun_by=begun_by), most))


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
    why = f", since {say(rotation.last_error)}" if rotation.last_error else ""
    return f"waiting for {rotation.item}: its next try is at {next_at:%H:%M:%S} UTC{why}"
