"""Workflow definitions: applied from files, kept as rows, their references recorded with them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError, UnreadableError
from vaultcore.ids import new_id
from vaultcore.model import Consumer, NodeReference
from vaultcore.names import judge, skeleton, spellings
from vaultcore.namesakes import refuse_namesake
from vaultcore.stored import Unread, check_row, read_apart
from worker.tables import workflows
from worker.workflows.definition import Definition, load_definition, parse_stored
from worker.workflows.schedule import next_run

NAME_MAX = 200


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A stored workflow with its definition."""

    id: str
    name: str
    active: bool
    schedule_type: str
    schedule_value: str | None
    next_run_at: datetime | None
    definition: Definition
    raw: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What applying one definition did; `missing` names the items that do not exist (yet)."""

    workflow: Workflow
    created: bool
    missing: tuple[str, ...]


class Definitions:
    """Applies, finds and lists workflows."""

    def __init__(
        self,
        *,
        database: Database,
        references: References,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._references = references
        self._audit = audit
        self._clock = clock

    def apply(self, files: list[tuple[str, str]], *, actor: str) -> list[Applied]:
        """Applies definitions given as (source, text): all of them, or none if one is wrong."""
        loaded = [load_definition(text, source=source) for source, text in files]
        with self._database.write() as connection:
            return [
                self._store(connection, definition, source, actor)
                for definition, (source, _) in zip(loaded, files, strict=True)
            ]

    def get(self, connection: Connection, name_or_id: str) -> Workflow:
        rows = connection.execute(
            select(workflows).where(
                workflows.c.name.in_(spellings(name_or_id)) | (workflows.c.id == name_or_id)
            )
        ).all()
        row = min(rows, key=lambda row: name_or_id not in (row.name, row.id), default=None)
        if row is None:
            raise NotFoundError(f"no workflow {name_or_id[:60]!r}: `nightkey workflow list` shows them all")
        return _workflow(row)

    def all(self, connection: Connection) -> list[Workflow]:
        return [_workflow(row) for row in connection.execute(select(workflows).order_by(workflows.c.name))]

    def walk(self, connection: Connection) -> Iterator[Workflow | UnreadableError]:
        """By name; in the place of one that cannot be read, the error that says so."""
        for row in connection.execute(select(workflows).order_by(workflows.c.name)).all():
            workflow = read_apart(row, _workflow)
            if isinstance(workflow, Unread):
                yield workflow.explain(f"workflow {row.name} ({row.id})")
            else:
                yield workflow

    def _store(self, connection: Connection, definition: Definition, source: str, actor: str) -> Applied:
        now = self._clock()
        found = connection.execute(
            select(workflows).where(
                workflows.c.id == definition.id
                if definition.id is not None
                else workflows.c.name.in_(spellings(definition.name))
            )
        ).all()
        stored = min(found, key=lambda row: row.name != definition.name, default=None)
        namesake = connection.execute(
            select(workflows.c.id).where(workflows.c.name == definition.name)
        ).scalar_one_or_none()
        if namesake is not None and (stored is None or namesake != stored.id):
            raise RefusedError(
                f"a workflow named {definition.name} exists already with id {namesake}: "
                "give its id in the file, or choose another name"
            )
        if stored is None or stored.name != definition.name:  # one that it has already is not judged again
            definition = definition.named(_judge(definition.name, source))
            refuse_namesake(
                connection,
                workflows,
                definition.name,
                what="workflow",
                but=None if stored is None else stored.id,
            )
        workflow_id = stored.id if stored is not None else definition.id or new_id("fl", now)
        values = {
            "name": definition.name,
            "skeleton": skeleton(definition.name),
            "definition": definition.stored(),
            "active": definition.is_active,
            "schedule_type": definition.schedule_type,
            "schedule_value": definition.schedule_value,
            "updated_at": now,
        }
        same_schedule = stored is not None and (
            (stored.schedule_type, stored.schedule_value, stored.active)
            == (definition.schedule_type, definition.schedule_value, definition.is_active)
        )
        if not same_schedule:
            values["next_run_at"] = (
                next_run(definition.schedule_type, definition.schedule_value, now)
                if definition.is_active
                else None
            )
        if stored is None:
            connection.execute(insert(workflows).values(id=workflow_id, created_at=now, **values))
        else:
            connection.execute(update(workflows).where(workflows.c.id == workflow_id).values(values))
        self._references.record(
            connection,
            consumer=Consumer.WORKFLOW,
            consumer_id=workflow_id,
            consumer_name=definition.name,
            active=definition.is_active,
            found=[
                NodeReference(node_id=use.node_id, name=use.use.name, item_id=use.use.item_id)
                for use in definition.uses()
            ],
            now=now,
        )
        self._audit.append(
            connection,
            at=now,
            actor=actor,
            action="workflow.apply",
            subject=workflow_id,
            name=definition.name,
            active=definition.is_active,
        )
        missing = sorted(
            {
                reference.written
                for reference in self._references.of_consumer(connection, workflow_id)
                if reference.item_id is None
            }
        )
        return Applied(
            workflow=self.get(connection, workflow_id),
            created=stored is None,
            missing=tuple(missing),
        )


def _judge(name: str, source: str) -> str:
    problem = ""
    try:
        return judge(name, what="workflow", least=1, most=NAME_MAX, example="ticket-sync")
    except InvalidInputError as error:
        problem = str(error)
    raise InvalidInputError(f"{source}: field name: {problem}")


def _workflow(row: Row[*tuple[Any, ...]]) -> Workflow:
    check_row(row, f"workflow {row.name}")
    return Workflow(
        id=row.id,
        name=row.name,
        active=row.active,
        schedule_type=row.schedule_type,
        schedule_value=row.schedule_value,
        next_run_at=row.next_run_at,
        definition=parse_stored(row.definition),
        raw=row.definition,
    )
