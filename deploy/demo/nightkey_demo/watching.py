"""Follows the rows of a night as others write them, and says each new one in a line."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from nightkey_demo.lines import Line
from worker.domain.reasons import Code, Reason, read_reason, read_reasons
from worker.domain.saga import State, is_moving
from worker.rows.notices import show_place
from worker.rows.rotation_steps import read_said
from worker.rows.tables import deliveries, findings, notices, rotation_steps, rotations, runs, sweeps
from worker.wording.reasons import say, say_all


class Watcher:
    """Remembers what it has said; `look` gives the lines for what is new."""

    def __init__(self, began: datetime) -> None:
        self._began = began
        self._said: set[Any] = set()

    def look(self, connection: Connection) -> Iterator[Line]:
        new = [
            *self._new_findings(connection),
            *self._new_steps(connection),
            *self._new_runs(connection),
            *self._new_notices(connection),
        ]
        yield from sorted(new, key=lambda line: line.at)

    def is_over(self, connection: Connection) -> bool:
        """The night is closed, every rotation is at rest for good, and everything was sent."""
        night = connection.execute(select(sweeps.c.done_at).order_by(sweeps.c.slot.desc()).limit(1)).scalar()
        if night is None:
            return False
        states = connection.execute(select(rotations.c.state, rotations.c.waits_for)).all()
        resting = not any(
            is_moving(State(state), waits_for) or _waits_for_us(State(state), waits_for)
            for state, waits_for in ((row.state, read_reasons(row.waits_for)) for row in states)
        )
        waiting = connection.execute(
            select(func.count()).select_from(deliveries).where(deliveries.c.state == "waiting")
        ).scalar_one()
        return resting and waiting == 0

    def _new_findings(self, connection: Connection) -> Iterator[Line]:
        rows = connection.execute(select(findings).order_by(findings.c.opened_at, findings.c.id))
        for row in rows:
            if self._is_new(("finding", row.id)):
                yield Line(
                    at=row.opened_at,
                    what="found",
                    subject=row.item or "-",
                    text=f"{row.kind}: {say(read_reason(row.detail))}",
                )

    def _new_steps(self, connection: Connection) -> Iterator[Line]:
        rows = connection.execute(
            select(rotation_steps, rotations.c.item)
            .join(rotations, rotations.c.id == rotation_steps.c.rotation_id)
            .order_by(rotation_steps.c.at)
        )
        for row in rows:
            if self._is_new(("step", row.rotation_id, row.number)):
                bad, said = row.result in ("failed", "retry"), say_all(read_said(row.said))
                yield Line(
                    at=row.at,
                    what=row.step,
                    subject=row.item,
                    bad=bad,
                    text=f"{row.result.upper()}: {said}" if bad else said,
                )

    def _new_runs(self, connection: Connection) -> Iterator[Line]:
        """The first production run of each workflow since the demo began; the tests are steps."""
        rows = connection.execute(
            select(runs)
            .where(runs.c.purpose == "production", runs.c.completed_at >= self._began)
            .order_by(runs.c.completed_at)
        )
        for row in rows:
            if self._is_new(("run", row.workflow_id)):
                yield Line(
                    at=row.completed_at,
                    what="run",
                    subject=row.workflow_name,
                    text=f"first production run {row.status}",
                    bad=row.status != "completed",
                )

    def _new_notices(self, connection: Connection) -> Iterator[Line]:
        rows = connection.execute(
            select(deliveries, notices.c.owner, notices.c.subject)
            .join(notices, notices.c.id == deliveries.c.notice_id)
            .where(deliveries.c.state.in_(["sent", "failed"]))
            .order_by(deliveries.c.sent_at)
        )
        for row in rows:
            if self._is_new(("notice", row.notice_id, row.route_id, row.recipient)):
                yield Line(
                    at=row.sent_at or self._began,
                    what=f"notice {row.state}",
                    subject=row.owner,
                    text=f"{row.subject} by {show_place(row.shown, row.recipient)}",
                    bad=row.state != "sent",
                )

    def _is_new(self, key: Any) -> bool:  # noqa: ANN401  # any hashable
        if key in self._said:
            return False
        self._said.add(key)
        return True


def _waits_for_us(state: State, waits_for: Sequence[Reason]) -> bool:
    """A watching rotation that waits for nothing but time and runs: those the demo waits for too."""
    of_people = (Code.NOT_COLLECTED_YET, Code.FIRST_CALL)
    return state is State.WATCHING and not any(reason.code in of_people for reason in waits_for)
