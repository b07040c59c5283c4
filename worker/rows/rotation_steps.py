"""What each step of a rotation came to, as rows: numbered from 1, in the order in which they were done."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, func, insert, select

from worker.domain.reasons import Reason, read_reasons, store_reasons
from worker.domain.states import StepResult
from worker.domain.tracks import NewStep, StepRecord, TriedStep
from worker.rows.tables import rotation_steps

_LAST = (
    select(func.coalesce(func.max(rotation_steps.c.number), 0))
    .where(rotation_steps.c.rotation_id == bindparam("of_rotation"))
    .scalar_subquery()
)
_ADD = insert(rotation_steps).values(number=_LAST + 1)


def add_steps(connection: Connection, rotation_id: str, steps: Sequence[NewStep]) -> None:
    """In their order, behind all that were recorded of it."""
    connection.execute(
        _ADD,
        [
            {
                "of_rotation": rotation_id,
                "rotation_id": rotation_id,
                "step": step.step,
                "result": step.result,
                "cause": step.cause,
                "said": store_reasons(step.said),
                "at": step.at,
            }
            for step in steps
        ],
    )


def steps_of(connection: Connection, rotation_id: str) -> list[StepRecord]:
    return steps_of_each(connection, [rotation_id])[rotation_id]


def steps_of_each(connection: Connection, rotation_ids: Collection[str]) -> dict[str, list[StepRecord]]:
    """By the id of the rotation: of one that has none yet, none."""
    found: dict[str, list[StepRecord]] = {rotation_id: [] for rotation_id in rotation_ids}
    rows = connection.execute(
        select(rotation_steps)
        .where(rotation_steps.c.rotation_id.in_(sorted(found)))
        .order_by(rotation_steps.c.rotation_id, rotation_steps.c.number)
    )
    for row in rows:
        found[row.rotation_id].append(
            StepRecord(
                number=row.number,
                step=row.step,
                result=row.result,
                cause=row.cause,
                said=read_said(row.said),
                at=row.at,
            )
        )
    return found


def read_said(stored: object) -> tuple[Reason, ...]:
    """What was stored of a step; what is no list is shown as it stands."""
    return tuple(read_reasons(stored if isinstance(stored, list) else [stored]))


def ends_of(connection: Connection, rotation_ids: Collection[str]) -> dict[str, list[TriedStep]]:
    """What was done or has failed in each of these rotations, in order, without what was said of it."""
    c = rotation_steps.c
    found: dict[str, list[TriedStep]] = {one: [] for one in rotation_ids}
    rows = connection.execute(
        select(c.rotation_id, c.step, c.result, c.at)
        .where(
            c.rotation_id.in_(sorted(rotation_ids)),
            c.result.in_([StepResult.DONE.value, StepResult.FAILED.value]),
        )
        .order_by(c.rotation_id, c.number)
    )
    for row in rows:
        found[row.rotation_id].append(TriedStep(step=row.step, result=row.result, at=row.at))
    return found
