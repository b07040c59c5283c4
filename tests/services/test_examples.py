"""The examples of nodes and rotators, as the command shows them: applied as they stand."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.chains import apply, chain
from tests.services.conftest import Moves
from tests.services.staging import make_services
from vaultcore.model import Kind
from worker.bootstrap import Services
from worker.cli import kinds
from worker.domain.policies import build_policy
from worker.rotators.catalog import find_rotator, parse_settings, rotator_names
from worker.workflows.nodes.base import NodeKind
from worker.workflows.nodes.catalog import component_ids, find_component

SENT = {
    "amount": 120,
    "country": "FR",
    "document": '{"order": {"id": 7}}',
    "due": "2026-12-31",
    "items": ["book", "pen"],
    "name": "Ada",
    "order": "A-1",
    "paid": True,
    "phone": "+49 30 1234",
    "status": 200,
    "tags": "urgent, red",
}
"""What the examples take from a call."""
COMES_TO = {
    "array_condition": {"result": True},
    "boolean_condition": {"result": True},
    "data_mapper": {"customer": {"name": "ADA"}, "lines": ["120", 0]},
    "date_condition": {"result": True},
    "date_transform": {
        "date": "2027-01-14T01:00:00+01:00",
        "text": "14.01.2027",
        "timestamp": 1799884800,
    },
    "json_parser": 7,
    "manual_trigger": {"webhook_payload": SENT},
    "number_condition": {"result": True},
    "schedule_trigger": {"webhook_payload": SENT},
    "subflow_trigger": SENT,
    "status_condition": {"result": True},
    "string_condition": {"result": True},
    "switch_condition": {"result": "next_door"},
    "tag_condition": {"result": True},
    "terminate": {"message": "no order A-1"},
    "text_transform": {"text": "+49301234"},
    "workflow_trigger": SENT,
}
OF_THEIR_OWN = {"delay", "iterator", "trigger_workflow"}
"""They wait, or need another workflow."""
REACH_NOTHING = [
    name for name in component_ids() if not find_component(name).value_fields and name not in OF_THEIR_OWN
]


@pytest.fixture
def services(tmp_path: Path, clock: Any) -> Iterator[Services]:
    made = make_services(tmp_path / "home", "", clock)
    yield made
    made.close()


def show(app: Any, name: str) -> Any:
    done = CliRunner().invoke(app, ["show", name, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["example"]


def build_workflow(name: str) -> str:
    """A workflow that is the example alone, or begins by hand and leads to it."""
    kind = find_component(name).kind
    nodes = [{"id": "act", "type": kind.value, "data": show(kinds.nodes, name)}]
    edges = []
    if kind is not NodeKind.TRIGGER:
        nodes.append({"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}})
        edges.append({"id": "e", "source": "start", "target": "act"})
    return json.dumps({"name": f"the {name}", "nodes": nodes, "edges": edges})


@pytest.mark.parametrize("name", component_ids())
def test_the_example_of_a_node_is_applied_as_it_stands(services: Services, name: str) -> None:
    (applied,) = services.runs.documents.apply([(f"{name}.json", build_workflow(name))], actor="test")

    with services.database.read() as connection:
        stored = services.runs.definitions.get(connection, f"the {name}")
    assert stored == applied.workflow
    assert bool(applied.missing) is bool(find_component(name).value_fields), "it names an item where it can"


@pytest.mark.parametrize("name", REACH_NOTHING)
def test_the_example_of_a_node_that_reaches_nothing_runs_as_it_stands(services: Services, name: str) -> None:
    services.runs.documents.apply([(f"{name}.json", build_workflow(name))], actor="test")
    outcome = services.runs.runs.start(f"the {name}", payload=SENT, actor="test")
    assert outcome.output == COMES_TO[name]
    assert (outcome.status, outcome.error_node) == (
        ("failed", "act") if name == "terminate" else ("completed", None)
    )


def test_the_example_of_a_delay_waits_and_goes_on(services: Services, clock: Any) -> None:
    services.runs.documents.apply([("delay.json", build_workflow("delay"))], actor="test")
    outcome = services.runs.runs.start("the delay", actor="test")
    assert (outcome.status, outcome.resume_at) == ("running", clock() + timedelta(minutes=5))
    clock.advance(timedelta(minutes=5))
    ended = services.runs.runs.execute(outcome.run_id, actor="test")
    assert ended is not None
    assert (ended.status, ended.output) == ("completed", {"waited_seconds": 300})


def test_the_examples_of_what_starts_others_start_them(services: Services) -> None:
    label = {
        "id": "say",
        "componentId": "data_mapper",
        "mapping": {"label": "{{ webhook_payload.item | upcase }}"},
    }
    apply(
        services,
        chain("stock-update", trigger="workflow_trigger"),
        chain("label-item", label, trigger="subflow_trigger"),
        *((f"{name}.json", build_workflow(name)) for name in ("iterator", "trigger_workflow")),
    )
    iterated = services.runs.runs.start("the iterator", payload=SENT, actor="test")
    assert iterated.output == [{"label": "BOOK"}, {"label": "PEN"}]
    triggered = services.runs.runs.start("the trigger_workflow", payload=SENT, actor="test")
    (begun,) = triggered.begun
    assert triggered.output == {"run_id": begun, "workflow": "stock-update"}
    ended = services.runs.runs.execute(begun, actor="test")
    assert ended is not None
    assert ended.output == {"order": "A-1", "lines": ["book", "pen"]}


@pytest.mark.parametrize("name", rotator_names())
def test_the_example_of_a_rotator_is_an_items_policy_as_it_stands(services: Services, name: str) -> None:
    policy = build_policy(None, show(kinds.rotators, name))
    parse_settings(name, policy.settings)
    callers = find_rotator(name).kind is Kind.API_KEY
    item = "api-key:prod-example" if callers else "prod-example"
    Moves(services).add(item, None if callers else "a-first-value", policy=policy)
    assert Moves(services).get(item).policy == policy
