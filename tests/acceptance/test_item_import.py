"""`nightkey item import`, as a person types it: from another vault's list to items like any other."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Nightkey, write_workflow

IDS = [f"vlt_01j9z3k4m5n6p7q8r9s0t1v2w{number}" for number in range(10)]
NAME, KEY, SMUGGLED = "My App's API Token", "api-key:incoming-webhook-key", "a-value-that-was-smuggled"
GIVE = "nightkey item update stripe_production_key --value-file PATH --expires-at 90d"
MADE = "2025-07-01T08:30:00.000000Z"
LIST: list[dict[str, Any]] = [
    {"id": IDS[0], "name": NAME, "created_at": MADE, "expires_at": "2066-01-01T00:00:00.000000Z"},
    {"id": IDS[1], "name": "stripe_production_key", "created_at": MADE, "expires_at": None},
    {"id": IDS[2], "name": KEY, "created_at": MADE, "expires_at": "2066-01-01T00:00:00.000000Z"},
]
BROKEN: list[Any] = [
    {"id": IDS[3], "name": "pw", "created_at": MADE, "expires_at": None},
    {"id": IDS[0], "name": "another name of it", "created_at": MADE, "expires_at": None},
    {
        "id": IDS[4],
        "name": "prod-mail-password",
        "created_at": MADE,
        "expires_at": 4070908800,
        "secret": SMUGGLED,
    },
    "is not an object",
]


def write(folder: Path, document: object) -> str:
    file = folder / "vault.json"
    file.write_text(json.dumps(document))
    return str(file)


def test_a_list_comes_in_once_and_its_items_become_items_like_any_other(
    nightkey: Nightkey, tmp_path: Path
) -> None:
    nightkey("owner", "create", "platform")
    call = {"id": "call", "componentId": "webhook", "method": "GET", "url": "http://127.0.0.1:9/", "headers": {
        "A": '{{ vault["' + NAME + '"] }}', "B": IDS[1]}}  # fmt: skip
    workflow = write_workflow(tmp_path, "uses-both", [{"id": "start", "componentId": "manual_trigger"}, call])
    nightkey("workflow", "apply", str(workflow))
    file = write(tmp_path, {"data": LIST})

    planned = nightkey("item", "import", file, "--owner", "platform", "--dry-run")
    assert "3 items would come in, 0 there already, 0 left out" in planned.stdout
    assert nightkey.json("item", "list") == []
    done = nightkey("item", "import", file, "--owner", "platform")
    assert f"{NAME} ({IDS[0]}): waits for its value, expires 2066-01-01 00:00 UTC" in done.stdout
    assert "3 items came in, 0 there already, 0 left out; give each its value: " in done.stdout
    assert done.stderr == ""
    again = nightkey("item", "import", "-", value=json.dumps(LIST))
    assert again.stdout == "0 items came in, 3 there already, 0 left out\n"

    shown = nightkey("item", "list").stdout
    assert len(re.findall("waits for its value", shown)) == 3
    one = nightkey("item", "show", IDS[1])
    assert "waits for its value\nexpires  never" in one.stdout
    assert (
        "none yet: nightkey item update stripe_production_key --value-file PATH --expires-at 90d" in one.stdout
    )
    assert "uses-both" in one.stdout
    failed = nightkey("workflow", "run", "uses-both", status=1)
    assert "waits for its value" in failed.stdout + failed.stderr
    refused = nightkey("item", "rotate", "stripe_production_key", status=3)
    assert f"give it by `{GIVE}`" in refused.stderr

    value = "a-value-of-theirs"
    given = nightkey("item", "update", NAME, "--value-file", "-", value=value)
    assert "version 1, expires 2066-01-01 00:00 UTC" in given.stdout
    assert "value: none -> version 1" in given.stdout
    key = nightkey("item", "rotate", KEY).stdout.splitlines()[-1]
    assert "version 1" in nightkey("key", "check", "--value-file", "-", value=key).stdout
    found = {(one["kind"], one["item"]) for one in nightkey.json("scan")["findings"]}
    assert ("no-value", "stripe_production_key") in found
    assert not {("no-value", NAME), ("no-value", KEY), ("missing", NAME)} & found
    assert value not in "".join(nightkey.printed)


def test_what_cannot_come_in_is_told_line_by_line_and_the_rest_does(nightkey: Nightkey, tmp_path: Path) -> None:
    smuggled = [one | {"secret": SMUGGLED, "note\x1b[2J": SMUGGLED} for one in LIST]
    file = write(tmp_path, smuggled + BROKEN)
    done = nightkey("item", "import", file, status=1)
    assert "3 items came in, 0 there already, 4 left out" in done.stdout
    told = (
        "values are not taken from such a file: 'secret' of 3 entries is left there",
        "'note\\x1b[2J' of 3 entries is not a field that is known here",
        "2 characters",
        "has that id already",
        "expires_at is not a time",
        "is not an object",
    )
    for line, why in zip(done.stderr.splitlines(), told, strict=True):
        assert why in line
    answer = nightkey.json("item", "import", file, status=1)
    assert [(one["name"], one["arrival"]) for one in answer["items"]] == [
        *[(one["name"], "there") for one in LIST],
        *[(one["name"], "left-out") for one in BROKEN[:3]],
        (None, "left-out"),
    ]
    assert SMUGGLED not in "".join(nightkey.printed)
    assert SMUGGLED.encode() not in b"".join(path.read_bytes() for path in nightkey.home.glob("nightkey.db*"))


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Nightkey:
    """A data folder that is left as it was by what is refused."""
    made = Nightkey(tmp_path_factory.mktemp("refused") / "home")
    made("init")
    return made


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 200_000, "nested too deeply"),
        ('{"items": []}', "it holds no items"),
        ('[{"name": "prod-x-token", "expires_at": ' + "9" * 5000 + "}]", "a number in it is too long"),
    ],
)
def test_a_file_that_is_no_list_costs_one_line(emptied: Nightkey, tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "vault.json"
    file.write_text(text)
    done = emptied("item", "import", str(file), status=2)
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"nightkey: {file}: ")
    assert why in line


def test_a_gigabyte_costs_one_line_and_little_memory(emptied: Nightkey, tmp_path: Path) -> None:
    file = tmp_path / "vault.json"
    with file.open("wb") as stream:
        stream.truncate(1 << 30)  # it takes no room
    measured = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(file)],
        capture_output=True, text=True, check=False, timeout=300, env=emptied.environment,
    )  # fmt: skip
    assert "is larger than 16777216 bytes" in measured.stderr
    assert len(measured.stderr.splitlines()) == 1
    assert int(measured.stdout) < 300  # MB


_MEASURED = """
import resource, subprocess, sys
subprocess.run([sys.executable, "-m", "worker.cli.main", "item", "import", sys.argv[1]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
"""
