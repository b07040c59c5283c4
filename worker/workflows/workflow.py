"""A workflow as it is stored here, with what its document defines."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vaultcore.errors import InvalidInputError
from worker.domain.places import Place

if TYPE_CHECKING:  # with it come templates and components: it is made where a document is read
    from worker.workflows.definition import Definition


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """A stored workflow with its definition. `stays_away`: somebody said that it runs elsewhere.
    `created_at` None: it is not stored yet.
    """

    id: str
    name: str
    given_id: str | None
    active: bool
    runs: Place
    stays_away: bool
    schedule_type: str
    schedule_value: str | None
    next_run_at: datetime | None
    definition: "Definition"
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def runs_here(self) -> bool:
        return self.runs is Place.HERE

    @property
    def text(self) -> str:
        """The document as it was given."""
        return self.definition.text

    def check_has(self, node_id: str) -> None:
        """`InvalidInputError` for a node that is none of its own: it says which are."""
        if node_id not in self.definition.node_ids():
            its_nodes = ", ".join(self.definition.node_ids())
            raise InvalidInputError(f"workflow {self.name} has no node {node_id[:60]!r}: it has {its_nodes}")

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
