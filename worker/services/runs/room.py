"""The room of runs: workflows as they are stored, who starts them, and the way of a run to its end."""

from dataclasses import dataclass

from worker.services.core import Core, WaysOut
from worker.services.runs.caller_keys import CallerKeys, PickupEnds
from worker.services.runs.definitions import Definitions
from worker.services.runs.documents import Documents
from worker.services.runs.execution import RunExecution
from worker.services.runs.inbound import InboundCalls
from worker.services.runs.kept_payloads import KeptPayloads
from worker.services.runs.key_sets import KeySets
from worker.services.runs.node_tests import NodeTests
from worker.services.runs.pins import Pins
from worker.services.runs.repetitions import Repetitions
from worker.services.runs.reports import RunReports
from worker.services.runs.runs import Runs
from worker.services.runs.subworkflows import Subworkflows
from worker.services.runs.suspended_runs import SuspendedRuns
from worker.services.runs.template_values import TemplateValues
from worker.services.runs.workflow_tests import WorkflowTests
from worker.workflows.runner import Runner


@dataclass(frozen=True, kw_only=True)
class RunsRoom:
    definitions: Definitions
    documents: Documents
    execution: RunExecution
    runs: Runs
    workflow_tests: WorkflowTests
    repetitions: Repetitions
    node_tests: NodeTests
    caller_keys: CallerKeys
    inbound_calls: InboundCalls
    run_reports: RunReports
    pins: Pins
    key_sets: KeySets


def build_runs(core: Core, ways_out: WaysOut, *, pickups: PickupEnds) -> RunsRoom:
    """`pickups`: whose first use by a caller ends them."""
    database, clock, references = core.database, core.clock, core.references
    vault, versions, audit = core.vault, core.versions, core.audit
    definitions = Definitions()
    runner = Runner(ways_out.http, ways_out.network)
    template_values = TemplateValues(
        vault=vault,
        versions=versions,
        presented_keys=core.presented_keys,
        references=references,
        clock=clock,
    )
    suspended_runs = SuspendedRuns(deployment_id=core.deployment_id, keyring=core.keyring)
    kept_payloads = KeptPayloads(
        deployment_id=core.deployment_id,
        keyring=core.keyring,
        kept=core.settings.payloads_kept,
        clock=clock,
    )
    subworkflows = Subworkflows(
        database=database, definitions=definitions, suspended_runs=suspended_runs, clock=clock
    )
    execution = RunExecution(
        database=database,
        references=references,
        subworkflows=subworkflows,
        template_values=template_values,
        suspended_runs=suspended_runs,
        kept_payloads=kept_payloads,
        runner=runner,
        clock=clock,
    )
    caller_keys = CallerKeys(
        database=database, presented_keys=core.presented_keys, audit=audit, pickups=pickups, clock=clock
    )
    runs = Runs(
        database=database,
        references=references,
        definitions=definitions,
        template_values=template_values,
        suspended_runs=suspended_runs,
        execution=execution,
        caller_keys=caller_keys,
        clock=clock,
    )
    return RunsRoom(
        definitions=definitions,
        repetitions=Repetitions(database=database, runs=runs, kept_payloads=kept_payloads),
        node_tests=NodeTests(
            database=database, references=references, template_values=template_values, runner=runner
        ),
        documents=Documents(
            database=database, definitions=definitions, references=references, audit=audit, clock=clock
        ),
        execution=execution,
        runs=runs,
        workflow_tests=WorkflowTests(
            database=database,
            template_values=template_values,
            execution=execution,
            runner=runner,
            clock=clock,
        ),
        caller_keys=caller_keys,
        inbound_calls=InboundCalls(
            database=database, caller_keys=caller_keys, definitions=definitions, runs=runs
        ),
        run_reports=RunReports(
            database=database,
            vault=vault,
            versions=versions,
            references=references,
            definitions=definitions,
            audit=audit,
            clock=clock,
        ),
        pins=Pins(
            database=database,
            vault=vault,
            versions=versions,
            references=references,
            definitions=definitions,
            audit=audit,
            clock=clock,
        ),
        key_sets=KeySets(database=database, vault=vault, versions=versions),
    )
