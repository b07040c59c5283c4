"""A check is believed once it was shown able to fail: the same one, asked with a made-up value, must refuse it.

It is asked once for each target and settings; what came of it is kept.
"""

from collections.abc import Callable
from datetime import datetime

from vaultcore.database import Database
from vaultcore.errors import Cause, CounterpartError
from vaultcore.model import Item, Kind
from vaultcore.secret import Secret
from worker import check_rows
from worker.domain.checks import digest_check
from worker.domain.made_up import make_up
from worker.rotators.base import Job, Rotator
from worker.services.definitions import Workflow
from worker.services.running import Running


class CounterChecks:
    def __init__(self, *, database: Database, running: Running, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._running = running
        self._clock = clock

    def of_verification(self, name: str, rotator: Rotator, job: Job, value: Secret) -> bool:
        """Whether the rotator's `verify`, which has accepted `value`, refuses one that was made up.

        `CounterpartError` with cause `OUTAGE` where that could not be asked.
        """
        digest = digest_check("verify", name, job.settings.model_dump(mode="json"))

        def passes(made: Secret) -> bool:
            try:
                rotator.verify(job, made)
            except CounterpartError as error:
                if error.cause is Cause.OUTAGE:
                    raise
                return False
            return True

        return self._tells_apart(digest, f"rotator {name}", value, passes)

    def of_node(
        self, workflow: Workflow, node_id: str, item: Item, value: Secret, *, number: int, actor: str
    ) -> bool:
        """Whether the node's test, which passes with `value` (version `number`), fails with a made-up one.

        A key that callers present to us is looked up by us, and that tells every other apart.
        """
        if item.kind is Kind.API_KEY:
            return True
        definition = workflow.definition
        node = definition.nodes[node_id]
        digest = digest_check("node", item.id, node.model_dump(mode="json"), definition.sample_context)

        def passes(made: Secret) -> bool:
            result = self._running.test_node(
                workflow, node_id, overrides={item.id: number}, stand_ins={item.id: made}, actor=actor
            )
            if result.status != "success" and result.cause is Cause.OUTAGE:
                raise CounterpartError(
                    f"node {node_id} of workflow {workflow.name}: {result.error_message}", cause=Cause.OUTAGE
                )
            return result.status == "success"

        return self._tells_apart(digest, f"{workflow.id} {node_id}", value, passes)

    def _tells_apart(self, digest: str, subject: str, value: Secret, passes: Callable[[Secret], bool]) -> bool:
        with self._database.read() as connection:
            known = check_rows.find(connection, digest)
        if known is not None and known.holds(self._clock()):
            return known.tells_apart
        made = make_up(value)
        told = made is not None and not passes(made)
        with self._database.write() as connection:
            check_rows.record(connection, digest, subject=subject, tells_apart=told, at=self._clock())
        return told
