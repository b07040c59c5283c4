"""Who may begin at a target system: so many at once, over all workers. Who does not get in waits until somebody
there has come to an end, and calls for the next.
"""

from collections.abc import Callable
from datetime import datetime

from vaultcore.database import Database
from worker.domain.work import AtTarget
from worker.rows import credential_checks as check_rows
from worker.rows import target_capacity as capacity_rows


class TargetCapacity:
    def __init__(self, *, database: Database, at_once: int, clock: Callable[[], datetime]) -> None:
        self._database = database
        self.at_once = at_once
        self._clock = clock

    def find_next(self, target: str, *, ended: int) -> AtTarget:
        """Who waits there, as far as it has capacity, in the place of so many who came to an end: rotations
        first, then the check whose turn it is.
        """
        now = self._clock()
        with self._database.read() as connection:
            left = capacity_rows.count_left(connection, target, at_once=self.at_once, now=now)
            most = min(left, ended)
            if not most:
                return AtTarget()
            rotations = capacity_rows.find_next(connection, target, most=most, now=now)
            checks = check_rows.find_next(connection, target) if len(rotations) < most else []
        return AtTarget(rotations=tuple(rotations), checks=tuple(checks))
