"""What each step of a rotation does outside, and what it then records. Each is safe to repeat.

A step acts outside any transaction and gives back what to record; `worker.services.rotation` commits
that together with the rotation's new state, if the worker still holds it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import Cause, CounterpartError
from vaultcore.model import Consumer, Item, Kind, Stage, Version
from vaultcore.rules import show_duration
from vaultcore.secret import Secret
from vaultcore.vault import ROTATOR_NODE, Vault
from vaultcore.versions import Purpose, Versions
from worker import records, store
from worker.domain.notices import compose_claim
from worker.domain.saga import Wait, retirement_waits
from worker.outbound import HttpClient
from worker.rotators.base import Job, Rotator
from worker.rotators.catalog import load_rotator, parse_settings
from worker.services.claiming import Claiming
from worker.services.definitions import Definitions, Workflow
from worker.services.notifying import Notifying
from worker.services.running import Running
from worker.store import Rotation


def _record_nothing(_: Connection) -> None:
    """For steps whose only trace is the rotation's state."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step succeeded: what to say of it, and what to write with the rotation's new state."""

    message: str
    record: Callable[[Connection], None] = _record_nothing
    scrub: bool = False


class Steps:
    """The effects of a rotation, one method a step. Failures are `NightkeyError`s."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        references: References,
        definitions: Definitions,
        running: Running,
        claiming: Claiming,
        notifying: Notifying,
        http: HttpClient,
        failed_hold: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._references = references
        self._definitions = definitions
        self._running = running
        self._claiming = claiming
        self._notifying = notifying
        self._http = http
        self._failed_hold = failed_hold
        self._clock = clock

    def create(self, rotation: Rotation) -> Done:
        """Makes the replacement and stores it, sealed and pending, before anything else hears of it."""
        number = rotation.new_number or self._begin_pending(rotation)
        item, rotator = self._load(rotation)
        job = self._make_job(rotation, item)
        if rotator.issues and rotation.attempts > 1:
            rotator.undo(job)
        candidate = rotator.create(job)
        lifetime = item.policy.lifetime
        expires_at = candidate.expires_at or (None if lifetime is None else self._clock() + lifetime)

        def record(connection: Connection) -> None:
            self._versions.fill_pending(
                connection,
                item.id,
                number,
                candidate.value,
                expires_at=expires_at,
                external=candidate.external,
                actor=rotation.id,
            )

        return Done(message=f"version {number} is pending", record=record)

    def install(self, rotation: Rotation) -> Done:
        item, rotator = self._load(rotation)
        return Done(message=rotator.install(self._make_job(rotation, item)))

    def test_nodes(self, rotation: Rotation) -> Done:
        """The other side accepts the new value, and so does each node that uses it, alone."""
        item, rotator = self._load(rotation)
        job = self._make_job(rotation, item)
        if job.new is None:
            raise CounterpartError("the pending version holds no value", cause=Cause.MISTAKE)
        verified = rotator.verify(job, job.new)
        tested = []
        for workflow, node_id in self._consuming_nodes(item):
            result = self._running.test_node(
                workflow, node_id, overrides={item.id: rotation.new_number or 0}, actor=rotation.id
            )
            if result.status != "success":
                raise CounterpartError(
                    f"node {node_id} of workflow {workflow.name}: {result.error_message}",
                    cause=result.cause or Cause.MISTAKE,
                )
            tested.append(f"{workflow.name}/{node_id}")
        return Done(message="; ".join([verified, f"passed: {', '.join(tested) or 'no node uses it'}"]))

    def test_workflows(self, rotation: Rotation) -> Done:
        """Each workflow that uses it runs whole, with its sample context and the new value."""
        item, _ = self._load(rotation)
        tested = []
        for workflow in self._consuming_workflows(item):
            outcome = self._running.test_workflow(
                workflow,
                overrides={item.id: rotation.new_number or 0},
                rotation_id=rotation.id,
                actor=rotation.id,
            )
            if outcome.status != "completed":
                where = f", node {outcome.error_node}" if outcome.error_node else ""
                raise CounterpartError(
                    f"workflow {workflow.name}{where}: {outcome.error_message}",
                    cause=outcome.cause or Cause.REJECTED,
                )
            tested.append(workflow.name)
        return Done(message=f"passed: {', '.join(tested) or 'no workflow uses it'}")

    def activate(self, rotation: Rotation) -> Done:
        """One compare-and-swap: the new value is current, the old one works on as previous."""
        item, _ = self._load(rotation)
        new, old = rotation.new_number or 0, rotation.old_number

        def record(connection: Connection) -> None:
            self._versions.activate(connection, item.id, new=new, old=old, actor=rotation.id)
            if item.kind is Kind.API_KEY:
                self._open_claim(connection, item, rotation)

        return Done(message=f"version {new} is current, version {old} works on", record=record)

    def watch(self, rotation: Rotation) -> tuple[Wait, ...]:
        """What the retirement of the old value waits for; a production run that rejected the new one raises."""
        item, _ = self._load(rotation)
        activated_at = rotation.activated_at or rotation.created_at
        number = rotation.new_number or 0
        with self._database.read() as connection:
            rejection = records.first_rejection(connection, item_id=item.id, number=number, since=activated_at)
            references = self._references.of_item(connection, item.id)
            unclaimed = store.open_claim(connection, rotation.id) is not None
        if rejection is not None:
            workflow, node, message = rejection
            raise CounterpartError(
                f"production run of {workflow}, node {node}: {message}", cause=Cause.REJECTED
            )
        return retirement_waits(
            references=references,
            new_number=number,
            activated_at=activated_at,
            overlap=item.policy.overlap,
            unclaimed=unclaimed,
            now=self._clock(),
        )

    def retire(self, rotation: Rotation) -> Done:
        """The old value is revoked outside, then destroyed here."""
        item, rotator = self._load(rotation)
        message = rotator.revoke(self._make_job(rotation, item))

        def record(connection: Connection) -> None:
            self._versions.destroy(
                connection, item.id, rotation.old_number, actor=rotation.id, reason="retired"
            )
            self._vault.hold(connection, item.id, None)

        return Done(message=message, record=record, scrub=True)

    def undo(self, rotation: Rotation) -> Done:
        """Consumers go back to the old value at once; then the new one is taken away outside and here."""
        item, rotator = self._load(rotation)
        new = self._go_back(rotation, item)
        if new is None:
            return Done(message="nothing had been made", record=self._hold(item))
        job = self._make_job(rotation, item)
        undone = rotator.undo(job)
        verified = self._verify_old(rotation, item, rotator, job)

        def record(connection: Connection) -> None:
            self._claiming.withdraw(connection, rotation.id)
            self._versions.destroy(connection, item.id, new.number, actor=rotation.id, reason="rolled back")
            self._hold(item)(connection)

        return Done(message=f"{undone}; {verified}", record=record, scrub=True)

    def users_of(self, item_id: str) -> list[str]:
        """The active workflows that use the item, by name."""
        with self._database.read() as connection:
            return sorted(
                {
                    reference.consumer_name
                    for reference in self._references.of_item(connection, item_id)
                    if reference.consumer is Consumer.WORKFLOW and reference.active
                }
            )

    # Inside

    def _begin_pending(self, rotation: Rotation) -> int:
        """The intent is stored, and with the rotation, before anybody outside is asked for a value."""
        with self._database.write() as connection:
            store.check_fence(connection, rotation)
            number = self._versions.begin_pending(connection, rotation.item_id, actor=rotation.id)
            store.set_new_number(connection, rotation, number)
        return number

    def _load(self, rotation: Rotation) -> tuple[Item, Rotator]:
        with self._database.read() as connection:
            item = self._vault.get(connection, rotation.item_id)
        return item, load_rotator(rotation.rotator)

    def _make_job(self, rotation: Rotation, item: Item) -> Job:
        """Everything that the rotator may use, revealed and audited in one transaction."""
        with self._database.write() as connection:
            by_number = {v.number: v for v in self._versions.of_item(connection, item.id)}
            old = by_number.get(rotation.old_number)
            new = by_number.get(rotation.new_number or 0)
            values = {
                reference.written: self._reveal_current(connection, reference.item_id, rotation)
                for reference in self._references.of_consumer(connection, item.id)
                if reference.node_id == ROTATOR_NODE and reference.item_id is not None
            }
            return Job(
                label=f"nightkey-{rotation.id}",
                item=item.name,
                settings=parse_settings(rotation.rotator, item.policy.settings),
                old=self._reveal(connection, old, rotation),
                new=self._reveal(connection, new, rotation),
                old_external={} if old is None else old.external,
                new_external={} if new is None else new.external,
                values=values,
                http=self._http,
            )

    def _reveal(self, connection: Connection, version: Version | None, rotation: Rotation) -> Secret | None:
        if version is None or not version.filled:
            return None
        return self._versions.reveal(
            connection,
            version.item_id,
            version.number,
            purpose=Purpose.ROTATION,
            actor=rotation.id,
        )

    def _reveal_current(self, connection: Connection, item_id: str, rotation: Rotation) -> Secret:
        number = self._vault.get(connection, item_id).version
        return self._versions.reveal(
            connection, item_id, number or 0, purpose=Purpose.ROTATION, actor=rotation.id
        )

    def _consuming_nodes(self, item: Item) -> list[tuple[Workflow, str]]:
        with self._database.read() as connection:
            pairs = sorted(
                {
                    (reference.consumer_id, reference.node_id)
                    for reference in self._references.of_item(connection, item.id)
                    if reference.consumer is Consumer.WORKFLOW and reference.active
                }
            )
            return [(self._definitions.get(connection, workflow_id), node_id) for workflow_id, node_id in pairs]

    def _consuming_workflows(self, item: Item) -> list[Workflow]:
        return list({workflow.id: workflow for workflow, _ in self._consuming_nodes(item)}.values())

    def _open_claim(self, connection: Connection, item: Item, rotation: Rotation) -> None:
        claim_id = self._claiming.open(
            connection, item_id=item.id, number=rotation.new_number or 0, rotation_id=rotation.id
        )
        self._notifying.post(
            connection,
            owner_id=item.owner_id,
            kind="claim",
            dedupe_key=f"claim:{claim_id}",
            message=compose_claim(item=item.name, overlap=show_duration(item.policy.overlap)),
            claim_id=claim_id,
        )

    def _go_back(self, rotation: Rotation, item: Item) -> Version | None:
        """The new version, no longer current whatever it was; None if it was never reserved."""
        if rotation.new_number is None:
            return None
        with self._database.write() as connection:
            store.check_fence(connection, rotation)
            new = self._versions.get(connection, item.id, rotation.new_number)
            if new.stage is Stage.CURRENT:
                self._versions.reactivate(
                    connection,
                    item.id,
                    good=rotation.old_number,
                    bad=new.number,
                    actor=rotation.id,
                )
            return new

    def _verify_old(self, rotation: Rotation, item: Item, rotator: Rotator, job: Job) -> str:
        with self._database.read() as connection:
            old = self._versions.get(connection, item.id, rotation.old_number)
        if job.old is None:
            return "the old value is kept as a digest, and opens as before"
        if old.expires_at is not None and old.expires_at <= self._clock():
            return "the old value had lapsed before"
        return f"the old value: {rotator.verify(job, job.old)}"

    def _hold(self, item: Item) -> Callable[[Connection], None]:
        """After a failure the next try waits, so that a second sweep of the same night starts nothing."""

        def record(connection: Connection) -> None:
            self._vault.hold(connection, item.id, self._clock() + self._failed_hold)

        return record
