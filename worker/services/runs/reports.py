"""Runs that another engine has run, as it reports them: the proof, or the refusal, that they leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import Cause, InvalidInputError
from vaultcore.model import Item
from vaultcore.vault import Vault
from vaultcore.versions import Versions
from worker.domain.commands import quote_word
from worker.domain.rotation import Rotation
from worker.domain.states import RunStatus
from worker.rows import rotations as rotation_rows
from worker.rows import runs as run_rows
from worker.rows.reported_runs import report_run
from worker.services.runs.definitions import Definitions
from worker.workflows.results import RunResult
from worker.workflows.workflow import Workflow

EXTERNAL_ID_MAX = 200
MESSAGE_MAX = 2000


@dataclass(frozen=True, kw_only=True)
class Report:
    """A run as its engine tells it. `status` is completed or failed; `external_id` tells it from others.

    `node` and `cause` say where and why it failed. `used` names the versions of items that it used; for
    the others it is the version that was current when the run started; or the pinned one, of a workflow
    that runs here.
    """

    workflow: str
    status: str
    started_at: datetime | None
    external_id: str | None = None
    node: str | None = None
    cause: Cause | None = None
    message: str | None = None
    used: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Reported:
    """`used` are the versions by item; `new` is false for a run that was reported before."""

    workflow: str
    used: Mapping[str, int]
    new: bool


class RunReports:
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

    def report(self, report: Report, *, actor: str) -> Reported:
        """Records the run, its proof or refusal, and wakes the rotations that watch for it."""
        now = self._clock()
        _check(report, now)
        with self._database.write() as connection:
            workflow = self._definitions.get(connection, report.workflow)
            if report.node is not None:
                workflow.check_has(report.node)
            items = self._items_of(connection, workflow, report.used)
            used = {
                item.id: number
                for item in items
                if (number := self._find_version(connection, workflow, item, report)) is not None
            }
            names = {item.name: used[item.id] for item in items if item.id in used}
            run_id = report_run(
                connection,
                workflow.id,
                workflow.name,
                external_id=report.external_id,
                started_at=report.started_at or now,
                at=now,
            )
            if run_id is None:
                return Reported(workflow=workflow.name, used=names, new=False)
            run_rows.end_run(connection, run_id, _result(report), used, at=now)
            good = report.status == RunStatus.COMPLETED
            rotation_rows.wake_watching(connection, used, now)  # rotations before references, as who watches
            self._references.note_run(
                connection,
                workflow_id=workflow.id,
                used=used,
                good=good,
                began_at=report.started_at or now,
                at=now,
            )
            self._audit.append(
                connection,
                at=now,
                actor=actor,
                action="run.report",
                subject=run_id,
                workflow=workflow.id,
                status=report.status,
            )
        return Reported(workflow=workflow.name, used=names, new=True)

    def _items_of(self, connection: Connection, workflow: Workflow, used: Mapping[str, int]) -> list[Item]:
        ids = {
            reference.item_id
            for reference in self._references.of_consumer(connection, workflow.id)
            if reference.item_id is not None and not reference.mentioned
        }
        items = [self._vault.get(connection, item_id) for item_id in sorted(ids)]
        unknown = sorted(set(used) - {item.name for item in items})
        if unknown:
            raise InvalidInputError(
                f"workflow {workflow.name} does not use {', '.join(unknown)}: "
                f"it uses {', '.join(item.name for item in items) or 'no item'}"
            )
        return items

    def _find_version(
        self, connection: Connection, workflow: Workflow, item: Item, report: Report
    ) -> int | None:
        if item.name in report.used:
            number = report.used[item.name]
            used = {v.number for v in self._versions.of_item(connection, item.id) if v.activated_at is not None}
            if number not in used:
                raise InvalidInputError(
                    f"version {number} of {item.name} was never in use: "
                    f"it had {', '.join(map(str, sorted(used))) or 'none'}"
                )
            return number
        started_at = report.started_at
        if started_at is None or not workflow.runs_here:  # which value another engine had, only it can tell
            return None
        stayed = self._stayed_on(connection, workflow, item, started_at)
        if stayed is not None:
            return stayed
        return max(
            (
                version.number
                for version in self._versions.of_item(connection, item.id)
                if version.activated_at is not None
                and version.activated_at <= started_at
                and (version.superseded_at is None or version.superseded_at > started_at)
            ),
            default=None,
        )

    def _stayed_on(
        self, connection: Connection, workflow: Workflow, item: Item, started_at: datetime
    ) -> int | None:
        """The version on which a pin, or a rotation, kept the workflow."""
        for reference in self._references.of_consumer(connection, workflow.id):
            if reference.item_id == item.id and not reference.mentioned and reference.pinned is not None:
                return reference.pinned
        rotation = rotation_rows.find_open_rotation(connection, item.id)
        held = rotation is not None and _was_held(rotation, workflow.id, started_at)
        return rotation.old_number if rotation is not None and held else None


def _was_held(rotation: Rotation, workflow_id: str, at: datetime) -> bool:
    """Whether the rotation held the workflow on its old version then, until another had run well."""
    if rotation.canary_id in (None, workflow_id):
        return False
    began, ended = rotation.activated_at, rotation.widened_at
    return began is not None and ended is not None and began <= at < ended


def _check(report: Report, now: datetime) -> None:
    if report.status not in (RunStatus.COMPLETED, RunStatus.FAILED):
        raise InvalidInputError(f"status {report.status[:40]!r} does not end a run: it is completed or failed")
    if report.started_at is None and not report.used:
        raise InvalidInputError(
            "which versions did it use? say when it started, or name them by --used ITEM=VERSION: nightkey run "
            f"report {quote_word(report.workflow)} --status {report.status} --started-at TIME"
        )
    if report.started_at is not None and report.started_at > now:
        raise InvalidInputError("--started-at lies in the future")
    if report.status == RunStatus.COMPLETED and (report.node is not None or report.cause is not None):
        raise InvalidInputError("a completed run has no failed node and no cause")
    if report.cause is Cause.REJECTED and report.node is None:
        raise InvalidInputError("a rejection judges what a node used: say which (--node NODE)")
    for name, text, most in (
        ("id", report.external_id, EXTERNAL_ID_MAX),
        ("message", report.message, MESSAGE_MAX),
    ):
        if text is not None and (not text or len(text) > most or not text.isprintable()):
            raise InvalidInputError(f"--{name} is 1 to {most} printable characters")


def _result(report: Report) -> RunResult:
    failed = report.status == RunStatus.FAILED
    return RunResult(
        status=RunStatus(report.status),
        output=None,
        error_message=(report.message or "it failed outside") if failed else None,
        error_node=report.node,
        cause=(report.cause or Cause.MISTAKE) if failed else None,
        logs=(),
        used=frozenset(),
    )
