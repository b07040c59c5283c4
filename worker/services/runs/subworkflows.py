"""Workflows that others start: which may be, and the runs that are opened for whoever comes to execute them."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Final

from vaultcore.database import Database
from vaultcore.errors import Cause, InvalidInputError, NightkeyError, TargetError, TroubleError
from worker.domain.states import RunPurpose, RunTrigger
from worker.rows import runs as run_rows
from worker.rows import states as state_rows
from worker.services.runs.definitions import Definitions
from worker.services.runs.suspended_runs import SuspendedRuns
from worker.workflows.masking import Masker
from worker.workflows.nodes.starting import SUBFLOW_TRIGGER, WORKFLOW_TRIGGER
from worker.workflows.others import Given
from worker.workflows.workflow import Workflow

LEVELS_MAX: Final = 5
"""How deep iterators may run each other."""
CHAIN_MAX: Final = 20
"""How many runs may begin each other, one after the other."""


_LINKED: Final = "linked"


class Subworkflows:
    def __init__(
        self,
        *,
        database: Database,
        definitions: Definitions,
        suspended_runs: SuspendedRuns,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._suspended_runs = suspended_runs
        self._clock = clock

    def find(self, workflow: str, *, trigger: str, depth: int, level: int) -> Workflow:
        """The other workflow, by id or name; `TargetError` if a run of this depth, run by so many
        iterators, cannot start it.
        """
        problem = ""
        try:
            with self._database.read() as connection:
                found = self._definitions.get(connection, workflow)
            problem = explain_unfit(found, trigger)
        except TroubleError:
            raise
        except NightkeyError as error:
            problem = str(error)
        if not problem:
            problem = _explain_too_many(trigger, depth, level)
        if problem:
            raise TargetError(problem, cause=Cause.MISTAKE)
        return found

    def open(self, workflow: Workflow, given: Given, *, parent_id: str, depth: int) -> str:
        """A run that can be begun from now on, with what it was given, sealed: its id."""
        hides = given.masker if given.shown != given.payload else Masker(())  # else there is nothing to hide
        kept = {"payload": given.payload, "shown": given.shown, "masker": hides.keep()}
        now = self._clock()
        problem = ""
        try:
            with self._database.write() as connection:
                run_id = run_rows.open_run(
                    connection,
                    workflow.id,
                    workflow.name,
                    purpose=RunPurpose.PRODUCTION,
                    trigger=RunTrigger.WORKFLOW,
                    at=now,
                    parent_id=parent_id,
                    depth=depth,
                ).id
                state_rows.keep(
                    connection, run_id, self._suspended_runs.seal(run_id, kept), at=now, resume_at=now
                )
        except InvalidInputError as error:
            problem = f"the payload cannot be given to {workflow.name}: {error}"
        if problem:
            raise TargetError(problem, cause=Cause.MISTAKE)
        return run_id


def find_lanes(workflows: Collection[Workflow]) -> dict[str, str]:
    """By id, in which lane each is: those of several have nothing to do with each other. All that start others,
    or are started by others, are in one: at the end of a chain they may run the same.
    """
    if len(workflows) < 2:
        return {one.id: one.id for one in workflows}
    return {one.id: _LINKED if _is_linked(one) else one.id for one in workflows}


def _is_linked(workflow: Workflow) -> bool:
    definition = workflow.definition
    begins_with = definition.nodes[definition.trigger_id()].component_id
    return begins_with in (SUBFLOW_TRIGGER, WORKFLOW_TRIGGER) or bool(definition.starts())


def explain_unfit(workflow: Workflow, trigger: str) -> str:
    """Why it cannot be started by another; empty: it can. `ConfigurationError` where its trigger is gone."""
    definition = workflow.definition
    if not workflow.runs_here:
        return f"workflow {workflow.name} runs elsewhere: it cannot be started from here"
    begins_with = definition.component(definition.trigger_id()).component_id
    if begins_with != trigger:
        return f"workflow {workflow.name} begins with {begins_with}, and would have to begin with {trigger}"
    if not workflow.active:
        return f"workflow {workflow.name} is not active: set is_active and apply it"
    return ""


def _explain_too_many(trigger: str, depth: int, level: int) -> str:
    if trigger == SUBFLOW_TRIGGER and level >= LEVELS_MAX:
        return f"iterators run each other {LEVELS_MAX} levels deep at most"
    if depth + 1 >= CHAIN_MAX:
        return f"{CHAIN_MAX} runs have begun each other, which is taken for a circle: this one begins no other"
    return ""
