"""What a person sees at a terminal of 80 and of 140 columns, with 3 and with 1,000 items: approved texts.

`NIGHTKEY_APPROVE=1 .venv/bin/pytest tests/acceptance/test_screens.py` writes them anew: read what has changed.
"""

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.furnished import NOW, furnish
from tests.terminals import see

APPROVED = Path(__file__).parent / "screens"
NAME = "prod-service-0-token"
SCREENS: dict[str, tuple[str, ...]] = {
    "status": ("status",),
    "item-list": ("item", "list"),
    "item-show": ("item", "show", NAME),
    "item-impact": ("item", "impact", "vlt_01k0000002"),
    "item-update": (
        "item",
        "update",
        "*",
        "--where-label",
        "team",
        "--owner",
        "operators",
        "--label",
        "team=platform",
        "--expires-at",
        "2026-06-01",
        "--dry-run",
    ),
    "item-rotate": ("item", "rotate", "*", "--dry-run"),
    "item-delete": ("item", "delete", "*", "--dry-run"),
    "policy-explain": ("policy", "explain", NAME),
    "item-apply": ("item", "apply", "kept", "--dry-run"),
    "rotation-list": ("rotation", "list"),
    "rotation-show": ("rotation", "show", "rot_01k00000000"),
    "workflow-list": ("workflow", "list"),
    "workflow-show": ("workflow", "show", "fl_01k0000000"),
    "finding-list": ("finding", "list"),
    "notice-list": ("notice", "list"),
    "notice-show": ("notice", "show", "ntc_01k0000001"),
    "audit-list": ("audit", "list"),
    "owner-list": ("owner", "list"),
    "rotator-list": ("rotator", "list"),
    "night-list": ("night", "list"),
    "night-show": ("night", "show"),
    "run-list": ("run", "list"),
    "settings-list": ("settings", "list"),
    "item-import": ("item", "import", "rows.csv", "--owner", "operators", "--dry-run"),
}
KEPT = f"""
[owners.night-shift]
quiet = "08:00-20:00"

[policies.monthly]
lifetime = "30d"
lead = "5d"
windows = ["0 2 * * 1-5 for 4h in Europe/Zurich"]

[items.{NAME}]
owners = ["night-shift"]
labels = {{ env = "prod" }}
policy = "monthly"

[items.prod-absent-token]
owners = ["night-shift"]
"""
KINDS = ("token", "postgres-password", "ssh-key", "smtp-password")
TOLD = 30
"""Lines of a long screen that are approved, and its last ones: the others are alike."""


@pytest.fixture(scope="module")
def vaults(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Nightkey]:
    folder = tmp_path_factory.mktemp("vaults")
    made = {number: Nightkey(folder / f"{number}" / "home") for number in (3, 1000)}
    for number, nightkey in made.items():
        nightkey.home.parent.mkdir()
        furnish(nightkey.home, number)
    return made


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of what somebody keeps in git."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "all.toml").write_text(KEPT)
    monkeypatch.chdir(tmp_path)


def write_rows(file: Path, number: int) -> None:
    """Of a spreadsheet: one has lapsed, and the last has the value of the first."""
    rows = [
        [f"prod-other-{n}-{KINDS[n % len(KINDS)]}", f"value-of-{n}", "team-03" if n % 2 else "", "", "env=prod"]
        for n in range(number)
    ]
    rows[0][3], rows[-1][1] = "2026-01-31", rows[0][1]
    with file.open("w", newline="") as out:
        csv.writer(out).writerows([["name", "password", "owner", "expires", "tags"], *rows])
    file.chmod(0o600)


def look(nightkey: Nightkey, *words: str, columns: int, **settings: str) -> str:
    given = {"NIGHTKEY_PAGER": "", "NO_COLOR": "1", **settings}
    shown, status = see(words, {**nightkey.environment, **given}, columns=columns, at=NOW)
    tells_of_refused = words[:2] in (("item", "rotate"), ("item", "delete"), ("item", "import"))
    assert status == (1 if words[0] == "status" or tells_of_refused else 0), shown
    return shown


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("number", [3, 1000])
@pytest.mark.parametrize("name", SCREENS)
def test_a_screen_is_as_it_was_approved(
    vaults: dict[int, Nightkey], name: str, number: int, columns: int
) -> None:
    write_rows(Path("rows.csv"), number)

    shown = look(vaults[number], *SCREENS[name], columns=columns)

    lines = shown.splitlines()
    told = [line for line in lines if not line.startswith("nightkey: ")]  # of an error the terminal makes lines
    assert max(map(len, told)) <= columns or name == "workflow-show"
    if name in ("status", "item-impact", "item-update", "item-rotate", "item-delete", "rotation-show"):
        assert len(lines) <= 40, "it does not fit one screen"
    if len(lines) > TOLD + 3 and name not in ("item-show", "policy-explain"):
        lines = [*lines[:TOLD], f"… {len(lines) - TOLD - 2} lines …", *lines[-2:]]
    file = APPROVED / f"{name}-{number}-{columns}.txt"
    text = "".join(f"{line}\n" for line in lines)
    if os.environ.get("NIGHTKEY_APPROVE"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"if it should be so, see {Path(__file__).name} for how it is approved"


@pytest.mark.skipif(bool(os.environ.get("NIGHTKEY_APPROVE")), reason="they are being written")
def test_no_screen_is_approved_that_is_not_looked_at() -> None:
    kept = {file.stem for file in APPROVED.glob("*.txt")}
    assert kept == {
        f"{name}-{number}-{columns}" for name in SCREENS for number in (3, 1000) for columns in (80, 140)
    }


def test_a_file_gets_whole_lines_with_whole_ids_and_exact_times(vaults: dict[int, Nightkey]) -> None:
    listed = vaults[1000]("rotation", "list").stdout.splitlines()
    assert len(listed) == 11
    assert all(re.match(r"rot_[0-9a-z]{26} ", line) for line in listed[1:])
    assert all(re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", line) for line in listed[1:])
    assert not any("\x1b" in line for line in listed)


def test_every_form_has_the_same_rows(vaults: dict[int, Nightkey]) -> None:
    nightkey = vaults[3]
    asked = ("item", "list", "-o")
    documents = json.loads(nightkey(*asked, "json").stdout)
    assert documents == nightkey.json("item", "list")
    rows = list(csv.DictReader(io.StringIO(nightkey(*asked, "csv").stdout)))
    assert [row["id"] for row in rows] == [one["id"] for one in documents]
    assert [row["due_at"] for row in rows] == [one["due_at"] or "" for one in documents]
    assert rows[0].keys() == documents[0].keys()
    wide = nightkey(*asked, "wide").stdout
    assert all(one["id"] in wide and one["updated_at"][:10] in wide for one in documents)
    plain = nightkey(*asked, "table").stdout
    assert plain == nightkey("item", "list").stdout
    assert all(one["id"] not in plain for one in documents)


def test_two_forms_are_one_too_many(vaults: dict[int, Nightkey]) -> None:
    refused = vaults[3]("item", "list", "--json", "-o", "csv", status=2)
    assert refused.stderr == "nightkey: --json and --output csv: choose one\n"
    unknown = vaults[3]("item", "list", "-o", "xml", status=2).stderr
    assert "xml" in unknown
    assert "csv" in unknown


def test_times_are_shown_and_taken_in_the_zone_of_the_settings(vaults: dict[int, Nightkey]) -> None:
    nightkey = vaults[3]
    zurich = {"NIGHTKEY_TIME_ZONE": "Europe/Zurich"}
    here = look(nightkey, "rotation", "show", "rot_01k00000000", columns=80, **zurich)
    assert "2026-02-28 23:31 CET" in here
    assert "workflow 0 has not run since\n" in here
    assert "2026-02-28 23:38 CET" in here, "a sentence has the same clock"
    there = Nightkey(nightkey.home, zurich)
    assert "Z" in there.json("rotation", "list")[0]["created_at"], "a program gets UTC"
    finding = there.json("finding", "list")[0]["id"]
    snoozed = there.json("finding", "snooze", finding, "--until", "2030-07-01", "--why", "later")
    assert snoozed["until"].startswith("2030-06-30T22:00:00"), "the first moment of that day, there"


def test_a_new_key_comes_in_the_form_that_was_asked_for(nightkey: Nightkey) -> None:
    made = nightkey("item", "create", "api-key:partner", "--owner", "operators", "-o", "csv").stdout
    (row,) = csv.DictReader(io.StringIO(made))
    assert row["name"] == "api-key:partner"
    assert nightkey.json("key", "check", "--value-file", "-", value=row["key"])["valid"]
