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

    def find_next(self, target: str) -> AtTarget:
        """Who waits there, as far as it has capacity: rotations first, then the check whose turn it is."""
        now = self._clock()
        with self._database.read() as connection:
            left = capacity_rows.count_left(connection, target, at_once=self.at_once, now=now)
            if not left:
                return AtTarget()
            rotations = capacity_rows.find_next(connection, target, most=left, now=now)
            checks = check_rows.find_next(connection, target) if len(rotations) < left else []
        return AtTarget(rotations=tuple(rotations), checks=tuple(checks))
