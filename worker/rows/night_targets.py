"""What a night has opened so far at each target system: its caps are on that."""

from datetime import datetime

from sqlalchemy import Connection, func, select

from worker.rows.tables import rotations


def targets_of_night(connection: Connection, night: datetime) -> list[tuple[str | None, int]]:
    """The target systems of the night's rotations, and how many are at each; None: those that have none."""
    at_each = select(rotations.c.target, func.count()).where(rotations.c.night == night)
    return [(row[0], row[1]) for row in connection.execute(at_each.group_by(rotations.c.target))]
