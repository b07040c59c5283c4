"""One worker's way with one rotation: as it stands now, what the next commit stores of it, and the permission
to call the outside.

Steps change it in memory. It is stored whenever the transaction that they share is committed, which is before
anything leaves, and at the end; each time under its fence, and with its lease renewed.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Lock

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import ConflictError
from worker.domain.rotation import Rotation
from worker.domain.tracks import NewStep
from worker.outbound import is_only_looking
from worker.rows import rotation_leases as lease_rows

_MOMENT = timedelta(seconds=1)


class StepsUndoneError(ConflictError):
    """What steps wrote, and had not been committed yet, is undone: they are done again, one by one."""


class Drive:
    """`rotation` is as it stands, stored or not. It is the holder of its worker's unit of work."""

    def __init__(
        self,
        leased: Rotation,
        *,
        database: Database,
        audit: AuditLog,
        lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self.rotation = leased
        self.stored = leased
        """As it is for others."""
        self.has_acted = False
        """Whether a call to the outside was let through in this step: it may be under way then."""
        self.is_to_be_seen = False
        """Whether others are to see what came of this step before the next begins."""
        self.is_careful = False
        """Steps share nothing any more: each of their writes is committed by itself."""
        self._database = database
        self._audit = audit
        self._lease = lease
        self._gives_back = False
        self._clock = clock
        self._steps: list[NewStep] = []
        self._reached: list[Rotation] = []
        self._untold: list[Rotation] = []
        self._undone = False
        self._held_at: datetime | None = None
        """When it was last held for certain: stored under its fence, and committed, or asked for."""
        self._storing_at: datetime | None = None
        self._is_first = False
        """Whether the next call is the first one since then."""
        self._letting_out = Lock()
        self._is_abandoned = False

    def begin_step(self, *, again: bool) -> None:
        """`again`: it was undone. Counts the try, which the lease has done for the first one."""
        self._undone = self.is_to_be_seen = False
        if not again:
            self.change(attempts=self.rotation.attempts + 1)

    def change(self, **changes: object) -> None:
        """What came of its step, or is about to be asked for: stored before anything leaves."""
        self.rotation = self.rotation.change(**changes)

    @property
    def is_undone(self) -> bool:
        """Whether anything was undone since the step began, so that this is to be done again."""
        return self._undone and not self.is_careful

    def refuse_undone(self) -> None:
        """`StepsUndoneError` if anything was undone since the step began: also what nobody was told of."""
        if self.is_undone:
            raise StepsUndoneError(f"what was written for {self.rotation.id} was undone")

    def move(self, connection: Connection, after: Rotation, step: NewStep | None) -> None:
        """It stands there now, by this step; None: there is nothing new to record of it."""
        before, self.rotation = self.rotation, after
        self.has_acted = False
        self._reached.append(after)
        if step is not None:
            self._steps.append(step)
        if after.state is not before.state:
            self._audit.append(
                connection,
                at=self._clock(),
                actor=after.id,
                action=f"rotation.{after.state.value}",
                subject=after.id,
                item=after.item_id,
            )

    def check(self) -> None:
        """Before a call to the outside: what was written is committed. `ConflictError` for who no longer holds
        the rotation. For a moment after it was stored under the fence, or that was asked, calls that only look
        need not ask it; nor need the first call after it was stored, whatever that does.
        """
        self.refuse_undone()
        with self._database.apart():
            if not (self._was_just_held() and (self._is_first or is_only_looking())):
                self._ask_whether_held()
        self._is_first = False
        with self._letting_out:
            if self._is_abandoned:
                raise ConflictError(f"rotation {self.stored.id} was given up, since its process ends")
            self.has_acted = True

    def abandon(self) -> bool:
        """By another thread: no further call to the outside is let through. Whether none was in this step, so
        that nothing of it can arrive any more.
        """
        with self._letting_out:
            self._is_abandoned = True
            return not self.has_acted

    def _was_just_held(self) -> bool:
        at, now = self._held_at, self._clock()
        return at is not None and at <= now < at + _MOMENT

    def _ask_whether_held(self) -> None:
        now = self._clock()
        with self._database.read() as connection:
            held = lease_rows.is_held(connection, self.stored, now=now)
        if not held:
            raise ConflictError(f"rotation {self.stored.id} was taken over by another worker")
        self._held_at = now

    def give_back(self) -> None:
        """The last commit: whoever comes next goes on from there. Once is enough."""
        if self.stored.lease_until is None:
            return
        self._gives_back = True
        try:
            with self._database.apart():
                pass
        finally:
            self._gives_back = False

    def take_untold(self) -> list[Rotation]:
        """Each state that it came to and that is stored by now, once."""
        untold, self._untold = self._untold, []
        return untold

    # The holder of a unit of work

    adds = lease_rows.ADDED

    @property
    def is_ahead(self) -> bool:
        return self.rotation is not self.stored or self._gives_back

    @property
    def _is_last(self) -> bool:
        """With this commit it is given back: nobody goes on with one that is over."""
        return self._gives_back or self.rotation.finished_at is not None

    def begin(self, connection: Connection) -> None:
        lease_rows.lock_held(connection, self.stored, now=self._clock())

    def store(self, connection: Connection) -> None:
        """`ConflictError` for who lost the rotation, or let its lease lapse: nothing of all this stands."""
        lease = None if self._is_last else self._lease
        now = self._storing_at = self._clock()  # and not when it is committed, which may take a while
        lease_rows.store_rotation(connection, self.stored, self.rotation, self._steps, now=now, lease=lease)

    def end(self, *, kept: bool) -> None:
        if kept:
            is_last = self._is_last
            if is_last:
                self.change(lease_until=None)
            self.stored = self.rotation
            self._untold += self._reached
            self._held_at = None if is_last else self._storing_at
            self._is_first = True
        else:
            self._held_at = None
            self.rotation = self.stored
            self._undone = True
        self._steps, self._reached = [], []
