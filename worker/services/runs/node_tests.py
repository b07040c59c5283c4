"""A node by itself, as somebody gives it, really executed with a mock context: of no stored workflow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaultcore.consumers import References
from vaultcore.database import Database
from vaultcore.errors import NotFoundError, RefusedError
from vaultcore.versions import Purpose
from worker.services.runs.template_values import TemplateValues
from worker.workflows.definition import Definition, define_node
from worker.workflows.results import NodeResult
from worker.workflows.runner import Runner


@dataclass(frozen=True, kw_only=True)
class GivenNode:
    """`items`: what it names of the vault, as written. Whoever has it executed says where these are sent."""

    definition: Definition
    node_id: str
    items: frozenset[str]


class NodeTests:
    def __init__(
        self,
        *,
        database: Database,
        references: References,
        template_values: TemplateValues,
        runner: Runner,
    ) -> None:
        self._database = database
        self._references = references
        self._template_values = template_values
        self._runner = runner

    def read(self, node: Mapping[str, Any]) -> GivenNode:
        """`InvalidInputError` for what is no node; `RefusedError` for one that cannot run here."""
        definition, node_id = define_node(node)
        if definition.away:
            raise RefusedError(f"it cannot run here: {definition.away[0]}")
        items = {use.use.written for use in definition.uses(here=True) if not use.mentioned}
        return GivenNode(definition=definition, node_id=node_id, items=frozenset(items))

    def execute(self, node: GivenNode, *, context: Mapping[str, Any], actor: str) -> NodeResult:
        """All that the node does, with the current values of the items that it names; these are audited."""
        with self._database.write() as connection:
            found = self._references.find_items(connection, node.items)
            missing = sorted(node.items - found.keys())
            if missing:
                raise NotFoundError(f"node: it names {missing[0]}, and there is no such item")
            resolved = self._template_values.resolve_current(
                connection,
                {written: row.id for written, row in found.items()},
                purpose=Purpose.TEST,
                actor=actor,
            )
        return self._runner.test_node(
            node.definition, node.node_id, context=context, values=resolved.values, whole=True
        )
