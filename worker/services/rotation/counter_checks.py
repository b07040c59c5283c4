"""A check is believed once it was shown able to fail: the same one, asked with a made-up value, must refuse it.

It is asked once for each target and settings; what came of it is kept.
"""

from collections.abc import Callable
from datetime import datetime

from vaultcore.database import Database
from vaultcore.errors import Cause, TargetError
from vaultcore.model import Item, Kind
from vaultcore.secret import Secret
from worker.domain.checks import Sight, digest_check
from worker.domain.made_up import make_up
from worker.domain.states import NodeStatus
from worker.rotators.base import Job, Rotator
from worker.rows import checks as check_rows
from worker.services.runs.runs import Runs
from worker.workflows.workflow import Workflow


class CounterChecks:
    def __init__(self, *, database: Database, runs: Runs, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._runs = runs
        self._clock = clock

    def of_verification(self, name: str, rotator: Rotator, job: Job, value: Secret) -> Sight:
        """Whether the rotator's `verify`, which has accepted `value`, refuses one that was made up."""
        digest = digest_check("verify", name, job.item, job.settings.model_dump(mode="json"))

        def ask(made: Secret) -> Sight:
            try:
                rotator.verify(job, made)
            except TargetError as error:
                return Sight.SEES if error.cause is Cause.REJECTED else Sight.UNKNOWN
            return Sight.BLIND

        return self._look(digest, f"rotator {name}", value, ask)

    def of_node(
        self, workflow: Workflow, node_id: str, item: Item, value: Secret, *, number: int, actor: str
    ) -> Sight:
        """Whether the node's test, which has passed with `value` (version `number`), fails with a made-up one.

        A key that callers present to us is looked up by us, and that tells every other apart.
        """
        if item.kind is Kind.API_KEY:
            return Sight.SEES
        definition = workflow.definition
        node = definition.nodes[node_id]
        digest = digest_check("node", item.id, node.model_dump(mode="json"), definition.sample_context)

        def ask(made: Secret) -> Sight:
            result = self._runs.test_node(
                workflow, node_id, overrides={item.id: number}, stand_ins={item.id: made}, actor=actor
            )
            if result.status == NodeStatus.SUCCESS:
                return Sight.BLIND
            return Sight.SEES if result.cause is Cause.REJECTED else Sight.UNKNOWN

        return self._look(digest, f"{workflow.id} {node_id}", value, ask)

    def _look(self, digest: str, subject: str, value: Secret, ask: Callable[[Secret], Sight]) -> Sight:
        """As it is known, or is found now. A failure that judges nothing (an outage, a call that could not be
        made) is no refusal, and is not kept.
        """
        with self._database.read() as connection:
            known = check_rows.find(connection, digest)
        if known is not None and known.holds(self._clock()):
            return Sight.SEES if known.tells_apart else Sight.BLIND
        made = make_up(value)
        found = Sight.UNKNOWN if made is None else ask(made)
        if found is not Sight.UNKNOWN:
            with self._database.write() as connection:
                told = found is Sight.SEES
                check_rows.record(connection, digest, subject=subject, tells_apart=told, at=self._clock())
        return found
