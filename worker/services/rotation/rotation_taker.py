"""Rotations are taken here by whoever will drive them: leased, and that committed, before anything is done."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import TamperedError, UnreadableError
from worker.domain.rotation import STEADY_CUT_OFFS, Rotation
from worker.log import get_logger
from worker.rows import due_leases as due_rows
from worker.rows import rotation_changes as change_rows
from worker.rows import rotation_leases as lease_rows
from worker.rows import rotations as rotation_rows
from worker.services.rotation.target_capacity import TargetCapacity
from worker.services.upkeep.anchors import Anchors
from worker.services.upkeep.row_verification import RowVerification

_log = get_logger(__name__)
_TAMPERED_PAUSE = timedelta(hours=1)
"""How long a rotation that was changed behind the vault's back is not looked at again."""


class RotationTaker:
    """`RefusedError` on a database that is older than its anchors: what it says of rotations may be past."""

    def __init__(
        self,
        *,
        database: Database,
        anchors: Anchors,
        row_verification: RowVerification,
        target_capacity: TargetCapacity,
        lease: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._anchors = anchors
        self._row_verification = row_verification
        self._target_capacity = target_capacity
        self._lease = lease
        self._clock = clock

    def take(self, rotation_id: str) -> Rotation | None:
        """None if no step is due, somebody else is at it, or its target has no capacity left."""
        try:
            with self._database.write() as connection:
                self._anchors.refuse_older(connection)
                return lease_rows.lease_rotation(
                    connection,
                    rotation_id,
                    now=self._clock(),
                    lease=self._lease,
                    at_once=self._target_capacity.at_once,
                )
        except UnreadableError as error:
            self._refuse(rotation_id, error)
        return None

    def find_due(self, *, most: int = 500) -> list[str]:
        """What could be taken, as far as its target has capacity left."""
        with self._database.read() as connection:
            return rotation_rows.due_rotations(
                connection, self._clock(), limit=most, at_once=self._target_capacity.at_once
            )

    def take_due(self, *, most: int, first: str | None) -> list[Rotation]:
        """That one if it may be had, and as many others that are due, in one transaction.

        What was cut off twice is taken alone: if it is what ends its worker, that is held against nobody else.
        """
        with self._database.write() as connection:
            self._anchors.refuse_older(connection)
            wanted = self._lease_due(connection, [] if first is None else [first], most=1)
            cut_off = any(one.cut_off > STEADY_CUT_OFFS for one in wanted.leased)
            leased, refused = [*wanted.leased], dict(wanted.refused)
            goes_on = not cut_off
            while goes_on and len(leased) < most:  # those that are looked at first may be of one target
                others = self._lease_due(connection, None, most=most - len(leased), steady=True)
                leased += others.leased
                refused |= others.refused
                goes_on = bool(others.leased)
        for rotation_id, error in refused.items():
            self._refuse(rotation_id, error)
        return leased

    def _lease_due(
        self, connection: Connection, ids: list[str] | None, *, most: int, steady: bool = False
    ) -> due_rows.DueLeases:
        return due_rows.lease_due(
            connection,
            ids,
            most=most,
            now=self._clock(),
            lease=self._lease,
            at_once=self._target_capacity.at_once,
            steady=steady,
        )

    def release(self, leased: Rotation) -> Rotation:
        """As it stands, given back if it is still held."""
        with self._database.write() as connection:
            lease_rows.release_lease(connection, leased)
            return rotation_rows.get_rotation(connection, leased.id)

    def _refuse(self, rotation_id: str, error: UnreadableError) -> None:
        """None of us wrote the rotation so: nothing is done by it before a person has looked. That is told. One
        that cannot even be read is left as it is: the scan makes a finding of it.
        """
        if not isinstance(error, TamperedError):
            _log.error("rotation.unreadable", rotation=rotation_id)
            return
        _log.error("rotation.tampered", rotation=rotation_id, table=error.table)
        now = self._clock()
        with self._database.write() as connection:
            self._row_verification.record(connection, error)
            change_rows.put_off(connection, rotation_id, now + _TAMPERED_PAUSE)
