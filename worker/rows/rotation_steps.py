"""What each step of a rotation came to, as rows: numbered from 1, in the order in which they were done."""

import json
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    JSON,
    Connection,
    Insert,
    Integer,
    String,
    bindparam,
    cast,
    column,
    func,
    insert,
    select,
    true,
)
from sqlalchemy.sql.dml import ReturningInsert

from vaultcore.damage import is_sound
from vaultcore.tables import UtcDateTime
from worker.domain.reasons import Reason, read_reasons, store_reasons
from worker.domain.states import StepResult
from worker.domain.tracks import NewStep, StepRecord, TriedStep
from worker.rows.tables import rotation_steps


def add_steps(connection: Connection, rotation_id: str, steps: Sequence[NewStep]) -> None:
    """In their order, behind all that were recorded of it."""
    added = [
        {"of_rotation": rotation_id, "rotation_id": rotation_id, **vars(step), "said": store_reasons(step.said)}
        for step in steps
    ]
    if added:
        connection.execute(_add(connection.dialect.name), added)


@cache
def _add(dialect: str) -> Insert:
    """Behind the last number that is one: a row that is damaged keeps no other from being added."""
    number = rotation_steps.c.number
    last = select(func.coalesce(func.max(number), 0)).where(
        rotation_steps.c.rotation_id == bindparam("of_rotation"), is_sound(number, dialect)
    )
    return insert(rotation_steps).values(number=last.scalar_subquery() + 1)


def add_steps_to(changed: CTE) -> ReturningInsert[str]:
    """The same as a part of the statement that changes the rotation, where the database has such: if that
    changes nothing, none is added. Its parameter is what `given_steps` makes.
    """
    from sqlalchemy.dialects.postgresql import JSONB  # noqa: PLC0415  # on SQLite nobody waits for it

    given = (
        func.jsonb_to_recordset(bindparam("steps", type_=JSONB))
        .table_valued(
            column("place", Integer),
            column("step", String),
            column("result", String),
            column("cause", String),
            column("said", String),
            column("at", UtcDateTime),
        )
        .render_derived(with_types=True)
    )
    names = ("step", "result", "cause", "at")
    last = select(func.coalesce(func.max(rotation_steps.c.number), 0)).where(
        rotation_steps.c.rotation_id == changed.c.id
    )
    added = select(
        changed.c.id,
        last.scalar_subquery() + given.c.place,
        cast(given.c.said, JSON),
        *(given.c[name] for name in names),
    )
    return (
        insert(rotation_steps)
        .from_select(["rotation_id", "number", "said", *names], added.select_from(changed.join(given, true())))
        .returning(rotation_steps.c.rotation_id)
    )


def given_steps(steps: Sequence[NewStep]) -> dict[str, Any]:
    """The parameter of `add_steps_to`. What was said is a text in it, as JSON that is kept as it is given: of
    JSON that it reads, PostgreSQL refuses a NUL and half a character, which another side may have said.
    """
    return {
        "steps": [
            {
                "place": place,
                **vars(step),
                "said": json.dumps(store_reasons(step.said)),
                "at": step.at.isoformat(),
            }
            for place, step in enumerate(steps, 1)
        ]
    }


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
