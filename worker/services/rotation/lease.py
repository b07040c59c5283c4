"""A lease while a step runs: renewed by a thread, and asked before each call to the outside."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import structlog

from vaultcore.database import Database
from vaultcore.errors import ConflictError
from worker.domain.rotation import Rotation
from worker.rows import rotation_leases as lease_rows

_log = structlog.get_logger(__name__)
_RENEWALS = 3
"""How often a lease is renewed in its own time: two may fail before it lapses."""


class Lease:
    """Held from taking it to the commit of its result. A process that stalls stops renewing it, loses the
    rotation to another, and is refused when it wakes: its calls here, its commits by the fence.
    """

    def __init__(
        self, database: Database, leased: Rotation, *, lease: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._leased = leased
        self._lease = lease
        self._clock = clock
        self._over = threading.Event()
        self.has_acted = False
        """Whether a call to the outside was let through: it may be under way when its caller is gone."""
        self._thread = threading.Thread(target=self._renew, name=f"lease-{leased.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Before a call to the outside: `ConflictError` for who no longer holds the rotation."""
        with self._database.read() as connection:
            held = lease_rows.is_held(connection, self._leased, now=self._clock())
        if not held:
            raise ConflictError(f"rotation {self._leased.id} was taken over by another worker")
        self.has_acted = True

    def _renew(self) -> None:
        while not self._over.wait(self._lease.total_seconds() / _RENEWALS):
            try:
                with self._database.write() as connection:
                    renewed = lease_rows.renew_lease(
                        connection, self._leased, now=self._clock(), lease=self._lease
                    )
            except Exception as error:  # noqa: BLE001  # the next renewal comes in time, or the lease lapses
                _log.warning("lease.not-renewed", rotation=self._leased.id, error=type(error).__name__)
            else:
                if not renewed:
                    return
