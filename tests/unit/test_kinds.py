"""What there is of nodes and rotators: pages, examples that work, and errors that say what is missing."""

import inspect
import json

import pytest

from vaultcore.errors import InvalidInputError
from worker.cli.kinds import describe_fields
from worker.rotators.catalog import find_rotator, load_rotator, parse_settings, rotator_names
from worker.workflows.definition import load_definition
from worker.workflows.nodes.base import Harmless, NodeKind
from worker.workflows.nodes.catalog import component_ids, explain_missing, find_component

CALLING = [name for name in component_ids() if find_component(name).example]


@pytest.mark.parametrize("name", rotator_names())
def test_a_rotator_has_a_page_and_an_example_that_works(name):
    rotator = find_rotator(name)

    assert len((inspect.getdoc(type(rotator)) or "").split()) > 40, "what it changes, needs, and does half-way"
    parse_settings(name, rotator.example)
    rotator.counterpart(parse_settings(name, rotator.example))


@pytest.mark.parametrize("name", CALLING)
def test_a_node_that_takes_items_has_a_page_and_an_example_that_works(name):
    component = find_component(name)
    node = {"id": "act", "type": component.kind.value, "data": {"componentId": name, **component.example}}
    document = {"name": "x", "nodes": [node], "edges": []}
    if component.kind is not NodeKind.TRIGGER:
        document["nodes"].append({"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}})
        document["edges"].append({"id": "e", "source": "start", "target": "act"})

    assert "test" in (inspect.getdoc(type(component)) or "").lower(), "what its test does"
    load_definition(json.dumps(document), source="example")


def test_every_node_that_takes_items_has_an_example():
    takers = {name for name in component_ids() if find_component(name).value_fields}

    assert takers == set(CALLING)
    assert takers >= {"api_trigger", "smtp", "soap", "webhook", "webhook_trigger"}


@pytest.mark.parametrize("name", rotator_names())
def test_every_setting_is_shown_with_its_type_and_default(name):
    rows = list(describe_fields(find_rotator(name).Settings))

    assert {row["name"] for row in rows} >= set(find_rotator(name).Settings.model_fields)
    assert all(row["type"] and row["default"] for row in rows)


def test_what_there_is_not_is_said_with_what_there_is():
    with pytest.raises(InvalidInputError, match="no rotator 'rot13': there are http, postgres-role, "):
        load_rotator("rot13")
    assert find_component("rot13") is None


def test_a_package_that_is_missing_is_said_with_how_to_get_it():
    class Faraway(Harmless):
        component_id = "faraway"
        kind = NodeKind.ACTION
        needs = ("a_module_that_nobody_has", "faraway")

    assert explain_missing(Faraway()) == (
        "faraway needs a_module_that_nobody_has: pip install 'nightkey[faraway]'"
    )
    assert explain_missing(find_component("webhook")) is None


def test_a_setting_too_many_is_named():
    with pytest.raises(InvalidInputError, match="rotator random, setting lenght: there is no such setting"):
        parse_settings("random", {"lenght": 8})
