"""What there is, for who looks: lists and single things, each read in one transaction. It has no way out."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import UnreadableError
from vaultcore.model import Item, Owner, Reference
from vaultcore.owners import Owners
from vaultcore.rows import owners_of
from vaultcore.vault import Vault
from worker.domain.proof import Consumer
from worker.domain.reach import Unreached
from worker.domain.rotation import Rotation
from worker.domain.tracks import Stop, trace
from worker.rows import findings as finding_rows
from worker.rows import item_notices as item_notice_rows
from worker.rows import notices as notice_rows
from worker.rows import rotation_steps as step_rows
from worker.rows import rotations as rotation_rows
from worker.rows import run_lists as run_list_rows
from worker.rows import runs as run_rows
from worker.rows.audit_lists import name_subjects
from worker.rows.consumers import consumers_of
from worker.rows.findings import ListedFinding, OpenFinding
from worker.rows.notices import Notice
from worker.rows.run_lists import ListedRun, StoredNodeLog
from worker.services.notices.recipients import Recipients
from worker.services.runs.definitions import Definitions
from worker.workflows.workflow import Workflow


@dataclass(frozen=True, kw_only=True)
class ListedWorkflow:
    """`items`: the names and ids that its nodes have of what they use."""

    workflow: Workflow
    items: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class WorkflowView:
    """`last_runs`: newest first."""

    workflow: Workflow
    references: tuple[Reference, ...]
    last_runs: tuple[dict[str, Any], ...]


@dataclass(frozen=True, kw_only=True)
class RunView:
    """`used`: versions, by item. `logs`: what its nodes came to, in order."""

    run: ListedRun
    used: dict[str, int]
    logs: tuple[StoredNodeLog, ...]


class Views:
    """In the place of something that cannot be read, or was edited, a list has the error that says so."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        owners: Owners,
        references: References,
        recipients: Recipients,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._owners = owners
        self._references = references
        self._recipients = recipients
        self._definitions = Definitions()
        self._clock = clock

    def list_items(self) -> list[Item | UnreadableError]:
        with self._database.read() as connection:
            return list(self._vault.walk(connection))

    def get_item(self, name_or_id: str) -> Item:
        with self._database.read() as connection:
            return self._vault.get(connection, name_or_id)

    def find_owners(self, item_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Who answers for each of these items, by name; of one that is gone, nobody."""
        with self._database.read() as connection:
            return owners_of(connection, sorted(item_ids))

    def name_subjects(self, ids: Collection[str]) -> dict[str, str]:
        """The items that these ids name, or those of these rotations; of what is gone, nothing."""
        with self._database.read() as connection:
            return name_subjects(connection, ids)

    def list_consumers(self, item: Item) -> list[Consumer]:
        """The workflows that use an item."""
        with self._database.read() as connection:
            return list(consumers_of(connection, item.id))

    def get_owner(self, name: str) -> Owner:
        with self._database.read() as connection:
            return self._owners.get(connection, name)

    def list_owners(self) -> list[Owner | UnreadableError]:
        with self._database.read() as connection:
            return list(self._owners.walk(connection))

    def find_unreached(self) -> list[Unreached]:
        """Owners whom nothing that is told would reach."""
        with self._database.read() as connection:
            return list(self._recipients.find_unreached(connection))

    def list_workflows(self) -> list[ListedWorkflow | UnreadableError]:
        with self._database.read() as connection:
            return [
                one
                if isinstance(one, UnreadableError)
                else ListedWorkflow(workflow=one, items=tuple(self._references.written_by(connection, one.id)))
                for one in self._definitions.walk(connection)
            ]

    def view_workflow(self, name_or_id: str) -> WorkflowView:
        with self._database.read() as connection:
            workflow = self._definitions.get(connection, name_or_id)
            return WorkflowView(
                workflow=workflow,
                references=tuple(self._references.of_consumer(connection, workflow.id)),
                last_runs=tuple(run_rows.last_runs(connection, workflow.id)),
            )

    def view_run(self, run_id: str) -> RunView:
        with self._database.read() as connection:
            return RunView(
                run=run_list_rows.get_run(connection, run_id),
                used=run_list_rows.versions_of_run(connection, run_id),
                logs=tuple(run_list_rows.logs_of_run(connection, run_id)),
            )

    def list_logs(self, workflow: Workflow, *, limit: int) -> list[StoredNodeLog]:
        """What its nodes came to, newest first."""
        with self._database.read() as connection:
            return run_list_rows.logs_of_workflow(connection, workflow.id, limit=limit)

    def count_runs(self, workflow: Workflow) -> dict[str, int]:
        """By their status."""
        with self._database.read() as connection:
            return run_list_rows.count_by_status(connection, workflow.id)

    def list_rotations(self) -> list[Rotation | UnreadableError]:
        """Newest first."""
        with self._database.read() as connection:
            return list(rotation_rows.walk_rotations(connection))

    def get_rotation(self, rotation_id: str) -> Rotation:
        with self._database.read() as connection:
            return rotation_rows.get_rotation(connection, rotation_id)

    def trace_rotations(self, found: Sequence[Rotation]) -> dict[str, tuple[Stop, ...]]:
        """How far each of these has come, by id: few, as a page of a list has them."""
        with self._database.read() as connection:
            ends = step_rows.ends_of(connection, [one.id for one in found])
        return {one.id: trace(one, ends[one.id]) for one in found}

    def list_findings(self, *, owner: str | None = None) -> list[ListedFinding]:
        """Open ones, oldest first: of an owner's items, or all."""
        with self._database.read() as connection:
            owner_id = None if owner is None else self._owners.get(connection, owner).id
            found = finding_rows.list_open(connection, owner_id=owner_id)
        return [finding_rows.list_finding(one, self._clock()) for one in found]

    def view_finding(self, finding_id: str) -> ListedFinding:
        """An open one, and who knows of it."""
        return finding_rows.list_finding(self.get_finding(finding_id), self._clock())

    def get_finding(self, finding_id: str) -> OpenFinding:
        """An open one."""
        with self._database.read() as connection:
            return finding_rows.get_open(connection, finding_id)

    def list_notices(self, *, failed: bool = False) -> list[Notice]:
        """Newest first; `failed`: what somebody did not take, last try included."""
        with self._database.read() as connection:
            return notice_rows.list_notices(connection, failed=failed)

    def list_item_notices(self, item: Item, *, limit: int) -> list[Notice]:
        """The newest of those that told of the item."""
        with self._database.read() as connection:
            return item_notice_rows.find_notices_of_item(connection, item.id, limit=limit)

    def get_notice(self, notice_id: str) -> Notice:
        with self._database.read() as connection:
            return notice_rows.get_notice(connection, notice_id)
