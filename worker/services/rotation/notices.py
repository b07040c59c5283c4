"""What owners and operators hear of a rotation at once, in the transaction of what it tells of."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from vaultcore import rules
from vaultcore.errors import NightkeyError
from vaultcore.vault import Vault
from worker.domain.commands import quote_word
from worker.domain.distances import count_seconds_left
from worker.domain.findings import Finding, FindingKind, expiry_level, topic_of
from worker.domain.notice_kinds import OF_FAILED, NoticeKind
from worker.domain.proof import CHECK, Consumer, ConsumerProof, Proof
from worker.domain.reasons import Code, Reason
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import credential_checks as check_rows
from worker.rows import digests as digest_rows
from worker.rows import findings as finding_rows
from worker.rows import rotation_changes as change_rows
from worker.rows import rotations as rotation_rows
from worker.rows.consumers import users_of
from worker.services.notices.outbox import Outbox


class RotationNotices:
    def __init__(self, *, vault: Vault, outbox: Outbox, clock: Callable[[], datetime]) -> None:
        self._vault = vault
        self._outbox = outbox
        self._clock = clock

    def tell_failure(self, connection: Connection, rotation: Rotation, state: State, error: Reason) -> None:
        """It was rolled back, could not begin, or is stuck: a notice now, and a finding that stays.

        Nobody is waited for to prove its new value any more.
        """
        finding_rows.resolve_of(connection, [FindingKind.UNPROVEN], rotation.item_id, self._clock())
        kind = FindingKind.STUCK if state is State.STUCK else FindingKind.ROTATION_FAILED
        number = rotation.fence if state is State.STUCK else 1  # it may get stuck more than once
        told = self._outbox.tell_owners(
            connection,
            rotation.item_id,
            kind=OF_FAILED[state],
            dedupe_key=f"rotation:{rotation.id}:{state.value}:{number}",
            data=self._describe(connection, rotation)
            | {
                "error": error,
                "works": not self._is_old_dead(connection, rotation),
                "made": rotation_rows.has_new(connection, rotation),
            },
        )
        topic = finding_rows.record(connection, self._find(rotation, kind, error), self._clock())
        topics = [(topic, 1), *self._record_expiry(connection, rotation)]
        finding_rows.mark_told(
            connection,
            [(owner_id, topic, level) for owner_id in told for topic, level in topics],
            night=None,
            now=self._clock(),
        )

    def tell_done(self, connection: Connection, rotation: Rotation) -> None:
        """At once, unless its night has yet to close: then its owners read of it in that digest.

        Who has replaced the value by hand knows.
        """
        if rotation.by_owner or (rotation.night is not None and self._is_open(connection, rotation.night)):
            return
        item = self._vault.get(connection, rotation.item_id)
        data = self._describe(connection, rotation)
        self._outbox.tell_owners(
            connection,
            rotation.item_id,
            kind=NoticeKind.ROTATION_DONE,
            dedupe_key=f"rotation:{rotation.id}:done",
            data=data | {"version": rotation.new_number or item.version, "expires_at": item.expires_at},
        )
        change_rows.set_told(connection, rotation.id, rotation.night)

    def tell_one_way(self, connection: Connection, rotation: Rotation, error: Reason, *, renew: bool) -> None:
        """The old value stopped working when the new one was issued: whoever uses it fails from now on."""
        self._outbox.tell_owners(
            connection,
            rotation.item_id,
            kind=NoticeKind.ONE_WAY,
            dedupe_key=f"rotation:{rotation.id}:one-way",
            data=self._describe(connection, rotation) | {"error": error, "renew": renew},
        )

    def tell_overtaken(self, connection: Connection, rotation: Rotation, version: int) -> None:
        """A person has given `version` since the rotation made its own: it has ended on that."""
        self._outbox.tell_owners(
            connection,
            rotation.item_id,
            kind=NoticeKind.ROTATION_OVERTAKEN,
            dedupe_key=f"rotation:{rotation.id}:overtaken",
            data=self._describe(connection, rotation) | {"version": version, "made": rotation.new_number},
        )

    def tell_expired(self, connection: Connection, rotation: Rotation) -> None:
        """Nobody approved it in time."""
        self.withdraw_request(connection, rotation)
        self._outbox.tell_owners(
            connection,
            rotation.item_id,
            kind=NoticeKind.ROTATION_EXPIRED,
            dedupe_key=f"rotation:{rotation.id}:expired",
            data={
                "item": rotation.item,
                "asked_by": rotation.asked_by,
                "asked_at": rotation.created_at,
                "command": f"nightkey item rotate {quote_word(rotation.item)}",
            },
        )

    def ask_approval(self, connection: Connection, rotation: Rotation, *, expires_at: datetime) -> None:
        self._outbox.tell_owners(
            connection,
            rotation.item_id,
            kind=NoticeKind.ROTATION_REQUESTED,
            dedupe_key=f"rotation:{rotation.id}:requested",
            data=self._describe(connection, rotation)
            | {
                "reason": rotation.reason,
                "asked_by": rotation.asked_by,
                "expires_at": expires_at,
                "approve": f"nightkey rotation approve {rotation.id}",
                "cancel": f"nightkey rotation cancel {rotation.id}",
            },
            about=rotation.id,
        )

    def withdraw_request(self, connection: Connection, rotation: Rotation) -> None:
        """It was approved, cancelled, or has ended: who has not been asked yet is not asked any more."""
        self._outbox.withdraw(connection, rotation.id)

    def tell_breaker(self, connection: Connection, night: datetime, failed: Iterable[Rotation]) -> None:
        """To the operators, once a night: it was stopped."""
        self._outbox.tell_operators(
            connection,
            kind=NoticeKind.NIGHT_STOPPED,
            dedupe_key=f"breaker:{night.isoformat()}",
            data={
                "night": night,
                "failed": [
                    Reason.of(Code.STOPPED_IT, item=one.item, why=one.last_error, rotation=one.id)
                    for one in failed
                ],
            },
        )

    def find_unproven(
        self, connection: Connection, rotation: Rotation, consumer_proofs: Sequence[ConsumerProof]
    ) -> None:
        """Consumers that cannot be proven in time are findings; those that are proven meanwhile no longer.

        One whose production run failed with the new value, though nothing was rejected, is told of at once.
        """
        now = self._clock()
        of_check = f"{rotation.item_id} {CHECK}"
        proven, found = set[str](), dict[str, Finding]()
        if not any(consumer_proof.check for consumer_proof in consumer_proofs):
            proven.add(of_check)
        for consumer_proof in consumer_proofs:
            consumer = consumer_proof.consumer
            waits = consumer_proof.proof in (Proof.AWAITED, Proof.UNPROVABLE)
            if consumer is not None and consumer.failed is not None and waits:
                self._tell_failed_run(connection, rotation, consumer)
            name = None if consumer is None else consumer.name
            subject = rotation.item_id if consumer is None else f"{rotation.item_id} {consumer.id}"
            if consumer_proof.check:
                subject = of_check
            if consumer_proof.proof is not Proof.UNPROVABLE:
                proven.add(subject)
                continue
            found[subject] = self._find(
                rotation, FindingKind.UNPROVEN, consumer_proof.why, workflow=name, subject=subject
            )
        finding_rows.resolve_about(connection, FindingKind.UNPROVEN, rotation.item_id, proven, now)
        unproven = [finding for subject, finding in found.items() if subject not in proven]
        finding_rows.record_all(connection, unproven, now)

    def resolve(self, connection: Connection, item_id: str) -> None:
        """Success: what earlier failures left open is over."""
        kinds = (FindingKind.ROTATION_FAILED, FindingKind.STUCK, FindingKind.UNPROVEN)
        finding_rows.resolve_of(connection, kinds, item_id, self._clock())

    def resolve_refused(self, connection: Connection, item_id: str) -> None:
        """It has another value than the one that was refused: the next night may ask of that."""
        now = self._clock()
        if finding_rows.resolve_about(connection, FindingKind.REFUSED, item_id, [item_id], now):
            check_rows.wake_refused(connection, item_id, now)

    def _tell_failed_run(self, connection: Connection, rotation: Rotation, consumer: Consumer) -> None:
        self._outbox.tell_owners(
            connection,
            rotation.item_id,
            kind=NoticeKind.RUN_FAILED,
            dedupe_key=f"rotation:{rotation.id}:run-failed:{consumer.id}",
            data=self._describe(connection, rotation)
            | {
                "workflow": consumer.name,
                "error": consumer.failed or "",
                "rollback": None if rotation.is_old_dead else f"nightkey rotation rollback {rotation.id}",
            },
        )

    def _record_expiry(self, connection: Connection, rotation: Rotation) -> list[tuple[str, int]]:
        """The item expires all the same. Who hears of the failure knows that: topic and level."""
        try:
            item = self._vault.get(connection, rotation.item_id)
        except NightkeyError:  # it is gone, or cannot be read
            return []
        now = self._clock()
        if item.expires_at is None or item.expires_at <= now:
            return []
        level = expiry_level(item.expires_at, rules.thresholds_of(item.policy, item.life), now)
        if level is None:
            return []
        finding = self._find(
            rotation,
            FindingKind.EXPIRING,
            Reason.of(Code.EXPIRES, seconds=count_seconds_left(item.expires_at, now)),
            level=level,
            deadline=item.expires_at,
            does=Reason.of(Code.DOES_RETRY),
        )
        finding_rows.record(connection, finding, now)
        return [(topic_of(item.id, item.expires_at), level)]

    def _find(
        self,
        rotation: Rotation,
        kind: FindingKind,
        detail: Reason,
        *,
        level: int = 1,
        workflow: str | None = None,
        subject: str | None = None,
        deadline: datetime | None = None,
        does: Reason | None = None,
    ) -> Finding:
        return Finding(
            kind=kind,
            subject=subject or rotation.item_id,
            item_id=rotation.item_id,
            item=rotation.item,
            workflow=workflow,
            level=level,
            detail=detail,
            deadline=deadline,
            does=does,
            command=f"nightkey rotation show {rotation.id}",
        )

    def _describe(self, connection: Connection, rotation: Rotation) -> dict[str, Any]:
        """What the message of every kind may say of it."""
        users = users_of(connection, rotation.item_id)
        return {
            "item": rotation.item,
            "users": ", ".join(users) or "no active workflow",
            "used": bool(users),
            "many": len(users) > 1,
            "rotation": rotation.id,
            "show": f"nightkey rotation show {rotation.id}",
        }

    def _is_old_dead(self, connection: Connection, rotation: Rotation) -> bool:
        """Whether the value from before works no more, as far as is known; one that has lapsed does not."""
        if rotation.is_old_dead:
            return True
        try:
            item = self._vault.get(connection, rotation.item_id)
        except NightkeyError:  # it is gone, or cannot be read
            return False
        return item.expires_at is not None and item.expires_at <= self._clock()

    def _is_open(self, connection: Connection, night: datetime) -> bool:
        return digest_rows.is_to_come(connection, night)
