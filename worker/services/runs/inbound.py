"""Calls from outside: which workflows a caller's key opens, or a principal may call, and the run of one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection

from vaultcore.access import Principal
from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.names import spellings
from vaultcore.presented_keys import ComparedVersion
from vaultcore.secret import Secret
from worker.domain.states import RunTrigger
from worker.rows.called_workflows import find_called
from worker.services.runs.caller_keys import CallerKeys
from worker.services.runs.definitions import Definitions
from worker.services.runs.execution import RunOutcome
from worker.services.runs.runs import Runs
from worker.workflows.workflow import Workflow

_NOWHERE = "\n"
"""No trigger, and no name of a workflow, has it."""


class Entrance(StrEnum):
    """By which door a call comes; its name stands in the run as what triggered it."""

    API = RunTrigger.API.value
    WEBHOOK = RunTrigger.WEBHOOK.value

    @property
    def trigger(self) -> RunTrigger:
        return RunTrigger(self.value)

    @property
    def component_id(self) -> str:
        """The trigger that a workflow must begin with to be called there."""
        return f"{self.value}_trigger"


@dataclass(frozen=True, kw_only=True)
class Called:
    """A workflow that somebody may call. `caller`: whose key opens it, as (item id, version number); None: a
    principal may run it. `actor`: by what name the record has them.
    """

    workflow: Workflow
    entrance: Entrance
    actor: str
    caller: tuple[str, int] | None = None

    @property
    def of(self) -> str:
        """Whose call it is: their item's id, or their name."""
        return self.actor if self.caller is None else self.caller[0]


class InboundCalls:
    """Admits callers by their keys, and runs what they call."""

    def __init__(
        self,
        *,
        database: Database,
        caller_keys: CallerKeys,
        definitions: Definitions,
        runs: Runs,
    ) -> None:
        self._database = database
        self._caller_keys = caller_keys
        self._definitions = definitions
        self._runs = runs

    def find(self, key: Secret, entrance: Entrance, *, name: str | None = None) -> list[Called]:
        """The active workflows that begin there and that the key opens; of that name or id, if one is given.

        Empty for every reason there is, found by the same statements over the same rows: for a key of nobody,
        as for one that is over, they look for what is nowhere among the references of the version that it was
        held against, and no definition is read for any. So nobody learns by time whether a key is one, or
        which workflows there are. That a key was used is noted of one that opens something here.
        """
        with self._database.read() as connection:
            judged = self._caller_keys.judge(connection, key)
            found = self._find_opened(connection, judged, entrance, name)
        if found:
            self._caller_keys.note((judged.item_id, judged.number))
        return found

    def find_for(self, principal: Principal, name: str) -> Called:
        """The workflow of that name or id, for who may run workflows; no key of a caller is asked for, and none
        is noted as used. `RefusedError` for one that is not called so.
        """
        with self._database.read() as connection:
            workflow = self._runs.find_active(connection, name)
        begins_with = workflow.definition.component(workflow.definition.trigger_id()).component_id
        if begins_with != Entrance.API.component_id:
            raise RefusedError(
                f"workflow {workflow.name} begins with {begins_with}, and {Entrance.API.component_id} is what "
                "this call begins"
            )
        return Called(workflow=workflow, entrance=Entrance.API, actor=principal.actor)

    def run(self, called: Called, *, payload: Any, key: Secret) -> RunOutcome:  # noqa: ANN401  # JSON
        """One run, from its row to its end, however long that takes; or to where it waits."""
        return self._runs.execute_call(
            called.workflow,
            trigger=called.entrance.trigger,
            payload=payload,
            caller=called.caller,
            key=key,
            actor=called.actor,
        )

    def _find_opened(
        self, connection: Connection, judged: ComparedVersion, entrance: Entrance, name: str | None
    ) -> list[Called]:
        begins_with, names = entrance.component_id, None if name is None else spellings(name)
        if not judged.opens:
            begins_with += _NOWHERE if names is None else ""
            names = names and [f"{one}{_NOWHERE}" for one in names]
        nodes = find_called(connection, judged.item_id, begins_with=begins_with, names=names)
        if not judged.opens:
            return []
        found = []
        for node in nodes:
            workflow = self._definitions.get(connection, node.workflow_id)
            trigger_id = workflow.definition.trigger_id()
            component = workflow.definition.component(trigger_id)
            if node.node_id == trigger_id and component.component_id == entrance.component_id:
                caller = (judged.item_id, judged.number)
                actor = f"caller:{node.written}"
                found.append(Called(workflow=workflow, entrance=entrance, actor=actor, caller=caller))
        return found
