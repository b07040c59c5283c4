"""What is written of a rotation, as rows: opened, changed, put off. It decides nothing and commits nothing."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, bindparam, update

from vaultcore.errors import Cause, ConflictError
from vaultcore.upserts import upsert_for
from worker.domain.reasons import Reason, store_reason, store_reasons
from worker.domain.rotation import Rotation
from worker.rows.rotations import find_open_rotation
from worker.rows.tables import rotations

_ONE: Final = update(rotations).where(rotations.c.id == bindparam("rotation"))
_PUT_OFF: Final = _ONE.values(next_at=bindparam("until"))
_SET_TOLD: Final = _ONE.values(told_night=bindparam("told"))


def insert_rotation(connection: Connection, rotation: Rotation) -> None:
    """Opens it; `ConflictError` if the item has an open one (a constraint, not a convention)."""
    row = {**_store(vars(rotation)), "state": rotation.state.value, "stuck_in": None}
    opened = connection.execute(_open(connection.dialect.name), row).first()
    if opened is None:
        found = find_open_rotation(connection, rotation.item_id)
        which = "list" if found is None else f"show {found.id}"
        raise ConflictError(f"{rotation.item} is being rotated already: `nightkey rotation {which}`")


@cache
def _open(dialect: str) -> Any:  # noqa: ANN401  # two dialects, one API
    """Built once: a night opens many."""
    return upsert_for(dialect, rotations).on_conflict_do_nothing().returning(rotations.c.id)


def change_rotation(connection: Connection, rotation: Rotation, after: Rotation) -> None:
    """Writes what was decided of a rotation, or came of its step, that is held in the same transaction."""
    changes = find_changes(rotation, after)
    if changes:
        connection.execute(update(rotations).where(rotations.c.id == rotation.id).values(**changes))


def find_changes(before: Rotation, after: Rotation) -> dict[str, Any]:
    """The columns that differ. The lease is whoever's who holds it, and no part of this."""
    was, became = vars(before), vars(after)
    changed = {name: value for name, value in became.items() if value != was[name] and name != "lease_until"}
    return _store(changed)


def read_columns(rotation: Rotation, names: Collection[str]) -> dict[str, Any]:
    """Some of its columns, as they are stored."""
    of_it = vars(rotation)
    return _store({name: of_it[name] for name in names})


def _store(values: Mapping[str, Any]) -> dict[str, Any]:
    """Reasons and causes as they are kept in a row."""
    return {name: _store_one(name, value) for name, value in values.items()}


def _store_one(name: str, value: Any) -> Any:  # noqa: ANN401  # fields
    if isinstance(value, Reason):
        return store_reason(value)
    if isinstance(value, Cause):
        return value.value
    return store_reasons(value) if name == "waits_for" else value


def put_off(connection: Connection, rotation_id: str, until: datetime) -> None:
    """Nobody looks at it before that."""
    connection.execute(_PUT_OFF, {"rotation": rotation_id, "until": until})


def set_told(connection: Connection, rotation_id: str, night: datetime | None) -> None:
    """Its owners have heard of it: no digest has to tell it any more."""
    connection.execute(_SET_TOLD, {"rotation": rotation_id, "told": night})
