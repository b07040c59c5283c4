"""A lease while a step runs: renewed by a thread, and asked before each call to the outside."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

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


class Lease:
    """Held from taking it to the commit of its result. A process that stalls stops renewing it, loses what it
    held to another, and is refused when it wakes: its calls here, its commits by the fence.
    """

    def __init__(
        self, database: Database, leased: Leased, *, lease: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._leased = leased
        self._lease = lease
        self._clock = clock
        self._over = threading.Event()
        self.has_acted = False
        """Whether a call to the outside was let through: it may be under way when its caller is gone."""
        self._thread = threading.Thread(target=self._renew, name=f"lease-{leased.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Before a call to the outside: `ConflictError` for who no longer holds it."""
        with self._database.read() as connection:
            held = self._leased.is_held(connection, now=self._clock())
        if not held:
            raise ConflictError(f"{self._leased.name} was taken over by another worker")
        self.has_acted = True

    def _renew(self) -> None:
        while not self._over.wait(self._lease.total_seconds() / _RENEWALS):
            try:
                with self._database.write() as connection:
                    renewed = self._leased.renew(connection, now=self._clock(), lease=self._lease)
            except Exception as error:  # noqa: BLE001  # the next renewal comes in time, or the lease lapses
                _log.warning("lease.not-renewed", held=self._leased.name, error=type(error).__name__)
            else:
                if not renewed:
                    return
