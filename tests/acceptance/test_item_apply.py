"""A vault's metadata in a folder, as somebody keeps it in git: written, changed, looked at, applied."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.terminals import at_terminal

SECRET = "canary-value-3f9a81c7"
ROUTE = "json://user:s3cr3t-word@127.0.0.1:9/hook"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, new_vault: Path) -> Nightkey:
    """Two items of one owner, one of them with a plan."""
    nightkey = copy_to(tmp_path_factory.mktemp("made"), new_vault)
    route = write(nightkey.home.parent, "route", ROUTE) / "route"
    nightkey("owner", "create", "platform", "--route-file", str(route))
    create = ("item", "create", "--owner", "platform", "--value-file", "-", "--expires-at", "90d")
    plan = ("--mode", "notify", "--lifetime", "90d", "--lead", "20d", "--label", "env=prod")
    nightkey(*create, "prod-crm-token", *plan, value=SECRET)
    nightkey(*create, "prod-ftp-password", value=f"{SECRET}-2")
    return nightkey


@pytest.fixture
def kept(made: Nightkey, tmp_path: Path) -> Nightkey:
    return copy_to(tmp_path / "kept", made.home)


def copy_to(folder: Path, home: Path) -> Nightkey:
    nightkey = Nightkey(folder / "home")
    shutil.copytree(home, nightkey.home)
    return nightkey


def answer(nightkey: Nightkey, *words: str, to: str, by: str) -> tuple[str, int]:
    """What somebody at a terminal sees who answers one question."""
    with at_terminal(words, nightkey.environment, columns=80) as terminal:
        terminal.wait_for(to)
        terminal.type(f"{by}\n")
        status = terminal.end()
        return terminal.shown, status


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("form", ["toml", "json"])
def test_what_is_written_is_the_same_each_time_and_changes_nothing(
    kept: Nightkey, tmp_path: Path, form: str
) -> None:
    folder = tmp_path / "repo"
    kept("item", "export", str(folder), "--format", form)
    first = {file.name: file.read_text() for file in sorted(folder.iterdir())}

    said = kept("item", "export", str(folder), "--format", form).stdout
    shown = kept("item", "apply", str(folder), "--prune").stdout

    assert said.startswith(f"written to {folder}: 2 owners, 0 named policies, 2 items\n")
    assert {file.name: file.read_text() for file in sorted(folder.iterdir())} == first
    assert set(first) == {f"owners.{form}", f"policies.{form}", f"items.{form}"}
    assert shown == "0 to create, 0 to change, 4 as the files say\n"
    everything = "".join(first.values())
    assert SECRET not in everything
    assert "s3cr3t" not in everything
    assert not re.search(r"20\d\d-|vlt_|own_", everything)
    read = tomllib.loads if form == "toml" else json.loads
    assert read(first[f"items.{form}"])["items"]["prod-crm-token"] == {
        "owners": ["platform"],
        "labels": {"env": "prod"},
        "policy": {"lifetime": "90d", "lead": "20d"},
    }


def test_another_vault_with_the_same_names_becomes_equal(
    kept: Nightkey, tmp_path: Path, new_vault: Path
) -> None:
    write(tmp_path / "more", "policies.toml", '[policies.monthly]\nlifetime = "30d"\nlead = "5d"\n')
    write(tmp_path / "more", "items.toml", '[items.prod-ftp-password]\npolicy = "monthly"\n')
    kept("item", "apply", str(tmp_path / "more"), "--yes")
    kept("item", "export", str(tmp_path / "repo"))
    other = copy_to(tmp_path / "other", new_vault)
    create = ("item", "create", "--owner", "operators", "--value-file", "-", "--expires-at", "90d")
    for name in ("prod-crm-token", "prod-ftp-password"):
        other(*create, name, "--label", "team=a", "--mode", "notify", "--lead", "3d", value=f"{SECRET}-{name}")

    other("item", "apply", str(tmp_path / "repo"), "--yes")
    other("item", "export", str(tmp_path / "again"))

    for file in (tmp_path / "repo").iterdir():
        assert (tmp_path / "again" / file.name).read_text() == file.read_text()


def test_differences_are_shown_asked_for_once_and_made(kept: Nightkey, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "repo",
        "payments.toml",
        """
[owners.payments]
deputy = "platform"

[policies.monthly]
lifetime = "30d"
lead = "5d"

[items.prod-crm-token]
owners = ["payments"]

[items.prod-crm-token.policy]
named = "monthly"
lead = "9d"
""",
    )
    shown = kept("item", "apply", str(folder), "--dry-run").stdout
    assert shown == (
        "+ owner payments is created\n"
        "    deputy: none -> platform\n"
        "+ policy monthly is created\n"
        "    lifetime: none -> 30d\n"
        "    lead: none -> 5d\n"
        "~ item prod-crm-token changes\n"
        "    owners: platform -> payments\n"
        "    lifetime: 90d -> 30d\n"
        "    lead: 20d -> 9d\n"
        "    policy: none -> monthly\n"
        "2 to create, 1 to change, 0 as the files say\n"
    )
    assert "there is nobody to ask" in kept("item", "apply", str(folder), status=2).stderr
    screen, status = answer(kept, "item", "apply", str(folder), to="Make these 3 now? [y/N]: ", by="n")
    assert (status, "nothing was changed" in screen) == (3, True), screen
    assert kept.json("policy", "list") == []

    assert kept("item", "apply", str(folder), "--yes").stdout.endswith("done: 3 changes\n")

    assert kept.json("item", "show", "prod-crm-token")["lead"] == "9d"
    policy = kept("policy", "show", "monthly").stdout
    assert policy == (
        '[policies.monthly]\nlifetime = "30d"\nlead = "5d"\n\nfollowed by 1 item: prod-crm-token\n'
    )


def test_a_changed_policy_is_shown_item_by_item(kept: Nightkey, tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", "a.toml", '[policies.monthly]\nlifetime = "30d"\nlead = "5d"\n')
    items = {"items": {name: {"policy": "monthly"} for name in ("prod-crm-token", "prod-ftp-password")}}
    write(folder, "b.json", json.dumps(items))
    kept("item", "apply", str(folder), "--yes")
    (folder / "b.json").unlink()
    write(folder, "a.toml", '[policies.monthly]\nlifetime = "30d"\nlead = "7d"\n')

    plan = kept.json("item", "apply", str(folder), "--dry-run")

    assert [(one["subject"], one["name"], one["changes"]) for one in plan["steps"]] == [
        ("items", "prod-crm-token", [{"field": "lead", "before": "5d", "after": "7d"}]),
        ("items", "prod-ftp-password", [{"field": "lead", "before": "5d", "after": "7d"}]),
        ("policies", "monthly", [{"field": "lead", "before": "5d", "after": "7d"}]),
    ]


def test_what_is_missing_is_told_with_the_command_that_adds_it(kept: Nightkey, tmp_path: Path) -> None:
    text = '[items.prod-new-token]\nowners = ["platform"]\n[items."api-key:in"]\nowners = ["platform"]\n'
    folder = write(tmp_path / "repo", "items.toml", text)
    refused = kept("item", "apply", str(folder), "--yes", status=3)
    assert refused.stderr == (
        "nightkey: nothing was changed: 2 items are not in the vault; add what is missing, or go on without: "
        "--skip-missing\n"
    )
    told = re.findall("add it by: (.*)", refused.stdout)
    assert told == [
        "nightkey item create api-key:in --owner platform",
        "nightkey item create prod-new-token --owner platform --value-file PATH --expires-at 90d",
    ]
    assert kept("item", "apply", str(folder), "--yes", "--skip-missing").stdout == refused.stdout

    value = write(tmp_path / "values", "value", f"{SECRET}-3") / "value"
    for command in told:
        kept(*command.replace("PATH", str(value)).split()[1:])
    assert kept("item", "apply", str(folder)).stdout == "0 to create, 0 to change, 2 as the files say\n"


def test_prune_says_loudly_what_is_gone_for_ever(kept: Nightkey, tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", "items.toml", "[items.prod-crm-token]\n")
    question = "Delete 1 item with every value, for ever? [y/N]: "
    shown, status = answer(kept, "item", "apply", str(folder), "--prune", to=question, by="y")
    assert status == 0, shown
    assert "- item prod-ftp-password is deleted, with every value of it, for ever" in shown
    assert [one["name"] for one in kept.json("item", "list")] == ["prod-crm-token"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "a.toml",
            "[items.x\n",
            "a.toml: Expected ']' at the end of a table declaration (at line 1",
        ),
        ("a.json", '{"items": {', "a.json: line 1: not JSON"),
        ("a.json", '{"items": {"a": {}, "a": {}}}', "two fields of one object are named 'a'"),
        ("a.json", "[]", "a.json: it is no object with owners, policies and items"),
        ("a.toml", "[item.x]\n", "a.toml: 'item' is none of the tables owners, policies, items"),
        (
            "a.toml",
            '[items.prod-crm-token]\nsecret = "x"\n',
            "a.toml: items.prod-crm-token.secret: a value",
        ),
        (
            "a.toml",
            '[items.prod-crm-token.policy]\nlead = "soon"\n',
            "a.toml: items.prod-crm-token.policy.lead: 'soon' is not a duration",
        ),
        (
            "a.toml",
            '[items.prod-crm-token]\nowners = ["x"]\n',
            "a.toml: items.prod-crm-token.owners: there",
        ),
        ("b.toml", "[owners.platform]\n", "owners.platform stands in"),
    ],
)
def test_what_cannot_be_read_names_file_and_place(
    made: Nightkey, tmp_path: Path, name: str, text: str, says: str
) -> None:
    folder = write(tmp_path / "repo", "z.toml", "[owners.platform]\n")
    write(folder, name, text)

    done = made("item", "apply", str(folder), "--yes", status=2)

    assert says in done.stderr
    assert not done.stdout


def test_a_folder_that_would_say_it_twice_is_refused(made: Nightkey, tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", "mine.toml", "[owners.platform]\n")

    assert "would say the same a second time" in made("item", "export", str(folder), status=2).stderr
    assert "is no folder" in made("item", "apply", str(tmp_path / "none"), status=2).stderr
    empty = write(tmp_path / "empty", "README.md", "")
    assert "holds no .toml" in made("item", "apply", str(empty), status=2).stderr


def test_a_policy_is_said_in_words_part_by_part(kept: Nightkey, tmp_path: Path) -> None:
    folder = write(tmp_path / "repo", "a.toml", '[policies.monthly]\nlifetime = "30d"\nlead = "5d"\n')
    write(folder, "b.toml", '[items.prod-crm-token.policy]\nnamed = "monthly"\nurgent = true\n')
    kept("item", "apply", str(folder), "--yes")

    said = kept("policy", "explain", "prod-crm-token").stdout

    heads = [line for line in said.splitlines() if line.endswith(":")]
    assert heads == ["policy, of its own:", "of the policy monthly:", "by default:"]
    own, rest = said.split("of the policy monthly:")
    assert "its owner is told even in their quiet hours" in own
    assert "a new value works for 30 days" in rest.split("by default:")[0]
    assert kept("item", "show", "prod-crm-token").stdout.endswith(said.partition("\n")[2])
    of_policy = kept.json("policy", "explain", "monthly")
    assert {one["part"]: one["source"] for one in of_policy}["lead"] == "own"
    assert "nor is there a named policy" in kept("policy", "explain", "nothing", status=2).stderr
