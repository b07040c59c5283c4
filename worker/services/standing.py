"""How things stand, read in one go."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from vaultcore.database import Database
from vaultcore.tables import items
from worker import finding_rows, notice_rows
from worker.config import Settings
from worker.domain.findings import WORST_FIRST, FindingKind
from worker.domain.saga import State
from worker.domain.slots import next_slot
from worker.services.heartbeat import Heartbeat
from worker.services.night import Nights
from worker.tables import rotations, sweeps, workflows


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Counts by state, the last night, and the open findings."""

    last_night: dict[str, Any] | None
    next_night: datetime
    items: int
    workflows: int
    rotations: dict[str, int]
    notices: dict[str, int]
    findings: list[dict[str, Any]]
    problems: list[str]
    """What did not succeed since the last night began, as sentences."""


class StandingReader:
    def __init__(
        self,
        *,
        database: Database,
        nights: Nights,
        heartbeat: Heartbeat,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._nights = nights
        self._heartbeat = heartbeat
        self._settings = settings
        self._clock = clock

    def read(self) -> Standing:
        with self._database.read() as connection:
            night = connection.execute(select(sweeps).order_by(sweeps.c.slot.desc()).limit(1)).one_or_none()
            counted = connection.execute(
                select(rotations.c.state, func.count()).group_by(rotations.c.state)
            ).all()
            return Standing(
                last_night=None
                if night is None
                else {
                    "slot": night.slot,
                    "outcome": night.outcome,
                    "done_at": night.done_at,
                    "counts": night.counts,
                },
                next_night=next_slot(self._settings.night_at, self._settings.zone, self._clock()),
                items=connection.execute(select(func.count()).select_from(items)).scalar_one(),
                workflows=connection.execute(select(func.count()).select_from(workflows)).scalar_one(),
                rotations=dict(counted),
                notices=notice_rows.count(connection),
                problems=self._find_problems(connection, night),
                findings=[
                    {
                        "id": row.id,
                        "kind": row.kind,
                        "item": row.item,
                        "item_id": row.item_id,
                        "workflow": row.workflow,
                        "detail": row.detail,
                        "opened_at": row.opened_at,
                    }
                    for row in sorted(
                        finding_rows.list_open(connection),
                        key=lambda row: (WORST_FIRST[FindingKind(row.kind)], row.item or ""),
                    )
                ],
            )

    def _find_problems(self, connection: Connection, night: Row[*tuple[Any, ...]] | None) -> list[str]:
        slot = None if night is None else night.slot
        stuck = connection.execute(
            select(rotations.c.id, rotations.c.item, rotations.c.last_error, rotations.c.night)
            .where(rotations.c.state == State.STUCK.value)
            .order_by(rotations.c.id)
        )
        problems = [
            f"{row.item} is stuck: {row.last_error} (nightkey rotation show {row.id})"
            for row in stuck
            if slot is None or row.night != slot
        ]
        if night is None:
            return problems + notice_rows.problems_since(connection, self._clock())
        return [
            *self._nights.problems_of(connection, night.slot),
            *problems,
            *notice_rows.problems_since(connection, night.started_at),
            *self._heartbeat.problems(connection),
        ]
