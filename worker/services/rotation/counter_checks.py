"""A check is believed once it was shown able to fail: the same one, asked with a made-up value, must refuse it.

It is asked once for each item, its settings and nodes; what came of it is kept. Where the check itself shows
that the other side knows the value, nobody has to be asked with another.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from vaultcore.database import Database
from vaultcore.errors import Cause, TargetError
from vaultcore.model import Item, Kind
from vaultcore.secret import Secret
from worker.domain.checks import Sight, digest_check
from worker.domain.made_up import make_up
from worker.domain.states import NodeStatus
from worker.rotators.base import Job, Rotator
from worker.rows import checks as check_rows
from worker.services.runs.calls import Calls
from worker.services.runs.workflow_tests import WorkflowTests
from worker.workflows.workflow import Workflow

_TELLING_MAX: Final = 10_000


class CounterChecks:
    def __init__(
        self, *, database: Database, workflow_tests: WorkflowTests, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._workflow_tests = workflow_tests
        self._clock = clock
        self._telling = set[str]()
        """Digests of checks that were read or made here and tell apart, as they do while they are the same."""

    def of_verification(self, name: str, rotator: Rotator, job: Job, value: Secret) -> Sight:
        """Whether the rotator's `verify`, which has accepted `value`, refuses one that was made up."""
        if getattr(rotator, "refuses_others", False):
            return Sight.SEES
        digest = digest_check("verify", name, job.item, job.settings.model_dump(mode="json"))
        known, made = self._find(digest), make_up(value)
        if known is not None or made is None:
            return known or Sight.UNKNOWN
        found = Sight.BLIND
        try:
            rotator.verify(job, made)
        except TargetError as error:
            found = _sight_of(error.cause)
        return self._keep(digest, f"rotator {name}", found)

    def of_node(
        self, workflow: Workflow, node_id: str, item: Item, value: Secret, *, number: int, actor: str
    ) -> Calls[Sight]:
        """Whether the node's test, which has passed with `value` (version `number`), fails with a made-up one.

        A key that callers present to us is looked up by us, and that tells every other apart.
        """
        if item.kind is Kind.API_KEY:
            return Sight.SEES
        digest = self.digest_node(workflow, node_id, item)
        known, made = self._find(digest), make_up(value)
        if known is not None or made is None:
            return known or Sight.UNKNOWN
        result = yield from self._workflow_tests.testing_node(
            workflow, node_id, overrides={item.id: number}, stand_ins={item.id: made}, actor=actor
        )
        found = Sight.BLIND if result.status == NodeStatus.SUCCESS else _sight_of(result.cause)
        return self._keep(digest, f"{workflow.id} {node_id}", found)

    def digest_node(self, workflow: Workflow, node_id: str, item: Item) -> str:
        """Of its check: that of an equal node is the same, and is not asked beside it."""
        definition = workflow.definition
        node = definition.nodes[node_id]
        return digest_check("node", item.id, node.model_dump(mode="json"), definition.sample_context)

    def _find(self, digest: str) -> Sight | None:
        """What is known of it to this day."""
        if digest in self._telling:
            return Sight.SEES
        with self._database.read() as connection:
            known = check_rows.find(connection, digest)
        if known is None or not known.holds(self._clock()):
            return None
        if not known.tells_apart:
            return Sight.BLIND
        self._remember(digest)
        return Sight.SEES

    def _keep(self, digest: str, subject: str, found: Sight) -> Sight:
        if found is not Sight.UNKNOWN:
            with self._database.append() as connection:
                told = found is Sight.SEES
                check_rows.record(connection, digest, subject=subject, tells_apart=told, at=self._clock())
            if told:
                self._remember(digest)
        return found

    def _remember(self, digest: str) -> None:
        if len(self._telling) >= _TELLING_MAX:
            self._telling.clear()
        self._telling.add(digest)


def _sight_of(cause: Cause | None) -> Sight:
    """Of a check that failed. A failure that judges nothing (an outage, a call that could not be made) is no
    refusal, and is not kept.
    """
    return Sight.SEES if cause is Cause.REJECTED else Sight.UNKNOWN
