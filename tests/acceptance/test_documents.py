"""`nightkey workflow lint|apply|show` with documents of another engine, as a person types it."""

import json
from pathlib import Path

from tests.acceptance.conftest import Nightkey

CORPUS = Path(__file__).parents[1] / "sdx"
DOCUMENT = CORPUS / "site-offline.json"


def test_a_folder_is_looked_at_first_then_applied_and_given_back_to_the_letter(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    folder = tmp_path / "exported"
    folder.mkdir()
    for name in ("site-offline.json", "crm-contacts.json"):
        (folder / name).write_bytes((CORPUS / name).read_bytes())

    looked = nightkey("workflow", "lint", str(folder)).stdout
    assert "would be created: runs here" in looked
    assert "would be created: runs elsewhere" in looked
    assert "is not known here" in looked
    assert "nightkey run report NAME --status completed" in looked
    assert nightkey.json("workflow", "list") == []

    nightkey("workflow", "apply", str(folder))
    assert nightkey("workflow", "apply", str(folder)).stdout.endswith("2 unchanged\n")
    name = json.loads(DOCUMENT.read_text())["name"]
    assert nightkey("workflow", "show", name, "--document").stdout == DOCUMENT.read_text()
    shown = nightkey.json("workflow", "show", name)
    assert shown["document"] == json.loads(DOCUMENT.read_text())
    assert (shown["runs"], bool(shown["why"])) == ("elsewhere", True)

    ran = nightkey("workflow", "run", name, status=3)
    assert "runs elsewhere" in ran.stderr
    assert "nightkey run report" in ran.stderr


def test_standard_input_is_taken_and_what_is_wrong_is_said_line_by_line(nightkey: Nightkey) -> None:
    text = DOCUMENT.read_text()
    assert "created" in nightkey("workflow", "apply", "-", value=text).stdout
    strict = nightkey("workflow", "lint", "-", "--strict", value=text, status=1)
    assert strict.stdout.startswith("refused: standard input: node ")
    nightkey("workflow", "apply", "-", "--strict", value=text, status=2)

    wrong = (CORPUS / "refused" / "two-triggers.json").read_text()
    refused = nightkey("workflow", "apply", "-", value=f"[{text}, {wrong}]", status=2)
    assert (
        "standard input (number 2): field nodes: a workflow has one trigger, and this has 2" in refused.stderr
    )

    listed = json.dumps([{"id": "fl_x", "name": "known by its name alone", "is_active": True}])
    left_out = nightkey("workflow", "apply", "-", value=listed, status=1)
    assert "was left out: it has no nodes: get it by itself (GET /workflows/ID)" in left_out.stderr


def test_what_could_run_here_may_stay_where_it_runs(nightkey: Nightkey) -> None:
    text = (CORPUS / "crm-contacts.json").read_text()
    name = json.loads(text)["name"]
    nightkey("workflow", "apply", "-", "--runs", "elsewhere", value=text)
    assert nightkey.json("workflow", "show", name)["runs"] == "elsewhere"
    nightkey("workflow", "apply", "-", value=text)
    assert nightkey.json("workflow", "show", name)["runs"] == "elsewhere"
    nightkey("workflow", "apply", "-", "--runs", "here", value=text)
    assert nightkey.json("workflow", "show", name)["runs"] == "here"
