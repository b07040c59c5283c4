"""The resume sweep: what is due and has no message under way. A lost bell costs a ring, never a rotation.

One select tells what kinds of work there may be, and only for these it looks further: while nothing is due,
that select is all, however much is open. Where something is, one sweep at a time looks (`sweep_lease.py`).
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from vaultcore.database import Database
from worker.domain.clocks import SKEW
from worker.domain.pickups import REPEATS_FOR
from worker.domain.work import Task, Work, after_sweep, find_room_to_rotate
from worker.log import get_logger
from worker.rows import due_work as due_rows
from worker.rows import payloads as payload_rows
from worker.rows import requests as request_rows
from worker.rows import rotations as rotation_rows
from worker.rows import taken_messages as taken_rows
from worker.services.night.nights import Nights
from worker.services.night.sweep_lease import SweepLease
from worker.services.notices.delivery import Delivery
from worker.services.notices.heartbeat import Heartbeat
from worker.services.rotation.credential_checks import CredentialChecks
from worker.services.rotation.pickups import Pickups
from worker.services.rotation.target_capacity import TargetCapacity
from worker.services.runs.runs import LOST_AFTER, Runs
from worker.services.upkeep.clock_repair import ClockRepair

_log = get_logger(__name__)
ACTOR = "resume"
_RUN_GRACE = timedelta(minutes=2)
_MOST = 500
"""Rotations that one sweep finds: after these have been driven, the next one looks."""
_URGENT_MOST = 8
"""Emergencies that one sweep calls for, by their ids, whatever waits."""


FindRoom = Callable[[], int | None]
"""For how many messages more there is room in the line of target systems; None: for any number."""


class ResumeSweep:
    def __init__(
        self,
        *,
        database: Database,
        runs: Runs,
        pickups: Pickups,
        credential_checks: CredentialChecks,
        target_capacity: TargetCapacity,
        nights: Nights,
        delivery: Delivery,
        heartbeat: Heartbeat,
        clock_repair: ClockRepair,
        sweep_lease: SweepLease,
        at_once: int,
        clock: Callable[[], datetime],
    ) -> None:
        """`at_once`: how many rotations a worker drives together."""
        self._database = database
        self._runs = runs
        self._pickups = pickups
        self._credential_checks = credential_checks
        self._target_capacity = target_capacity
        self._nights = nights
        self._delivery = delivery
        self._heartbeat = heartbeat
        self._clock_repair = clock_repair
        self._sweep_lease = sweep_lease
        self._at_once = at_once
        self._clock = clock

    def find_work(self, find_room: FindRoom = lambda: None) -> list[Work]:
        """Closes nights that have come to rest, and forgets keys that arrived; then what is due: rotations,
        checks of credentials, deliveries, and runs that were opened a while ago and never begun. While another
        sweep is at it: nothing, and that one calls for one more.

        What is due may have been called for before, and its message wait: so `find_room` says for how many more
        there is room.
        """
        due, mended = self._look()
        if not (mended or due.is_any):
            return []
        return self._sweep_lease.run_alone(lambda: self._sweep(due, mended=mended, find_room=find_room))

    def _look(self) -> tuple[due_rows.DueWork, bool]:
        """What may be due; and whether it was time to mend what clocks have written that were ahead."""
        due = self._find_due()
        mended = self._clock_repair.mend_if_due(seen_ahead=due.ahead)
        return (self._find_due() if mended else due), mended

    def _sweep(self, due: due_rows.DueWork, *, mended: bool, find_room: FindRoom) -> list[Work]:
        if due.arrived:
            self._pickups.end_arrived(actor=ACTOR)
        if due.nights:
            self._close_nights()
        if due.old or mended:
            self._forget_old(self._clock(), mended=mended)
        if due.arrived or due.nights:  # what these have written may be due
            due = self._find_due()
        emergencies = self._find_rotations(_URGENT_MOST, emergencies=True) if due.emergencies else []
        room = find_room() if due.rotations or due.checks or due.pending_runs else 0
        to_rotate = find_room_to_rotate(room, others_wait=due.checks or due.pending_runs)
        most = _MOST if to_rotate is None else min(_MOST, to_rotate * self._at_once)
        rotations = self._find_rotations(most) if due.rotations and most else []
        checks = self._credential_checks.find_ready() if due.checks and room != 0 else []
        if due.lost_runs:
            self._runs.end_lost()
        opened_before = self._clock() - _RUN_GRACE
        return after_sweep(
            emergencies=emergencies,
            rotations=[one for one in rotations if one not in emergencies],
            checks=checks,
            runs=self._runs.find_waiting(opened_before=opened_before) if due.pending_runs else [],
            heartbeats=self._heartbeat.waiting() if due.heartbeats else [],
            notices=(due.deliveries or due.unrouted) and self._delivery.is_due(),
            at_once=self._at_once,
            room=room,
        )

    def _find_due(self) -> due_rows.DueWork:
        now = self._clock()
        moments = due_rows.Moments(
            now=now,
            ahead=now + SKEW,
            runs_opened=now - _RUN_GRACE,
            runs_begun=now - LOST_AFTER,
            keys_arrived=now - REPEATS_FOR,
            requests_asked=now - request_rows.ASKED_ONCE,
            messages_sent=now - taken_rows.KEPT,
        )
        with self._database.read() as connection:
            return due_rows.find_due(connection, moments)

    def _find_rotations(self, most: int, *, emergencies: bool = False) -> list[str]:
        with self._database.read() as connection:
            return rotation_rows.due_rotations(
                connection,
                self._clock(),
                limit=most,
                at_once=self._target_capacity.at_once,
                emergencies=emergencies,
            )

    def carry_on(self) -> None:
        """For who has no worker, before a night: the runs that a worker would do now, one after the other.

        What was cut off is ended, what its schedule has due is run, what has waited long enough goes on, and
        what these begin follows. Rotations, notices and heartbeats are the night's own. It leaves nothing to
        a sweep under way: one that died there would not do it.
        """
        due, mended = self._look()
        cut_off = [
            work.about
            for work in self._sweep(due, mended=mended, find_room=lambda: None)
            if work.task is Task.RUN
        ]
        todo = deque((*cut_off, *self._runs.open_due(), *self._runs.due_runs()))
        while todo:
            run_id = todo.popleft()
            try:
                outcome = self._runs.execute(run_id, actor="night")
            except Exception as error:  # noqa: BLE001  # one bad run stops no night: it is ended as lost, and told
                _log.error("run.failed", run=run_id, error=type(error).__name__)
            else:
                todo.extend(() if outcome is None else outcome.begun)

    def _forget_old(self, now: datetime, *, mended: bool) -> None:
        """What runs began with, answers to requests, and messages that were taken, whose time is over.
        `mended`: it was time to look for what a clock has written that was ahead.
        """
        with self._database.write() as connection:
            payload_rows.forget_old(connection, now, ahead=mended)
            request_rows.forget_old(connection, before=now - request_rows.ASKED_ONCE, now=now)
            taken_rows.forget_old(connection, now)

    def _close_nights(self) -> None:
        for slot in self._nights.open_nights():
            self._nights.close(slot)
