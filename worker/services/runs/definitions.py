"""Workflows as they are stored, and what is asked of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, false, or_, select

from vaultcore.errors import NotFoundError, RefusedError, UnreadableError
from vaultcore.names import spellings
from vaultcore.row_macs import check_mac, find_edited
from vaultcore.stored import Unread, check_row, read_apart
from worker.domain.commands import quote_word
from worker.domain.places import Place
from worker.rows.tables import workflows
from worker.workflows.definition import Definition, parse_stored


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A stored workflow with its definition. `stays_away`: somebody said that it runs elsewhere."""

    id: str
    name: str
    given_id: str | None
    active: bool
    runs: Place
    stays_away: bool
    schedule_type: str
    schedule_value: str | None
    next_run_at: datetime | None
    definition: Definition

    @property
    def runs_here(self) -> bool:
        return self.runs is Place.HERE

    @property
    def text(self) -> str:
        """The document as it was given."""
        return self.definition.text

    def why_untested(self, node_id: str) -> str | None:
        """Why the node cannot be tested alone here; None: it can."""
        return None if self.runs_here else self.definition.why_untested(node_id)

    def explain_place(self) -> str | None:
        """Why it runs elsewhere; None: it runs here."""
        if self.runs_here:
            return None
        away = self.definition.away
        if not away or self.stays_away:
            return "--runs elsewhere, or its document, says so"
        return str(away[0]) + (f" (and {len(away) - 1} more)" if len(away) > 1 else "")


class Definitions:
    """Finds and lists workflows, in the caller's transaction."""

    def get(self, connection: Connection, name_or_id: str) -> Workflow:
        """By name, by our id, or by the id that its document has; `TamperedError` if none of us wrote it so."""
        rows = connection.execute(select(workflows).where(_is_meant(name_or_id))).all()
        row = min(rows, key=lambda row: (row.id != name_or_id, row.given_id == name_or_id), default=None)
        if row is None:
            raise NotFoundError(f"no workflow {name_or_id[:60]!r}: `nightkey workflow list` shows them all")
        workflow = read_workflow(row)
        check_mac(connection, workflows, row, f"workflow {row.name}")
        return workflow

    def is_known(self, connection: Connection, name_or_id: str) -> bool:
        found = connection.execute(select(workflows.c.id).where(_is_meant(name_or_id)).limit(1))
        return found.first() is not None

    def all(self, connection: Connection) -> list[Workflow]:
        return [read_workflow(row) for row in connection.execute(select(workflows).order_by(workflows.c.name))]

    def walk(self, connection: Connection) -> Iterator[Workflow | UnreadableError]:
        """By name; in the place of one that cannot be read, or was edited, the error that says so."""
        for row in connection.execute(select(workflows).order_by(workflows.c.name)).all():
            workflow, what = read_apart(row, read_workflow), f"workflow {row.name} ({row.id})"
            if isinstance(workflow, Unread):
                yield workflow.explain(what)
            else:
                yield find_edited(connection, workflows, row, what) or workflow


def refuse_elsewhere(workflow: Workflow) -> None:
    """`RefusedError` for a workflow that another engine runs."""
    why = workflow.explain_place()
    if why is not None:
        raise RefusedError(
            f"workflow {workflow.name} runs elsewhere: {why}; what its engine ran is told by "
            f"nightkey run report {quote_word(workflow.name)}"
        )


def read_workflow(row: Row[*tuple[Any, ...]]) -> Workflow:
    """`UnreadableError`, naming it, if what is stored of it cannot be meant."""
    what = f"workflow {row.name}"
    check_row(row, what)
    try:
        definition = parse_stored(row.document)
    except (ValueError, RecursionError) as error:
        problem = type(error).__name__
    else:
        return _made(row, definition)
    raise UnreadableError(what, problem)


def _is_meant(name_or_id: str) -> ColumnElement[bool]:
    c = workflows.c
    if "\x00" in name_or_id:  # no database takes it
        return false()
    return or_(c.name.in_(spellings(name_or_id)), c.id == name_or_id, c.given_id == name_or_id)


def _made(row: Row[*tuple[Any, ...]], definition: Definition) -> Workflow:
    return Workflow(
        id=row.id,
        name=row.name,
        given_id=row.given_id,
        active=row.active,
        runs=Place(row.runs),
        stays_away=row.stays_away,
        schedule_type=row.schedule_type,
        schedule_value=row.schedule_value,
        next_run_at=row.next_run_at,
        definition=definition,
    )
