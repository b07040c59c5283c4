"""How things stand, read in one go."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from vaultcore.access import Action, Principal
from vaultcore.database import Database
from vaultcore.owners import Owners
from worker.config import Settings
from worker.domain.findings import WORST_FIRST
from worker.domain.problems import Problem, ProblemKind, worst_first
from worker.domain.reasons import Code, Reason
from worker.domain.slots import next_slot
from worker.rows import attention as attention_rows
from worker.rows import counts
from worker.rows import findings as finding_rows
from worker.rows import nights as night_rows
from worker.rows import notices as notice_rows
from worker.rows.nights import Night
from worker.services.night.problems import Problems
from worker.services.night.visible import find_seen_owners
from worker.services.upkeep.anchors import Anchors
from worker.wording.reasons import say


@dataclass(frozen=True, kw_only=True)
class Status:
    """What is wrong, worst first; then nights, counts by state, and the open findings.

    `last_night` is the last that began at its time, `by_hand` one that a person ran since then.
    """

    problems: list[Problem]
    last_night: Night | None
    by_hand: Night | None
    next_night: datetime
    items: int
    workflows: int
    rotations: dict[str, int]
    notices: dict[str, int]
    findings: list[dict[str, Any]]


class StatusReader:
    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        problems: Problems,
        anchors: Anchors,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owners = owners
        self._problems = problems
        self._anchors = anchors
        self._settings = settings
        self._clock = clock

    def read(self, *, seen_by: Principal | None = None) -> Status:
        """`seen_by`: lapsed items are counted of what they may see; None: of all."""
        found = self._anchors.explain_older()
        older = (
            []
            if found is None
            else [Problem(kind=ProblemKind.OLDER, subject="", error=Reason.of(Code.OLDER_DATABASE, text=found))]
        )
        with self._database.read() as connection:
            scheduled = night_rows.last_night(connection, by_hand=False)
            by_hand = night_rows.last_night(connection, by_hand=True)
            if scheduled is not None and by_hand is not None and by_hand.started_at < scheduled.started_at:
                by_hand = None
            rotations = counts.count_rotations(connection)
            return Status(
                problems=older + self._find_wrong(connection, seen_by),
                last_night=scheduled,
                by_hand=by_hand,
                next_night=next_slot(self._settings.night_at, self._settings.zone, self._clock()),
                items=counts.count_items(connection),
                workflows=counts.count_workflows(connection),
                rotations=rotations,
                notices=notice_rows.count(connection),
                findings=[
                    {
                        "id": row.id,
                        "kind": row.kind,
                        "item": row.item,
                        "item_id": row.item_id,
                        "workflow": row.workflow,
                        "detail": say(row.detail),
                        "opened_at": row.opened_at,
                    }
                    for row in sorted(
                        finding_rows.list_open(connection),
                        key=lambda row: (WORST_FIRST[row.kind], row.item or ""),
                    )
                ],
            )

    def _find_wrong(self, connection: Connection, seen_by: Principal | None) -> list[Problem]:
        """A night ends well that has told of what lapsed; but nothing stands well while it is so."""
        now = self._clock()
        found = self._problems.now(connection)
        owner_ids = None
        if seen_by is not None:
            owner_ids = find_seen_owners(connection, self._owners, seen_by, Action.ITEM_SEE)
        lapsed = attention_rows.list_owners_turn(connection, now=now, due_too=False, limit=1, seen_by=owner_ids)
        if not lapsed:
            return found
        number = attention_rows.count_owners_turn(connection, now=now, due_too=False, seen_by=owner_ids)
        problem = Problem(
            kind=ProblemKind.LAPSED, subject=lapsed[0].name, at=lapsed[0].expires_at, number=number
        )
        return worst_first([*found, problem])
