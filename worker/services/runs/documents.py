"""Documents of workflows: taken in, kept as they were given, their references recorded with them."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, RefusedError
from vaultcore.ids import new_id
from vaultcore.model import ConsumerKind, NodeReference
from vaultcore.names import judge, skeleton
from vaultcore.stored import Unread, read_apart
from worker.domain.places import Place
from worker.domain.revisions import Expected, check_revision, revision_of_workflow
from worker.rows import rotations as rotation_rows
from worker.rows import workflows as workflow_rows
from worker.rows.workflows import StoredWorkflow, read_workflow
from worker.services.runs.definitions import Definitions
from worker.workflows.definition import Definition, NodeUse, load_definition, parse_stored
from worker.workflows.schedule import next_run
from worker.workflows.sources import Outline, Source, read_sources
from worker.workflows.workflow import Workflow

NAME_MAX = 200
_OUR_ID = re.compile(r"fl_[0-9a-hjkmnp-tv-z]{26}")


class DocumentChange(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    LEFT_OUT = "left out"


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What a document did, or would do. `missing` names the items that do not exist (yet), `unknown` the
    workflows that it starts and that do not; `workflow` is None for what was left out, and `why` says why.
    """

    name: str
    change: DocumentChange
    workflow: Workflow | None = None
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    why: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """How other documents may name it."""
        ids = () if self.workflow is None else (self.workflow.id, self.workflow.given_id)
        return (self.name, *(each for each in ids if each is not None))


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What is to be done with a document. `stored` is the row that it changes, None for a new one."""

    definition: Definition
    label: str
    stored: StoredWorkflow | None
    id: str
    given_id: str | None
    place: Place
    stays_away: bool
    uses: tuple[NodeUse, ...]
    change: DocumentChange


class Documents:
    """Applies documents, or says what that would do."""

    def __init__(
        self,
        *,
        database: Database,
        definitions: Definitions,
        references: References,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._references = references
        self._audit = audit
        self._clock = clock

    def apply(
        self,
        files: Sequence[tuple[str, str]],
        *,
        place: Place | None = None,
        strict: bool = False,
        expected: Expected | None = None,
        actor: str,
    ) -> list[Applied]:
        """Applies the documents of files given as (name, text): all of them, or none if one is wrong.

        `place` says where they run; None: as they say, or as was said before, or here if they can. `strict`
        refuses what would be kept without being understood, and what cannot run here. `ChangedError` if the
        workflow of one is not as `expected`.
        """
        sources = [one for name, text in files for one in read_sources(text, source=name, strict=strict)]
        problems = [str(one) for one in sources if isinstance(one, InvalidInputError)]
        if problems:
            raise InvalidInputError("\n".join(problems))
        taken: dict[str, str] = {}
        with self._database.write() as connection:
            if expected is not None:
                self._audit.take_turn(connection)
            applied = [
                self._apply(connection, one, place, taken, actor=actor, expected=expected)
                for one in sources
                if isinstance(one, Source)
            ]
            return [self._find_unknown(connection, one, ()) for one in applied]

    def lint(
        self, files: Sequence[tuple[str, str]], *, place: Place | None = None, strict: bool = False
    ) -> list[Applied | InvalidInputError | RefusedError]:
        """What `apply` would do, document by document, without doing it; in the place of one that it would
        refuse, the error.
        """
        sources = [one for name, text in files for one in read_sources(text, source=name, strict=strict)]
        taken: dict[str, str] = {}
        with self._database.read() as connection:
            foreseen = [
                one if isinstance(one, InvalidInputError) else self._foresee(connection, one, place, taken)
                for one in sources
            ]
            coming = [name for one in foreseen if isinstance(one, Applied) for name in one.names]
            return [
                self._find_unknown(connection, one, coming) if isinstance(one, Applied) else one
                for one in foreseen
            ]

    # Inside

    def _foresee(
        self, connection: Connection, source: Source, place: Place | None, taken: dict[str, str]
    ) -> Applied | InvalidInputError | RefusedError:
        try:
            plan = self._plan(connection, source, place)
            _take(plan, taken)
        except (InvalidInputError, RefusedError) as error:
            return error
        return plan if isinstance(plan, Applied) else self._describe(connection, plan)

    def _find_unknown(self, connection: Connection, applied: Applied, coming: Sequence[str]) -> Applied:
        """With the workflows that it starts and that neither are there nor are coming along."""
        if applied.workflow is None or applied.change is DocumentChange.UNCHANGED:
            return applied
        started = set(applied.workflow.definition.starts()) - set(coming)
        unknown = sorted(name for name in started if not self._definitions.is_known(connection, name))
        return replace(applied, unknown=tuple(unknown))

    def _describe(self, connection: Connection, plan: _Plan) -> Applied:
        definition = plan.definition
        names = {use.use.written for use in plan.uses}
        return Applied(
            name=definition.name,
            change=plan.change,
            missing=tuple(sorted(names - self._references.find_items(connection, names).keys())),
            workflow=Workflow(
                id=plan.id,
                name=definition.name,
                given_id=plan.given_id,
                active=definition.is_active,
                runs=plan.place,
                stays_away=plan.stays_away,
                schedule_type=definition.schedule_type,
                schedule_value=definition.schedule_value,
                next_run_at=None,
                definition=definition,
            ),
        )

    def _apply(
        self,
        connection: Connection,
        source: Source,
        place: Place | None,
        taken: dict[str, str],
        *,
        actor: str,
        expected: Expected | None,
    ) -> Applied:
        plan = self._plan(connection, source, place)
        _check_seen(plan, expected)
        _take(plan, taken)
        if isinstance(plan, Applied):
            return plan
        applied = self._describe(connection, plan)
        if plan.change is DocumentChange.UNCHANGED:
            return applied
        self._store(connection, plan)
        self._audit.append(
            connection,
            at=self._clock(),
            actor=actor,
            action="workflow.apply",
            subject=plan.id,
            name=plan.definition.name,
            active=plan.definition.is_active,
            runs=plan.place.value,
        )
        return replace(applied, workflow=self._definitions.get(connection, plan.id))

    def _plan(self, connection: Connection, source: Source, place: Place | None) -> _Plan | Applied:
        """`RefusedError` or `InvalidInputError` where it cannot be done."""
        definition = source.read
        stored = self._find_stored(connection, definition.id, definition.name)
        if isinstance(definition, Outline):
            if stored is None:
                why = "it has no nodes: get it by itself (GET /workflows/ID), and apply that answer"
                return Applied(name=definition.name, change=DocumentChange.LEFT_OUT, why=why)
            definition = _fill_in(definition, stored, source.label)
        if stored is None or stored.name != definition.name:  # one that it has already is not judged again
            definition = definition.named(_judge(definition.name, source.label))
            workflow_rows.refuse_taken(connection, definition.name, but=None if stored is None else stored.id)
        own = definition.id if definition.id and _OUR_ID.fullmatch(definition.id) else None
        workflow_id = stored.id if stored is not None else own or new_id("fl", self._clock())
        before = None if stored is None else stored.given_id
        given_id = before if definition.id in (None, workflow_id) else definition.id
        chosen, stays_away = _place(definition, stored, place, source.label)
        uses = definition.uses(here=chosen is Place.HERE)
        change = DocumentChange.CREATED if stored is None else DocumentChange.UPDATED
        if stored is not None and self._is_same(
            connection, stored, definition, place=chosen, stays_away=stays_away, uses=uses
        ):
            change = DocumentChange.UNCHANGED
        return _Plan(
            definition=definition,
            label=source.label,
            stored=stored,
            id=workflow_id,
            given_id=given_id,
            place=chosen,
            stays_away=stays_away,
            uses=uses,
            change=change,
        )

    def _find_stored(self, connection: Connection, given: str | None, name: str) -> StoredWorkflow | None:
        """The row that a document of this id and name means; None: there is none yet.

        `RefusedError` where its name is that of another.
        """
        found = None if given is None else workflow_rows.find_by_id(connection, given)
        if found is not None:
            namesake = workflow_rows.find_by_name(connection, name)
            if namesake is not None and namesake.id != found.id:
                raise RefusedError(
                    f"a workflow named {name} exists already with id {namesake.id}: choose another name"
                )
            return found
        named = workflow_rows.find_by_name(connection, name)
        if named is None or given is None:
            return named
        if named.given_id is not None:
            raise _refuse_name(name, named.given_id)
        before = read_apart(named, read_workflow)
        if isinstance(before, Unread) or before.definition.id is None:  # what is damaged is made whole by it
            return named
        raise _refuse_name(name, named.id)

    def _is_same(
        self,
        connection: Connection,
        stored: StoredWorkflow,
        definition: Definition,
        *,
        place: Place,
        stays_away: bool,
        uses: tuple[NodeUse, ...],
    ) -> bool:
        before = (stored.document, stored.name, stored.runs, stored.stays_away)
        if before != (definition.text, definition.name, place.value, stays_away):
            return False
        found = self._references.of_consumer(connection, stored.id)
        unlinked = {reference.written for reference in found if reference.item_id is None}
        if self._references.find_items(connection, unlinked):  # made while nobody looked
            return False
        known = {(reference.node_id, reference.written, reference.mentioned) for reference in found}
        return known == {(use.node_id, use.use.written, use.mentioned) for use in uses}

    def _store(self, connection: Connection, plan: _Plan) -> None:
        now = self._clock()
        self._store_workflow(connection, plan, now)
        self._references.record(
            connection,
            consumer=ConsumerKind.WORKFLOW,
            consumer_id=plan.id,
            consumer_name=plan.definition.name,
            active=plan.definition.is_active,
            elsewhere=plan.place is Place.ELSEWHERE,
            found=[
                NodeReference(
                    node_id=use.node_id, name=use.use.name, item_id=use.use.item_id, mentioned=use.mentioned
                )
                for use in plan.uses
            ],
            now=now,
        )
        uses = self._references.of_consumer(connection, plan.id)
        used = {use.item_id for use in uses if use.item_id is not None}
        rotation_rows.wake_unshown(connection, now, item_ids=used)  # its idea of a good answer may be new
        rotation_rows.wake_watching_at_rest(connection, used, now)

    def _store_workflow(self, connection: Connection, plan: _Plan, now: datetime) -> None:
        definition, stored = plan.definition, plan.stored
        values: dict[str, Any] = {
            "name": definition.name,
            "skeleton": skeleton(definition.name),
            "given_id": plan.given_id,
            "document": definition.text,
            "runs": plan.place.value,
            "stays_away": plan.stays_away,
            "critical": definition.critical,
            "active": definition.is_active,
            "schedule_type": definition.schedule_type,
            "schedule_value": definition.schedule_value,
            "updated_at": now,
        }
        kept = ("schedule_type", "schedule_value", "active", "runs")
        if stored is None or any(getattr(stored, name) != values[name] for name in kept):
            runs = definition.is_active and plan.place is Place.HERE
            following = next_run(definition.schedule_type, definition.schedule_value, now) if runs else None
            values["next_run_at"] = following
        if stored is None:
            workflow_rows.add_workflow(connection, plan.id, created_at=now, **values)
        else:
            workflow_rows.change_workflow(connection, plan.id, **values)


def _check_seen(plan: _Plan | Applied, expected: Expected | None) -> None:
    if isinstance(plan, Applied) or expected is None:
        return
    stored, revision = plan.stored, None
    if stored is not None:
        revision = revision_of_workflow(
            id=stored.id, given_id=stored.given_id, name=stored.name, text=stored.document, runs=stored.runs
        )
    check_revision(expected, revision, f"workflow {plan.definition.name}")


def _take(plan: _Plan | Applied, taken: dict[str, str]) -> None:
    """Notes which document is of which workflow; `RefusedError` where two are of one."""
    if isinstance(plan, Applied):
        return
    name = plan.definition.name
    for key in (name, plan.id, plan.given_id or plan.id):
        other = taken.setdefault(key, plan.label)
        if other != plan.label:
            raise RefusedError(f"{plan.label}: {other} is of workflow {key}, too: leave one of them out")


def _refuse_name(name: str, known_as: str) -> RefusedError:
    return RefusedError(
        f"a workflow named {name} exists already with id {known_as}: give its id in the file, or choose "
        "another name"
    )


def _place(
    definition: Definition, stored: StoredWorkflow | None, said: Place | None, label: str
) -> tuple[Place, bool]:
    """Where it runs, and whether that was said: now, in the document, or before."""
    if said is None:
        said = None if definition.document.runs is None else Place(definition.document.runs)
    if said is None and stored is not None and stored.stays_away:
        said = Place.ELSEWHERE
    if said is Place.ELSEWHERE:
        return Place.ELSEWHERE, True
    away = definition.away
    if said is Place.HERE and away:
        raise RefusedError("\n".join(f"{label}: it cannot run here: {remark}" for remark in away[:50]))
    return (Place.ELSEWHERE if away else Place.HERE), False


def _fill_in(outline: Outline, stored: StoredWorkflow, label: str) -> Definition:
    """The stored document with what a list says of it; the very same text if it says nothing new."""
    before = json.loads(read_workflow(stored).text)
    if all(name in before and before[name] == part for name, part in outline.fields.items()):
        return parse_stored(stored.document)
    text = json.dumps({**before, **outline.fields}, indent=2, ensure_ascii=False)
    return load_definition(text, source=label, strict=outline.strict)


def _judge(name: str, source: str) -> str:
    if _OUR_ID.fullmatch(name):
        raise InvalidInputError(f"{source}: field name: it looks like a workflow's id: choose another")
    problem = ""
    try:
        return judge(name, what="workflow", least=1, most=NAME_MAX, example="ticket-sync")
    except InvalidInputError as error:
        problem = str(error)
    raise InvalidInputError(f"{source}: field name: {problem}")
