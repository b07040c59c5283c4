"""What the templates of a run stand for: a version of each item, revealed once, and again where a run goes on.

Every reveal is audited in the caller's transaction: commit it, then use the values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.errors import RefusedError
from vaultcore.model import ConsumerKind, Reference, Stage
from vaultcore.presented_keys import PresentedKeys
from vaultcore.secret import Secret
from vaultcore.vault import Vault
from vaultcore.versions import Purpose, Versions
from worker.domain.commands import explain_waiting
from worker.workflows.workflow import Workflow

Number = tuple[str, int]
"""(item id, version number)"""


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The values of a run, and which version each reference resolved to.

    By what is written in the template: `beside` are the values of the other versions that work now, for nodes
    that ask for them, and `beside_numbers` which these are.
    """

    values: Mapping[str, Secret] = field(default_factory=dict)
    numbers: Mapping[str, Number] = field(default_factory=dict)
    beside: Mapping[str, tuple[Secret, ...]] = field(default_factory=dict)
    beside_numbers: Mapping[str, tuple[Number, ...]] = field(default_factory=dict)

    def keep(self) -> dict[str, Any]:
        """Which versions these are, as JSON-like data without a value."""
        return {"numbers": self.numbers, "beside": self.beside_numbers}

    def stand_in(self, others: Mapping[str, Secret]) -> dict[str, Secret]:
        """The values, with those of these items (by id) replaced."""
        return {name: others.get(self.numbers[name][0], value) for name, value in self.values.items()}

    def used(self, written: frozenset[str]) -> dict[str, int]:
        """The versions of what was really used: item id to number."""
        return {self.numbers[name][0]: self.numbers[name][1] for name in written if name in self.numbers}


def read_numbers(kept: Mapping[str, Any]) -> Resolved:
    """Which versions a run resolved that was kept, without their values."""
    return Resolved(
        numbers={name: (item_id, number) for name, (item_id, number) in kept["numbers"].items()},
        beside_numbers={
            name: tuple((item_id, number) for item_id, number in each) for name, each in kept["beside"].items()
        },
    )


class TemplateValues:
    def __init__(
        self,
        *,
        vault: Vault,
        versions: Versions,
        presented_keys: PresentedKeys,
        references: References,
        clock: Callable[[], datetime],
    ) -> None:
        self._vault = vault
        self._versions = versions
        self._presented_keys = presented_keys
        self._references = references
        self._clock = clock

    def resolve(
        self,
        connection: Connection,
        workflow: Workflow,
        overrides: Mapping[str, int],
        *,
        node_id: str | None = None,
        purpose: Purpose,
        actor: str,
    ) -> Resolved:
        """What each reference (of a node) stands for: the overriding version, else the pinned, else the current
        one.
        """
        references = self._find_references(connection, workflow, node_id)
        numbers = self._choose(connection, workflow, references, overrides, actor)
        beside = {
            reference.written: tuple(
                (item_id, other)
                for item_id, number in [numbers[reference.written]]
                for other in self._versions.working(connection, item_id)
                if other != number
            )
            for reference in references
            if reference.written in numbers and workflow.definition.reads_beside(reference.node_id)
        }
        return self.reveal(
            connection, Resolved(numbers=numbers, beside_numbers=beside), purpose=purpose, actor=actor
        )

    def stand_in_alone(
        self, connection: Connection, workflow: Workflow, node_id: str, stand_ins: Mapping[str, Secret]
    ) -> dict[str, Secret] | None:
        """What the node is given where all that it uses has a stand-in, by the item's id: nothing is revealed.
        None: it uses more.
        """
        if workflow.definition.reads_beside(node_id) or node_id == workflow.definition.trigger_id():
            return None
        used = self._find_references(connection, workflow, node_id)
        if any(reference.item_id not in stand_ins for reference in used):
            return None
        return {reference.written: stand_ins[str(reference.item_id)] for reference in used}

    def _find_references(
        self, connection: Connection, workflow: Workflow, node_id: str | None
    ) -> list[Reference]:
        """Those of the node; None: of all."""
        return [
            reference
            for reference in self._references.of_consumer(connection, workflow.id)
            if not reference.mentioned and (node_id is None or reference.node_id == node_id)
        ]

    def resolve_current(
        self, connection: Connection, items: Mapping[str, str], *, purpose: Purpose, actor: str
    ) -> Resolved:
        """The current values of items, by how a template names them; of no stored workflow."""
        numbers: dict[str, Number] = {}
        for written, item_id in items.items():
            item = self._vault.get(connection, item_id)
            if item.version is None:
                raise RefusedError(explain_waiting(item, self._clock()))
            numbers[written] = (item.id, item.version)
        return self.reveal(connection, Resolved(numbers=numbers), purpose=purpose, actor=actor)

    def reveal(self, connection: Connection, chosen: Resolved, *, purpose: Purpose, actor: str) -> Resolved:
        """The values of these versions, and of no others."""

        def reveal_one(number: Number) -> Secret:
            return self._versions.reveal(connection, *number, purpose=purpose, actor=actor)

        return Resolved(
            values={name: reveal_one(number) for name, number in chosen.numbers.items()},
            numbers=chosen.numbers,
            beside={name: tuple(map(reveal_one, each)) for name, each in chosen.beside_numbers.items()},
            beside_numbers=chosen.beside_numbers,
        )

    def check_caller(self, connection: Connection, workflow: Workflow, key: Secret | None) -> Number | None:
        """Whose key was presented, where the workflow's trigger asks for one; `RefusedError` for any other."""
        wanted = [
            reference
            for reference in self._references.of_consumer(connection, workflow.id)
            if reference.node_id == workflow.definition.trigger_id()
            and reference.consumer is ConsumerKind.WORKFLOW
            and not reference.mentioned
        ]
        if not wanted:
            return None
        found = None if key is None else self._presented_keys.check_key(connection, key)
        if found is None or found[0] not in {reference.item_id for reference in wanted}:
            raise RefusedError(
                f"workflow {workflow.name} is called with the key {wanted[0].written}: give it by --key-file"
            )
        return found

    def _choose(
        self,
        connection: Connection,
        workflow: Workflow,
        references: list[Reference],
        overrides: Mapping[str, int],
        actor: str,
    ) -> dict[str, Number]:
        numbers: dict[str, Number] = {}
        inbound = workflow.definition.trigger_id()
        for reference in references:
            if reference.item_id is None or reference.written in numbers:
                continue
            item = self._vault.get(connection, reference.item_id)
            number = overrides.get(item.id) or reference.pinned or item.version
            if reference.node_id == inbound:
                if number is not None:
                    self._check_inbound(connection, item.id, number, overrides, actor)
                continue
            if number is None:
                raise RefusedError(explain_waiting(item, self._clock()))
            numbers[reference.written] = (item.id, number)
        return numbers

    def _check_inbound(
        self,
        connection: Connection,
        item_id: str,
        number: int,
        overrides: Mapping[str, int],
        actor: str,
    ) -> None:
        """A trigger's key is one that callers present: a candidate must be known by its digest."""
        if item_id not in overrides:
            return
        key = self._versions.reveal(connection, item_id, number, purpose=Purpose.TEST, actor=actor)
        found = self._presented_keys.check_key(connection, key, stages=(Stage.PENDING, Stage.CURRENT))
        if found != (item_id, number):
            raise RefusedError(f"the new key of item {item_id} is not known by its digest")
