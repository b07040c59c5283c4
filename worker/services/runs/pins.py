"""A person lets a workflow stay on one version of an item, or follow the current one again."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import ConflictError, RefusedError
from vaultcore.model import Item, Stage
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.commands import explain_waiting
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rows import consumers as consumer_rows
from worker.rows import rotations as rotation_rows
from worker.services.runs.definitions import Definitions
from worker.workflows.workflow import Workflow

_MAY_BE_USED = frozenset({Stage.CURRENT, Stage.PREVIOUS})


class Pins:
    """Each change is one transaction with its audit row."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        versions: Versions,
        references: References,
        definitions: Definitions,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._versions = versions
        self._references = references
        self._definitions = definitions
        self._audit = audit
        self._clock = clock

    def pin(self, workflow: str, item: str, number: int, *, actor: str) -> tuple[Workflow, Item]:
        """The workflow stays on that version; `RefusedError` for one that it could not run with for long, and
        for a workflow that runs elsewhere.
        """
        with self._database.write() as connection:
            used_by = self._definitions.get(connection, workflow)
            if not used_by.runs_here:
                raise RefusedError(
                    f"workflow {used_by.name} runs elsewhere: which version its engine uses is not decided here"
                )
            found = self._vault.get(connection, item)
            rotation = self._lock_replacement(connection, found)
            self._check_version(connection, found, number, rotation)
            self._check_at_rest(connection, used_by, found, rotation)
            rotation_rows.wake_watching_at_rest(connection, [found.id], self._clock())
            self._references.pin(connection, workflow_id=used_by.id, item_id=found.id, number=number)
            self._note(connection, "reference.pin", used_by, found, actor, version=number)
            return used_by, found

    def unpin(self, workflow: str, item: str, *, actor: str) -> tuple[Workflow, Item]:
        """The workflow follows the current version."""
        with self._database.write() as connection:
            used_by = self._definitions.get(connection, workflow)
            found = self._vault.get(connection, item)
            rotation = rotation_rows.find_open_rotation(connection, found.id, lock=True)
            self._check_at_rest(connection, used_by, found, rotation)
            rotation_rows.wake_watching_at_rest(connection, [found.id], self._clock())
            self._references.pin(connection, workflow_id=used_by.id, item_id=found.id, number=None)
            self._note(connection, "reference.unpin", used_by, found, actor)
            return used_by, found

    def _lock_replacement(self, connection: Connection, item: Item) -> Rotation | None:
        """Whoever takes away one of its versions waits, with its open rotation or without one."""
        rotation = rotation_rows.find_open_rotation(connection, item.id, lock=True)
        self._vault.get(connection, item.id, lock=True)  # which has who takes away what no rotation replaced
        if rotation is None and rotation_rows.find_open_rotation(connection, item.id) is not None:
            raise ConflictError(f"a rotation of {item.name} has just been opened: try again")
        return rotation

    def _check_version(
        self, connection: Connection, item: Item, number: int, rotation: Rotation | None
    ) -> None:
        if item.version is None:
            raise RefusedError(explain_waiting(item, self._clock()))
        version = self._versions.get(connection, item.id, number)
        if not version.filled:
            raise RefusedError(f"version {number} of {item.name} holds no value any more")
        if version.stage not in _MAY_BE_USED:
            raise RefusedError(f"version {number} of {item.name} is not in use yet, and may be thrown away")
        if rotation is None:
            return
        leaving = {State.RETIRING: rotation.old_number, State.UNDOING: rotation.new_number}
        if number == leaving.get(rotation.stuck_in or rotation.state):
            raise RefusedError(
                f"version {number} of {item.name} is just being taken away "
                f"(nightkey rotation show {rotation.id})"
            )

    def _check_at_rest(
        self, connection: Connection, workflow: Workflow, item: Item, rotation: Rotation | None
    ) -> None:
        """A run keeps the version that it began with: after a change, nobody could tell which that was."""
        if rotation is not None and consumer_rows.is_running(connection, workflow.id):
            raise RefusedError(
                f"{item.name} is being rotated, and a run of {workflow.name} is under way: "
                "wait until it is over"
            )

    def _note(
        self,
        connection: Connection,
        action: str,
        workflow: Workflow,
        item: Item,
        actor: str,
        **details: int,
    ) -> None:
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action=action,
            subject=workflow.id,
            item=item.id,
            **details,
        )
