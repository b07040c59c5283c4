"""The documents under `tests/sdx`: each is what it is taken for, and what is expected of it stands in it."""

import json
from pathlib import Path
from typing import Any

import pytest

CORPUS = Path(__file__).parents[1] / "sdx"
EXPECTED = json.loads((CORPUS / "expected.json").read_text())
OUTSIDE = "(document)"
COMPONENTS = set(
    "manual_trigger scheduled_trigger api_trigger workflow_trigger subflow_trigger webhook_trigger sns_trigger "
    "site_added_trigger site_removed_trigger site_offline_trigger site_online_trigger "
    "wan_interface_offline_trigger wan_interface_online_trigger wan_packet_loss_trigger "
    "wan_packet_loss_resolved_trigger altostrat_api get_site get_wan_tunnel get_resource_tags "
    "set_resource_tags get_set_resource_tags attach_policy detach_policy update_wan_priorities mikrotik_api "
    "mikrotik_script webhook soap_request ssh_command smtp send_email send_notification trigger_workflow "
    "text_transform ai_text_transform json_parser data_mapper date_transform shorten_link markdown_to_pdf "
    "wireguard_keys delay iterator terminate string_condition status_condition tag_condition number_condition "
    "date_condition boolean_condition array_condition switch_condition".split()
)
"""The builder's list, by the ids that are published or else by the names shown."""


def read(name: str) -> Any:
    return json.loads((CORPUS / name).read_text())


def find_all() -> list[tuple[str, Any, Any]]:
    """(name, document, what is expected of it), those inside lists too."""
    found = [(name, read(name), expected) for name, expected in EXPECTED["documents"].items()]
    for name, every in EXPECTED["lists"].items():
        pairs = zip(read(name), every, strict=True)
        found += [(f"{name}: {expected['name']}", document, expected) for document, expected in pairs]
    return found


ALL = [pytest.param(document, expected, id=name) for name, document, expected in find_all()]


def quote(name: str) -> str:
    """As it stands inside JSON."""
    return json.dumps(name, ensure_ascii=False)[1:-1]


def test_something_is_expected_of_every_document_and_of_nothing_else():
    there = {path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*") if path.is_file()}
    refused = {f"refused/{name}" for name in EXPECTED["refused"]}
    assert there == {*EXPECTED["documents"], *EXPECTED["lists"], *refused, "expected.json"}


@pytest.mark.parametrize("name", [*EXPECTED["documents"], *EXPECTED["lists"]])
def test_a_document_is_written_as_json_is(name):
    text = (CORPUS / name).read_text()
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(("document", "expected"), ALL)
def test_a_document_has_one_trigger_and_edges_that_lead_from_it(document, expected):
    ids = [node["id"] for node in document["nodes"]]
    targets = {edge["target"] for edge in document["edges"]}
    (first,) = [node for node in document["nodes"] if node["id"] not in targets]
    named = [node["data"]["componentId"] for node in document["nodes"]]
    triggers = [name for name in named if name.endswith("_trigger") or name.startswith("trigger_by_")]
    assert triggers == [first["data"]["componentId"]]
    assert len(ids) == len(set(ids)) <= 12
    assert targets | {edge["source"] for edge in document["edges"]} <= set(ids)
    assert len({edge["id"] for edge in document["edges"]}) == len(document["edges"])


@pytest.mark.parametrize(("document", "expected"), ALL)
def test_what_is_expected_of_a_document_stands_in_it(document, expected):
    nodes = {node["id"]: json.dumps(node, ensure_ascii=False) for node in document["nodes"]}
    outside = json.dumps({**document, "nodes": []}, ensure_ascii=False)
    assert (expected["runs"] == "elsewhere") == bool(expected["because"])
    assert set(expected["because"]) <= nodes.keys()
    assert len({tuple(pair) for pair in expected["references"]}) == len(expected["references"])
    for node_id, written in expected["references"]:
        assert quote(written) in (outside if node_id == OUTSIDE else nodes[node_id])


def test_the_corpus_has_every_component_that_there_is():
    used = {node["data"]["componentId"] for _, document, _ in find_all() for node in document["nodes"]}
    assert used >= COMPONENTS


@pytest.mark.parametrize("name", EXPECTED["refused"])
def test_what_is_refused_is_json_all_the_same(name):
    assert read(f"refused/{name}")["edges"] is not None
    assert EXPECTED["refused"][name]
