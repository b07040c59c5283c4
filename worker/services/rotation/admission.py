"""Whether a rotation that a night opened may begin: windows, the first of its target, the breaker."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore import rules
from vaultcore.model import Item
from worker.domain.limits import (
    FAILED,
    IN_THE_WAY,
    SUCCEEDED,
    Admitted,
    Breaker,
    Neighbour,
    Turn,
    admit,
    when_to_begin,
)
from worker.domain.reasons import Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State, Transition, is_moving, wait_for_moment
from worker.rows import rotation_outcomes as outcome_rows
from worker.services.rotation.notices import RotationNotices
from worker.services.rotation.proof import ConsumerProofs

_QUEUE_LOOK = timedelta(minutes=1)
_REST_LOOK = timedelta(minutes=30)


class Admission:
    """Decides in the caller's transaction what becomes of a scheduled or queued rotation."""

    def __init__(
        self,
        *,
        proofs: ConsumerProofs,
        rotation_notices: RotationNotices,
        breaker: Breaker,
        clock: Callable[[], datetime],
    ) -> None:
        self._proofs = proofs
        self._rotation_notices = rotation_notices
        self._breaker = breaker
        self._clock = clock

    def admit(self, connection: Connection, rotation: Rotation, item: Item) -> Transition:
        """`planned` if it may begin now; else where it waits, for what, and when it asks again."""
        now = self._clock()
        held = self.hold_for_window(rotation, item)
        if held is not None:
            return held
        if rotation.night is None:
            return Transition(state=State.PLANNED, next_at=now)
        first = outcome_rows.first_before(connection, rotation, states=IN_THE_WAY, unless=SUCCEEDED)
        admission = admit(
            stopped=self._is_stopped(connection, rotation.night),
            first=None if first is None else _neighbour(first),
        )
        if admission.turn is Turn.GO:
            return Transition(state=State.PLANNED, next_at=now)
        if admission.turn is Turn.STOP:
            failed = outcome_rows.failures_of_night(connection, rotation.night)
            self._rotation_notices.tell_breaker(connection, rotation.night, failed)
            return Transition(state=State.CANCELLED, next_at=None, waits_for=_reasons(admission))
        queued = admission.turn is Turn.QUEUE
        return Transition(
            state=State.QUEUED if queued else State.SCHEDULED,
            next_at=now + (_QUEUE_LOOK if queued else _REST_LOOK),
            waits_for=_reasons(admission),
        )

    def _is_stopped(self, connection: Connection, night: datetime) -> bool:
        return self._breaker.is_open(
            failed=outcome_rows.count_night(connection, night, FAILED),
            succeeded=lambda: outcome_rows.count_night(connection, night, SUCCEEDED),
        )

    def hold_for_window(self, rotation: Rotation, item: Item) -> Transition | None:
        """Where a rotation that keeps to windows waits for one; None: changes may be made now."""
        if not rotation.gated:
            return None
        now = self._clock()
        begins_at = when_to_begin(
            opens=self._proofs.when_allowed(item, now),
            expires_at=item.expires_at,
            overlap=rules.overlap_of(item.policy, item.life),
            expiry_first=item.policy.expiry_first,
            now=now,
        )
        return wait_for_moment(rotation.state, begins_at, now=now)


def _reasons(admission: Admitted) -> tuple[Reason, ...]:
    return () if admission.why is None else (admission.why,)


def _neighbour(rotation: Rotation) -> Neighbour:
    return Neighbour(
        item=rotation.item,
        moving=is_moving(rotation.state, rotation.waits_for),
    )
