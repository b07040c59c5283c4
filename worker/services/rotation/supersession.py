"""A person gives a value, or another policy, while a rotation of the item is open: what becomes of that one.

The rotation ends on what was given, at its next step. What a policy may have decided is looked at anew.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.errors import RefusedError
from vaultcore.model import Item
from vaultcore.versions import Versions
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation, decide
from worker.domain.saga import FINISHED, NOT_BEGUN, WATCHED, State
from worker.domain.states import StepResult
from worker.domain.tracks import NewStep
from worker.rows import rotation_changes as change_rows
from worker.rows import rotation_steps as step_rows
from worker.rows import rotations as rotation_rows

_ENDS_NOW = frozenset(State) - FINISHED - {State.STUCK}


class Supersession:
    """In the transaction of the change. The rotation is taken before the item, as by who works on it."""

    def __init__(self, *, versions: Versions, clock: Callable[[], datetime]) -> None:
        self._versions = versions
        self._clock = clock

    def find_all(self, connection: Connection, item_ids: Collection[str]) -> dict[str, Rotation]:
        """By item, the open rotations of these, which nobody else changes before this transaction ends."""
        return rotation_rows.find_open_rotations(connection, item_ids, lock=True)

    def check_value(self, connection: Connection, item: Item, rotation: Rotation | None) -> bool:
        """Whether a value goes beside a pending one: where that is stuck, or the old one dead.
        Otherwise `RefusedError`, where there is one.
        """
        if rotation is None or self._versions.pending(connection, item.id) is None:
            return False
        if rotation.state is State.STUCK or rotation.one_way:
            return True
        if rotation.state in (State.UNDOING, State.DISCARDING):
            raise RefusedError(
                f"{item.name} is being rotated, and a new value is being taken back: wait for that "
                f"(nightkey rotation show {rotation.id}), then update it"
            )
        raise RefusedError(
            f"{item.name} is being rotated: wait for that, or take back what was made "
            f"(nightkey rotation cancel {rotation.id}), then update it"
        )

    def end(self, connection: Connection, rotation: Rotation | None, item: Item) -> str | None:
        """After a value was given: the rotation that ends on it, by its id. One that is stuck no longer is."""
        if rotation is None:
            return None
        now = self._clock()
        if rotation.state is State.STUCK and rotation.stuck_in is not None:
            change_rows.change_rotation(
                connection,
                rotation,
                decide(rotation, state=rotation.stuck_in, next_at=now),
            )
            step_rows.add_steps(
                connection,
                rotation.id,
                [
                    NewStep(
                        step="given",
                        result=StepResult.DONE,
                        said=(Reason.of(Code.GIVEN_BY_HAND, version=item.version),),
                        at=now,
                    )
                ],
            )
        rotation_rows.wake_open(connection, rotation.item_id, now, states=_ENDS_NOW)
        return None if rotation.state in NOT_BEGUN else rotation.id

    def look_again(self, connection: Connection, rotation: Rotation | None) -> None:
        """After the policy was changed: what waits for a check, or for its consumers, is looked at now."""
        if rotation is not None:
            now = self._clock()
            rotation_rows.wake_open(connection, rotation.item_id, now, states=WATCHED)
            rotation_rows.wake_unshown(connection, now, item_ids=[rotation.item_id])
