"""One worker's way with one rotation: as it stands now, what the next commit stores of it, and the permission
to call the outside.

Steps change it in memory. It is stored whenever the transaction that they share is committed, which is before
anything leaves, and at the end; each time under its fence, and with its lease renewed.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import ConflictError
from worker.domain.rotation import Rotation
from worker.domain.tracks import NewStep
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotation_steps as step_rows


class Drive:
    """`rotation` is as it stands, stored or not. `tell` hears of each state it came to, once that is stored."""

    def __init__(
        self,
        leased: Rotation,
        *,
        database: Database,
        audit: AuditLog,
        lease: timedelta,
        tell: Callable[[Rotation], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.rotation = leased
        self.stored = leased
        """As it is for others."""
        self.commits = 0
        self.has_acted = False
        """Whether a call to the outside was let through: it may be under way when its caller is gone."""
        self._database = database
        self._audit = audit
        self._lease: timedelta | None = lease
        self._tell = tell
        self._clock = clock
        self._steps: list[NewStep] = []
        self._numbered: int | None = None
        self._untold: list[Rotation] = []

    def change(self, **changes: object) -> None:
        """What came of its step, or is about to be asked for: stored before anything leaves."""
        self.rotation = replace(self.rotation, **changes)  # type: ignore[arg-type]  # fields of a rotation

    def move(self, connection: Connection, after: Rotation, step: NewStep | None) -> None:
        """It stands there now, by this step; None: there is nothing new to record of it."""
        before, self.rotation = self.rotation, after
        self._untold.append(after)
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
        """Before a call to the outside: what was written is committed; `ConflictError` for who no longer holds
        the rotation.
        """
        before = self.commits
        with self._database.apart():
            if self.commits == before:  # nothing was stored under the fence just now
                with self._database.read() as connection:
                    if not lease_rows.is_held(connection, self.stored, now=self._clock()):
                        raise ConflictError(f"rotation {self.stored.id} was taken over by another worker")
        self.has_acted = True

    def give_back(self) -> None:
        """The last commit: whoever comes next goes on from there."""
        self._lease = None
        with self._database.write():
            pass  # it may be all that there is to write

    # Called by the transaction

    def store(self, connection: Connection) -> None:
        """`ConflictError` for who lost the rotation, or let its lease lapse: nothing of all this stands."""
        lease_rows.store_rotation(connection, self.stored, self.rotation, now=self._clock(), lease=self._lease)
        if self._steps:
            if self._numbered is None:
                self._numbered = step_rows.last_number(connection, self.rotation.id)
            step_rows.add_steps(connection, self.rotation.id, self._steps, after=self._numbered)

    def settle(self, kept: bool) -> None:  # as the unit says it
        """The transaction is over. What was not kept never was."""
        if not kept:
            self.rotation = self.stored
            self._numbered = None
            self._steps, self._untold = [], []
            return
        if self._lease is None:
            self.change(lease_until=None)
        self.stored = self.rotation
        self.commits += 1
        if self._numbered is not None:
            self._numbered += len(self._steps)
        untold, self._steps, self._untold = self._untold, [], []
        for one in untold:
            self._tell(one)
