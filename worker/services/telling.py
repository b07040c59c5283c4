"""What owners and operators hear of a rotation at once, in the transaction of what it tells of."""

from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.errors import NightkeyError
from vaultcore.vault import Vault
from worker import finding_rows
from worker.consumers import consumers_of
from worker.domain.findings import Finding, FindingKind, expiry_level, show_time_left
from worker.domain.notices import (
    compose_approval,
    compose_breaker,
    compose_failed_run,
    compose_failure,
    compose_unapproved,
)
from worker.domain.proof import Consumer, Proof, Standing
from worker.domain.saga import State
from worker.services.notifying import Notifying
from worker.store import Rotation


class Telling:
    def __init__(self, *, vault: Vault, notifying: Notifying, clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._notifying = notifying
        self._clock = clock

    def tell_failure(self, connection: Connection, rotation: Rotation, state: State, error: str) -> None:
        """It was rolled back, could not begin, or is stuck: a notice now, and a finding that stays.

        Nobody is waited for to prove its new value any more.
        """
        finding_rows.resolve_of(connection, FindingKind.UNPROVEN, rotation.item_id, self._clock())
        kind = FindingKind.STUCK if state is State.STUCK else FindingKind.ROTATION_FAILED
        number = rotation.fence if state is State.STUCK else 1  # it may get stuck more than once
        detail = f"{error}: nightkey rotation show {rotation.id}"
        finding_rows.record(connection, self._find(rotation, kind, detail), self._clock(), told=True)
        self._mark_expiry_told(connection, rotation)
        self._notifying.post(
            connection,
            owner_id=rotation.owner_id,
            kind=f"rotation-{state.value}",
            dedupe_key=f"rotation:{rotation.id}:{state.value}:{number}",
            message=compose_failure(
                rotation_id=rotation.id,
                item=rotation.item,
                state=state,
                error=error,
                users=self._users_of(connection, rotation.item_id),
            ),
        )

    def tell_expired(self, connection: Connection, rotation: Rotation) -> None:
        """Nobody approved it in time."""
        self._notifying.post(
            connection,
            owner_id=rotation.owner_id,
            kind="rotation-expired",
            dedupe_key=f"rotation:{rotation.id}:expired",
            message=compose_unapproved(
                item=rotation.item, asked_by=rotation.asked_by, asked_at=rotation.created_at
            ),
        )

    def ask_approval(self, connection: Connection, rotation: Rotation, *, expires_at: datetime) -> None:
        self._notifying.post(
            connection,
            owner_id=rotation.owner_id,
            kind="rotation-requested",
            dedupe_key=f"rotation:{rotation.id}:requested",
            message=compose_approval(
                rotation_id=rotation.id,
                item=rotation.item,
                reason=rotation.reason,
                asked_by=rotation.asked_by,
                expires_at=expires_at,
                users=self._users_of(connection, rotation.item_id),
            ),
        )

    def tell_breaker(self, connection: Connection, night: datetime, failed: Iterable[Rotation]) -> None:
        """To the operators, once a night: it was stopped."""
        self._notifying.post(
            connection,
            owner_id=None,
            kind="night-stopped",
            dedupe_key=f"breaker:{night.isoformat()}",
            message=compose_breaker(night, [f"{one.item}: {one.last_error} ({one.id})" for one in failed]),
        )

    def find_unproven(self, connection: Connection, rotation: Rotation, standings: Iterable[Standing]) -> None:
        """Consumers that cannot be proven in time are findings; those that are proven meanwhile no longer.

        One whose production run failed with the new value, though nothing was rejected, is told of at once.
        """
        now = self._clock()
        for standing in standings:
            if standing.consumer.failed is not None and standing.proof in (Proof.AWAITED, Proof.UNPROVABLE):
                self._tell_failed_run(connection, rotation, standing.consumer)
            name = standing.consumer.name
            subject = f"{rotation.item_id} {name}"
            if standing.proof is not Proof.UNPROVABLE:
                finding_rows.resolve(connection, FindingKind.UNPROVEN, subject, now)
                continue
            choice = f"{standing.why}: nightkey rotation show {rotation.id} has the choices"
            finding = self._find(rotation, FindingKind.UNPROVEN, choice, workflow=name, subject=subject)
            finding_rows.record(connection, finding, now)

    def resolve(self, connection: Connection, item_id: str) -> None:
        """Success: what earlier failures left open is over."""
        for kind in (FindingKind.ROTATION_FAILED, FindingKind.STUCK, FindingKind.UNPROVEN):
            finding_rows.resolve_of(connection, kind, item_id, self._clock())

    def _tell_failed_run(self, connection: Connection, rotation: Rotation, consumer: Consumer) -> None:
        self._notifying.post(
            connection,
            owner_id=rotation.owner_id,
            kind="run-failed",
            dedupe_key=f"rotation:{rotation.id}:run-failed:{consumer.id}",
            message=compose_failed_run(
                rotation_id=rotation.id, item=rotation.item, workflow=consumer.name, error=consumer.failed or ""
            ),
        )

    def _mark_expiry_told(self, connection: Connection, rotation: Rotation) -> None:
        """The item expires all the same: its owner hears of that again when it gets nearer, not tonight."""
        try:
            item = self._vault.get(connection, rotation.item_id)
        except NightkeyError:  # it is gone, or cannot be read
            return
        now = self._clock()
        if item.expires_at is None or item.expires_at <= now:
            return
        level = expiry_level(item.expires_at, item.policy.thresholds, now)
        if level is not None:
            detail = f"expires {show_time_left(item.expires_at, now)}: its rotation did not succeed"
            finding = self._find(rotation, FindingKind.EXPIRING, detail, level=level)
            finding_rows.record(connection, finding, now, told=True)

    def _find(
        self,
        rotation: Rotation,
        kind: FindingKind,
        detail: str,
        *,
        level: int = 1,
        workflow: str | None = None,
        subject: str | None = None,
    ) -> Finding:
        return Finding(
            kind=kind,
            subject=subject or rotation.item_id,
            item_id=rotation.item_id,
            item=rotation.item,
            workflow=workflow,
            owner_id=rotation.owner_id,
            level=level,
            detail=detail,
        )

    def _users_of(self, connection: Connection, item_id: str) -> list[str]:
        return [consumer.name for consumer in consumers_of(connection, item_id) if consumer.active]
