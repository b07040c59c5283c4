"""Leases while their holders work: renewed by one thread of the process, and asked before each call outside."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import ConflictError
from worker.domain.rotation import Rotation
from worker.rows import check_turns as turn_rows
from worker.rows import rotation_leases as lease_rows

_log = structlog.get_logger(__name__)
_RENEWALS = 3
"""How often a lease is renewed in its own time: two may fail before it lapses."""
_IDLE_SECONDS = 5.0
"""After how long without anything to renew the thread ends."""


class Leased(Protocol):
    """What is held, as its rows know it. `name` says it to people."""

    @property
    def name(self) -> str: ...
    def is_held(self, connection: Connection, *, now: datetime) -> bool: ...
    def renew(self, connection: Connection, *, now: datetime, lease: timedelta) -> bool: ...


@dataclass(frozen=True)
class LeasedRotation:
    rotation: Rotation

    @property
    def name(self) -> str:
        return f"rotation {self.rotation.id}"

    def is_held(self, connection: Connection, *, now: datetime) -> bool:
        return lease_rows.is_held(connection, self.rotation, now=now)

    def renew(self, connection: Connection, *, now: datetime, lease: timedelta) -> bool:
        return lease_rows.renew_lease(connection, self.rotation, now=now, lease=lease)


@dataclass(frozen=True)
class LeasedTurn:
    """The turn at a target, of whoever checks an item's credential there."""

    target: str
    holder: str
    item_id: str

    @property
    def name(self) -> str:
        return f"the check of {self.item_id}"

    def is_held(self, connection: Connection, *, now: datetime) -> bool:
        return turn_rows.is_held(connection, self.target, self.holder, now=now)

    def renew(self, connection: Connection, *, now: datetime, lease: timedelta) -> bool:
        return turn_rows.renew(connection, self.target, self.holder, now=now, lease=lease)


class Permission:
    """To call the outside for what is leased: asked for before each call."""

    def __init__(self, database: Database, leased: Leased, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._leased = leased
        self._clock = clock
        self.has_acted = False
        """Whether a call to the outside was let through: it may be under way when its caller is gone."""

    def check(self) -> None:
        """`ConflictError` for who no longer holds it."""
        with self._database.read() as connection:
            held = self._leased.is_held(connection, now=self._clock())
        if not held:
            raise ConflictError(f"{self._leased.name} was taken over by another worker")
        self.has_acted = True


@dataclass
class _Held:
    leased: Leased
    lease: timedelta
    due: float
    """When it is renewed next, by the monotonic clock."""


class LeaseKeeper:
    """Renews all that this process holds, by one thread. A process that stalls renews nothing, loses what it
    held to another, and is refused when it wakes: its calls by a check before each, its commits by the fence.
    """

    def __init__(self, database: Database, *, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock
        self._held: list[_Held] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    @contextmanager
    def hold(self, leased: Leased, lease: timedelta) -> Iterator[None]:
        """Until the block ends it is renewed three times in each `lease`, unless it was lost."""
        pause = lease.total_seconds() / _RENEWALS
        held = _Held(leased, lease, time.monotonic() + pause)
        with self._changed:
            self._held.append(held)
            if (
                self._thread is None or not self._thread.is_alive()
            ):  # it was never begun, has gone, or is a parent's
                self._wakes_at = held.due
                self._thread = threading.Thread(target=self._keep, name="leases", daemon=True)
                self._thread.start()
            elif held.due < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._let_go(held)

    def _keep(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [held for held in self._held if held.due <= now]
                if not due:
                    idle = not self._held
                    self._wakes_at = now + _IDLE_SECONDS if idle else min(held.due for held in self._held)
                    self._changed.wait(self._wakes_at - now)
                    if idle and not self._held and time.monotonic() >= self._wakes_at:
                        self._thread = None
                        return
            for held in due:
                self._renew(held)

    def _renew(self, held: _Held) -> None:
        held.due = time.monotonic() + held.lease.total_seconds() / _RENEWALS
        try:
            with self._database.write() as connection:
                renewed = held.leased.renew(connection, now=self._clock(), lease=held.lease)
        except Exception as error:  # noqa: BLE001  # the next renewal comes in time, or the lease lapses
            _log.warning("lease.not-renewed", held=held.leased.name, error=type(error).__name__)
            return
        if not renewed:
            with self._changed:
                self._let_go(held)

    def _let_go(self, held: _Held) -> None:
        self._held = [one for one in self._held if one is not held]
