"""What there is of nodes and rotators: pages, examples that work, and errors that say what is missing."""

import inspect
from typing import Any

import pytest

from vaultcore.errors import InvalidInputError
from worker.cli.kinds import describe_fields
from worker.rotators.catalog import find_rotator, load_rotator, parse_settings, rotator_names
from worker.workflows.nodes.base import Harmless, NodeKind
from worker.workflows.nodes.catalog import component_ids, explain_missing, find_component


@pytest.mark.parametrize("name", rotator_names())
def test_a_rotator_has_a_page_and_an_example_that_works(name):
    rotator = find_rotator(name)

    assert len((inspect.getdoc(type(rotator)) or "").split()) > 40, "what it changes, needs, and does half-way"
    parse_settings(name, rotator.example)
    rotator.target(parse_settings(name, rotator.example))


@pytest.mark.parametrize("name", component_ids())
def test_a_node_has_a_page_of_its_own_and_says_what_each_field_means(name):
    component = find_component(name)
    page = vars(type(component)).get("__doc__") or ""

    assert "\n\n" in page, "one line for the list, and more below"
    assert "test" in page.lower(), "what its test does"
    assert "example" in vars(type(component))
    if not component.value_fields:
        assert [row["name"] for row in describe_fields(component.Fields) if not row["means"]] == []


@pytest.mark.parametrize("name", rotator_names())
def test_every_setting_is_shown_with_its_type_and_default(name):
    rows = list(describe_fields(find_rotator(name).Settings))

    assert {row["name"] for row in rows} >= set(find_rotator(name).Settings.model_fields)
    assert all(row["type"] and row["default"] for row in rows)


@pytest.mark.parametrize("name", component_ids())
def test_every_type_is_said_in_plain_words(name):
    words = "text number nothing anything object list of or true false one".split()
    for row in describe_fields(find_component(name).Fields):
        kind = row["type"].partition("one of ")[0]
        assert set(kind.split()) <= set(words), row


def test_what_may_be_left_out_is_said_to_be_text_or_nothing():
    rows = {row["name"]: row["type"] for row in describe_fields(find_component("string_condition").Fields)}
    assert (rows["value"], rows["expected"]) == ("text", "text or nothing")


def test_what_there_is_not_is_said_with_what_there_is():
    with pytest.raises(InvalidInputError, match="no rotator 'rot13': there are http, postgres-role, "):
        load_rotator("rot13")
    assert find_component("rot13") is None


def test_a_package_that_is_missing_is_said_with_how_to_get_it():
    class Faraway(Harmless):
        component_id = "faraway"
        kind = NodeKind.ACTION
        needs = ("a_module_that_nobody_has", "faraway")

    faraway: Any = Faraway()  # it never runs
    assert explain_missing(faraway) == (
        "faraway needs a_module_that_nobody_has: pip install 'nightkey[faraway]'"
    )
    assert explain_missing(find_component("webhook")) is None


def test_a_setting_too_many_is_named():
    with pytest.raises(InvalidInputError, match="rotator random, setting lenght: there is no such setting"):
        parse_settings("random", {"lenght": 8})


def test_what_is_said_of_a_setting_is_one_line_of_a_length_that_can_be_read():
    for name in ("n" * 60_000, "two\nlines"):
        with pytest.raises(InvalidInputError, match="there is no such setting") as refusal:
            parse_settings("random", {name: 1})
        assert len(str(refusal.value)) < 200
        assert str(refusal.value).isprintable()
