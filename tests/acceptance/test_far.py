"""The commands against a server far away print what they print beside the vault, under the token's role."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey, write_workflow
from tests.commands import walk_commands
from tests.desk import NAME, Desk, open_desk
from vaultcore.access import RULES, Action, Role
from worker.cli.main import build_command
from worker.domain.incoming import ENTRIES_MAX

PAGE = Path(__file__).parents[2] / "deploy" / "far.md"
DECIDED = "prod-decided-token"
SECRET = "canary-value-3f9a81c7"
_ID = re.compile(r"\b[a-z]{2,4}_[0-9a-z]{26}\b")
_LENGTH = re.compile(r"(\d+|less than a) (minute|hour|day)s?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\b)|\d\d:\d\d:\d\d GMT")


@dataclass
class Office:
    """A vault with a server, and the command beside it and far from it."""

    desk: Desk
    folder: Path
    near: Nightkey
    printed: list[str] = field(default_factory=list)

    def far(self, role: Role = Role.ADMIN, *, url: str | None = None, token: str | None = None) -> Nightkey:
        """From a home of its own, in which there is no vault."""
        settings = {
            "NIGHTKEY_URL": self.desk.front.url if url is None else url,
            "NIGHTKEY_TOKEN": self.desk.tokens[role] if token is None else token,
        }
        return Nightkey(self.folder / "elsewhere" / "home", settings, self.printed)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Items with a plan and without, a workflow that uses one, a rotation that waits for approval, a night."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "elsewhere").mkdir()
    with open_desk(folder) as desk:
        near = Nightkey(folder / "home")
        made = Office(desk, folder, near, near.printed)
        desk.create()
        desk.create("prod-spare-token", owner="others")
        near("owner", "route", "operators", "--route", "json://127.0.0.1:9/hook")
        document = write_workflow(
            folder,
            "ticket-sync",
            [
                {"id": "start", "componentId": "manual_trigger"},
                {
                    "id": "say",
                    "componentId": "webhook",
                    "method": "GET",
                    "url": f"{desk.front.url}/health",
                    "headers": {"X-Token": f"{{{{ vault.{NAME} }}}}"},
                },
            ],
        )
        near("workflow", "apply", str(document))
        due = ("--mode", "approve", "--rotator", "random", "--lifetime", "90d", "--expires-at", "5d")
        near("item", "update", NAME, *due)
        desk.create(DECIDED)
        near("item", "update", DECIDED, *due, "--consumers", "none")
        (folder / "kept").mkdir()
        (folder / "kept" / "policies.toml").write_text('[policies.monthly]\nlifetime = "30d"\nlead = "5d"\n')
        spare = '[items.prod-spare-token.policy]\nnamed = "monthly"\n'
        (folder / "kept" / "items.toml").write_text(f"[items.{NAME}]\n[items.{DECIDED}]\n{spare}")
        near("item", "apply", str(folder / "kept"), "--yes")
        (folder / "list.json").write_text('[{"name": "prod-listed-token"}]')
        near("item", "update", NAME, "--label", "env=prod")
        near("item", "update", "prod-spare-token", "--label", "env=stage", "--label", "note=a, b")
        near("night", "--no-wait", status=1)
        near("workflow", "test", "ticket-sync")
        yield made


def rotation_of(office: Office, item: str = NAME) -> str:
    return next(str(one["id"]) for one in office.near.json("rotation", "list") if one["item"] == item)


def both(office: Office, *words: str, status: int = 0) -> tuple[str, str]:
    return (
        office.near(*words, status=status).stdout,
        office.far()(*words, status=status).stdout,
    )


READS: tuple[tuple[str, ...], ...] = (
    ("item", "list"),
    ("item", "list", "--label", "env=prod"),
    ("item", "list", "--label", "env", "--label", "note=a, b", "--owner", "others"),
    (
        "item",
        "list",
        "--sort",
        "-expires",
        "--limit",
        "2",
        "--name",
        "TOKEN",
        "--mode",
        "approve",
        "--mode",
        "notify",
    ),
    ("item", "list", "--state", "due", "--state", "needs-somebody", "--rotator", "random"),
    ("item", "list", "--rotator", "none", "--sort", "created"),
    ("item", "list", "--used-by", "ticket-sync", "--expires-after", "1d", "--expires-before", "2100-01-01"),
    ("item", "show", NAME),
    ("item", "show", "prod-spare-token"),
    ("item", "impact", NAME),
    ("item", "impact", "{item_begins}"),
    ("item", "update", "prod-*", "--lead", "9d", "--owner", "others", "--dry-run"),
    ("item", "update", "*", "--where-label", "env", "--where-used", "ticket-sync", "--no-owner", "--dry-run"),
    ("item", "update", NAME, "--label", "env=stage", "--expires-at", "2030-01-01", "--dry-run"),
    ("item", "delete", "prod-s*", "--label", "env", "--dry-run", "--json"),
    ("policy", "list"),
    ("policy", "show", "monthly"),
    ("policy", "explain", "monthly"),
    ("policy", "explain", "prod-spare-token"),
    ("workflow", "list"),
    ("workflow", "show", "ticket-sync"),
    ("rotation", "list"),
    ("rotation", "show", "{rotation}"),
    ("rotation", "show", "{rotation_begins}"),
    ("item", "show", "{item_begins}"),
    ("finding", "list"),
    ("finding", "list", "--owner", "team"),
    ("notice", "list"),
    ("notice", "list", "--failed"),
    ("notice", "show", "{notice}"),
    ("owner", "list"),
    ("owner", "show", "operators"),
    ("reconcile", "list"),
    ("night", "list"),
    ("run", "list"),
    ("run", "list", "--workflow", "ticket-sync", "--status", "completed", "--since", "2026-01-01"),
    ("run", "show", "{run}"),
    ("notice", "template"),
    ("audit", "verify"),
    ("audit", "verify", "--rows"),
    ("audit", "list", "--item", NAME, "--action", "item", "--from", "1d"),
    ("audit", "list", "--actor", "init", "--limit", "1"),
    ("audit", "key"),
    ("status",),
)


@pytest.mark.parametrize("words", READS, ids=" ".join)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_what_is_read_is_printed_alike(office: Office, words: tuple[str, ...], form: tuple[str, ...]) -> None:
    filled = [_fill(office, word) for word in words]
    status = 1 if words == ("status",) else 0

    near, far = both(office, *filled, *form, status=status)

    assert near.strip()
    assert (json.loads(far) if form else far) == (json.loads(near) if form else near)


@pytest.mark.parametrize("form", ["csv", "wide"])
def test_every_form_is_the_same_from_far_away(office: Office, form: str) -> None:
    for words in (("item", "list"), ("rotation", "list"), ("status",)):
        near, far = both(office, *words, "-o", form, status=1 if words == ("status",) else 0)
        assert far == near


def test_the_beginning_of_several_is_refused_from_far_away_with_the_same_words(office: Office) -> None:
    refused = [ask("rotation", "show", "rot_0", status=2).stderr for ask in (office.near, office.far())]
    assert refused[0] == refused[1]
    assert rotation_of(office) in refused[0]


def _fill(office: Office, word: str) -> str:
    if word == "{rotation}":
        return rotation_of(office)
    if word == "{rotation_begins}":
        return rotation_of(office)[:-2]
    if word == "{item_begins}":
        return str(office.near.json("item", "show", NAME)["id"])[:-2]
    if word == "{today}":
        return str(office.near.json("night", "list")[0]["slot"])[:10]
    if word == "{run}":
        return str(office.near.json("run", "list")[0]["id"])
    if word == "{finding}":
        return str(office.near.json("finding", "list")[0]["id"])
    if word == "{notice}":
        return str(office.near.json("notice", "list")[0]["id"])
    return word


def test_the_calendar_comes_as_it_is(office: Office) -> None:
    near, far = both(office, "calendar")

    def plain(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("DTSTAMP")]

    assert plain(far) == plain(near)


TWICE: tuple[tuple[str, ...], ...] = (
    ("night", "show"),
    ("night", "show", "{today}"),
    ("night", "show", "--json"),
    ("scan",),
    ("scan", "--dry-run"),
    ("scan", "--at", "5d", "--json"),
    ("notice", "template", "digest"),
    ("notice", "preview", "team"),
    ("notice", "preview", "operators", "--json"),
    ("principal", "list", "--json"),
    ("principal", "role", "viewer-bot", "--give", "viewer"),
    ("item", "update", "prod-spare-token", "--expires-at", "2030-01-01"),
    ("item", "update", "prod-s*", NAME, "--lead", "8d", "--yes"),
    ("item", "update", "prod-s*", NAME, "--lead", "8d", "--yes", "--json"),
    ("item", "update", "prod-spare-token", "--label", "deployed_at=2026-01-01", "--no-label", "env"),
    ("item", "export", "{folder}/exported"),
    ("item", "apply", "{folder}/kept", "--dry-run"),
    ("item", "apply", "{folder}/kept", "--prune", "--dry-run", "--json"),
    ("item", "apply", "{folder}/kept", "--yes", "--json"),
    ("owner", "update", "team", "--zone", "Europe/Zurich", "--quiet", "22:00-07:00", "--deputy", "others"),
    ("owner", "update", "team", "--no-quiet", "--no-deputy"),
    ("finding", "ack", "{finding}", "--why", "it is known"),
    ("finding", "snooze", "{finding}", "--until", "2030-01-01", "--why", "later"),
    ("workflow", "pin", "ticket-sync", NAME, "--version", "1"),
    ("workflow", "unpin", "ticket-sync", NAME),
    ("workflow", "lint", "{folder}/ticket-sync.json"),
    ("workflow", "apply", "{folder}/ticket-sync.json"),
    ("workflow", "test", "ticket-sync", "--node", "say"),
    ("workflow", "test", "ticket-sync"),
    ("run", "report", "ticket-sync", "--status", "completed", "--started-at", "2026-01-01"),
)


@pytest.mark.parametrize("words", TWICE, ids=" ".join)
def test_what_is_changed_is_answered_alike(office: Office, words: tuple[str, ...]) -> None:
    filled = [_fill(office, word.replace("{folder}", str(office.folder))) for word in words]
    office.near(*filled)  # so that neither of the two finds it new

    near, far = both(office, *filled)

    assert _plain(far) == _plain(near)


def _plain(text: str) -> str:
    """Without what is another each time: ids, times, and how long ago something was."""
    return _LENGTH.sub("LENGTH", _TIME.sub("TIME", _ID.sub("ID", text)))


@pytest.mark.parametrize(
    "words",
    [
        ("item", "rotate", "*", "--dry-run"),
        ("item", "rotate", "--where-label", "env", "--used-by", "ticket-sync", "--dry-run"),
        ("item", "rotate", NAME, "--in-freeze", "--dry-run", "--json"),
        ("item", "delete", "*", "--dry-run"),
        ("item", "delete", "*", "--owner", "team", "--dry-run", "--json"),
    ],
    ids=" ".join,
)
def test_why_some_of_several_are_refused_is_told_alike(office: Office, words: tuple[str, ...]) -> None:
    near, far = both(office, *words, status=1)
    assert _plain(far) == _plain(near)


def test_several_are_rotated_and_deleted_alike(office: Office) -> None:
    """Beside the vault a rotation is driven to its rest; far away it is opened for the workers there."""
    policy = ("--mode", "auto", "--rotator", "random", "--consumers", "none", "--lifetime", "90d")
    due = ("--owner", "team", "--expires-at", "5d", "--value-file", "-")
    answers = []
    for place, command in (("near", office.near), ("distant", office.far())):
        for number in range(2):
            for name in (f"spin-{place}-{number}", f"temp-{place}-{number}"):
                command("item", "create", name, *due, *policy, value=f"value of {name}")
        rotated = command.json("item", "rotate", f"spin-{place}-*", "--yes")
        assert [(one["name"], one["outcome"], one["done"]) for one in rotated["items"]] == [
            (f"spin-{place}-0", "replace", True),
            (f"spin-{place}-1", "replace", True),
        ]
        assert all(one["rotation"]["id"].startswith("rot_") for one in rotated["items"])
        deleted = command("item", "delete", f"temp-{place}-*", "--yes").stdout
        assert deleted.endswith("2 items are deleted\n2 items and their values are gone\n")
        answers.append(_plain(deleted).replace(f"-{place}-", "-").split())

    assert answers[1] == answers[0]
    assert "temp-" not in office.near("item", "list").stdout


def test_an_item_is_made_changed_and_deleted_alike(office: Office) -> None:
    """Its value is read there as here, and stands in the body of a call alone."""
    policy = ("--mode", "approve", "--rotator", "random", "--consumers", "none", "--set", "length=20")
    changes = ("--lead", "10d", "--unset", "length", "--value-file", "-", "--expires-at", "2031-01-01")
    said = []
    for command, name in ((office.near, "prod-near-token"), (office.far(), "prod-distant-token")):
        steps = [
            command("item", "create", name, "--owner", "team", *policy, "--value-file", "-", value=SECRET),
            command("item", "update", name, *changes, "--owner", "others", value=f"{SECRET}-2"),
            command("item", "update", name, "--name", f"{name}-2", "--json"),
            command("item", "show", f"{name}-2"),
            command("item", "delete", f"{name}-2"),
        ]
        shown = [
            step.stdout if "--json" not in step.args else sorted(json.loads(step.stdout)) for step in steps
        ]
        said.append(_plain(repr(shown)).replace(name, "prod-token"))

    assert said[1] == said[0]


def test_files_change_the_vault_far_away_as_its_bearer_may(office: Office) -> None:
    folder = office.folder / "changes"
    folder.mkdir()
    (folder / "a.toml").write_text(
        "[owners.shift]\n[items.prod-spare-token]\nowners = ['shift']\n[items.prod-absent-token]\n"
    )
    words = ("item", "apply", str(folder), "--yes", "--skip-missing")
    refused = office.far(Role.OPERATOR)(*words, status=2)
    assert refused.stderr.startswith(f"nightkey: {folder}/a.toml: owners.shift: you may not do this")
    shown = office.near("item", "apply", str(folder), "--dry-run").stdout

    done = office.far()(*words).stdout

    assert done == f"{shown}done: 2 changes\n"
    assert office.near.json("item", "show", "prod-spare-token")["owners"] == ["shift"]
    (folder / "a.toml").write_text("[items.prod-spare-token]\nowners = ['others']\n")
    office.far(Role.OPERATOR)("item", "apply", str(folder), "--yes")
    written = (office.folder / "exported-far", office.folder / "exported-near")
    office.far()("item", "export", str(written[0]))
    office.near("item", "export", str(written[1]))
    assert [file.read_text() for file in sorted(written[0].iterdir())] == [
        file.read_text() for file in sorted(written[1].iterdir())
    ]


def test_a_key_is_handed_over_once(office: Office) -> None:
    made = office.far()("item", "create", "api-key:prod-far", "--owner", "team", "--json")

    assert json.loads(made.stdout)["key"].startswith("wfk_")
    assert "key" not in json.loads(office.far()("item", "show", "api-key:prod-far", "--json").stdout)


def test_a_rotation_is_decided_there_and_driven_by_its_workers(office: Office) -> None:
    rotation = rotation_of(office, DECIDED)
    far = office.far(Role.APPROVER)

    approved = far.json("rotation", "approve", rotation)

    assert (approved["approved_by"], approved["state"]) == ("service:approver-bot", "scheduled")
    assert office.far().json("rotation", "cancel", rotation)["state"] == "cancelled"


ASKED: tuple[tuple[Action, tuple[str, ...]], ...] = (
    (Action.ITEM_SEE, ("item", "show", NAME)),
    (Action.ITEM_SEE, ("item", "impact", NAME)),
    (Action.ITEM_UPDATE, ("item", "update", "prod-*", "--lead", "7d", "--yes")),
    (Action.ITEM_CREATE, ("item", "create", "prod-new-token", "--owner", "team", "--value-file", "-")),
    (Action.ITEM_UPDATE, ("item", "update", NAME, "--no-expiry")),
    (Action.ITEM_REPLACE, ("item", "update", NAME, "--value-file", "-", "--no-expiry")),
    (Action.ITEM_REDIRECT, ("item", "update", NAME, "--rotator", "random")),
    (Action.ITEM_CHECK, ("item", "check", NAME)),
    (Action.ITEM_DELETE, ("item", "delete", NAME)),
    (Action.ITEM_DELETE, ("item", "delete", "prod-*", "--yes")),
    (Action.ITEM_ROTATE, ("item", "rotate", NAME)),
    (Action.ITEM_ROTATE, ("item", "rotate", "prod-*", "--yes")),
    (Action.ITEM_EMERGENCY, ("item", "rotate", NAME, "--compromised", "--yes")),
    (Action.WORKFLOW_SEE, ("workflow", "lint", "{folder}/ticket-sync.json")),
    (Action.WORKFLOW_APPLY, ("workflow", "apply", "{folder}/ticket-sync.json")),
    (Action.WORKFLOW_RUN, ("workflow", "run", "ticket-sync")),
    (Action.WORKFLOW_RUN, ("workflow", "test", "ticket-sync")),
    (Action.WORKFLOW_PIN, ("workflow", "pin", "ticket-sync", NAME, "--version", "1")),
    (Action.RUN_REPORT, ("run", "report", "ticket-sync", "--status", "completed")),
    (Action.OWNER_SEE, ("owner", "show", "team")),
    (Action.OWNER_UPDATE, ("owner", "update", "team", "--zone", "UTC")),
    (Action.ROTATION_SEE, ("rotation", "list")),
    (Action.ROTATION_APPROVE, ("rotation", "approve", "{rotation}")),
    (Action.ROTATION_DECIDE, ("rotation", "cancel", "{rotation}")),
    (Action.ROTATION_DECIDE, ("rotation", "retry", "{rotation}")),
    (Action.ROTATION_DECIDE, ("rotation", "rollback", "{rotation}")),
    (Action.ROTATION_DECIDE, ("rotation", "extend", "{rotation}", "--until", "2030-01-01")),
    (Action.ROTATION_DECIDE, ("rotation", "prove", "{rotation}", "--workflow", "ticket-sync")),
    (Action.ROTATION_ANSWER, ("rotation", "accept", "{rotation}")),
    (Action.ROTATION_ANSWER, ("rotation", "waive", "{rotation}", "--check", "--why", "it works")),
    (Action.FINDING_SEE, ("finding", "list")),
    (Action.FINDING_QUIET, ("finding", "ack", "{finding}", "--why", "it is known")),
    (Action.NOTICE_SEE, ("notice", "list")),
    (Action.NOTICE_RETRY, ("notice", "retry", "{notice}")),
    (Action.NIGHT_SEE, ("calendar",)),
    (Action.NIGHT_RUN, ("reconcile", "run", NAME)),
    (Action.ROTATION_ANSWER, ("reconcile", "accept", NAME)),
    (Action.PICKUP_COLLECT, ("pickup", "-")),
    (Action.OWNER_UPDATE, ("owner", "test", "team")),
    (Action.OWNER_MANAGE, ("owner", "create", "x")),
    (Action.OWNER_MANAGE, ("owner", "route", "team", "--route", "json://127.0.0.1:9/hook")),
    (Action.OWNER_MANAGE, ("owner", "leave", "team", "--yes")),
    (Action.OWNER_MANAGE, ("owner", "rename", "team", "squad")),
    (Action.OWNER_MANAGE, ("owner", "delete", "team", "--to", "others")),
    (Action.PRINCIPAL_SEE, ("principal", "list")),
    (Action.PRINCIPAL_MANAGE, ("principal", "create", "x")),
    (Action.PRINCIPAL_MANAGE, ("principal", "role", "viewer-bot", "--give", "admin")),
    (Action.PRINCIPAL_MANAGE, ("principal", "token", "viewer-bot")),
    (Action.PRINCIPAL_MANAGE, ("principal", "revoke", "viewer-bot")),
    (Action.ITEM_CREATE, ("item", "import", "{folder}/list.json")),
    (Action.METADATA_SEE, ("item", "export", "{folder}/exported")),
    (Action.METADATA_SEE, ("policy", "list")),
    (Action.KEY_CHECK, ("key", "check", "--value-file", "-")),
    (Action.NIGHT_RUN, ("night",)),
    (Action.NIGHT_RUN, ("scan",)),
    (Action.NIGHT_SEE, ("scan", "--dry-run")),
    (Action.NIGHT_SEE, ("night", "show")),
    (Action.WORKFLOW_SEE, ("run", "list")),
    (Action.NOTICE_SEE, ("notice", "template")),
    (Action.AUDIT_READ, ("audit", "verify")),
    (Action.AUDIT_ANCHOR, ("audit", "anchor")),
)


@pytest.mark.parametrize(
    ("action", "words"), ASKED, ids=lambda one: one if isinstance(one, str) else " ".join(one)
)
def test_a_viewer_is_refused_what_the_table_refuses(
    office: Office, action: Action, words: tuple[str, ...]
) -> None:
    filled = [_fill(office, word.replace("{folder}", str(office.folder))) for word in words]
    allowed = Role.VIEWER in RULES[action].anywhere

    done = office.far(Role.VIEWER)(*filled, value="not-a-token-of-anything", status=0 if allowed else 3)

    assert allowed or "you may not do this" in done.stderr.splitlines()[-1]


def test_who_keeps_the_nights_going_may_not_say_where_a_value_is_sent(office: Office) -> None:
    before = office.near("item", "show", NAME).stdout

    done = office.far(Role.OPERATOR)(
        "item",
        "update",
        NAME,
        "--lead",
        "20d",
        "--set",
        "length=30",
        "--value-file",
        "-",
        value=SECRET,
        status=3,
    )

    assert Action.ITEM_REDIRECT in done.stderr
    assert office.near("item", "show", NAME).stdout == before


NEAR: tuple[tuple[str, ...], ...] = (
    ("init",),
    ("up",),
    ("serve",),
    ("demo",),
    ("backup", "x"),
    ("restore", "x"),
    ("migrate-to", "x"),
    ("keyring", "restrict", "x"),
    ("audit", "accept-row", "items", "x"),
    ("console", "open"),
    ("settings", "list"),
    ("settings", "check"),
    ("doctor",),
)
"""They make a vault, serve it, keep its files, look at what it stands on, or answer for it to whoever holds its
keyring.
"""
EVERYWHERE: tuple[tuple[str, ...], ...] = (
    ("node", "list"),
    ("node", "show"),
    ("rotator", "list"),
    ("rotator", "show"),
    ("principal", "roles"),
    ("help",),
)
"""They ask no vault."""
ALONE: tuple[tuple[str, ...], ...] = (("key", "jwks"), ("audit", "export"))
"""Commands that have a test of their own here, and stand in none of the tables."""


@pytest.mark.parametrize("words", NEAR, ids=" ".join)
def test_what_http_does_not_serve_says_where_it_works(office: Office, words: tuple[str, ...]) -> None:
    done = office.far()(*words, value="", status=2)

    assert not done.stdout
    assert "works on the vault's machine alone" in done.stderr
    assert len(done.stderr.splitlines()) == 1


COMMANDS = frozenset(walk_commands(build_command()))


def _command_of(words: tuple[str, ...]) -> tuple[str, ...]:
    return next(words[:length] for length in (2, 1) if words[:length] in COMMANDS)


def test_each_command_works_far_or_is_known_to_work_near_alone() -> None:
    """A new one belongs into one of the tables of this file, and so into the page."""
    far = {_command_of(words) for words in (*READS, *TWICE, *ALONE, *(words for _, words in ASKED))}
    near, everywhere = ({_command_of(words) for words in table} for table in (NEAR, EVERYWHERE))

    assert far | near | everywhere == COMMANDS
    assert not far & near
    assert not far & everywhere
    page = PAGE.read_text()
    table = "".join(line.split(" | ")[0] for line in page.splitlines() if line.startswith("| `"))
    assert _named_in(table) == far
    sentence = next(line for line in page.splitlines() if line.startswith("On the vault's machine alone:"))
    assert _named_in(sentence) == near


def _named_in(text: str) -> set[tuple[str, ...]]:
    """The commands of each noun with its verbs."""
    found = set[tuple[str, ...]]()
    for named in re.findall("`([^`]+)`", text):
        noun, _, verbs = named.partition(" ")
        found |= {(noun, verb) for verb in verbs.split("\\|")} if verbs else {(noun,)}
    return found


def test_the_record_of_a_period_is_taken_and_checked_alike(office: Office, tmp_path: Path) -> None:
    period = ("--from", "1d")
    near, far, key = tmp_path / "near.json", tmp_path / "far.json", tmp_path / "key.pem"
    office.near("audit", "export", str(near), *period, "--csv", str(tmp_path / "near.csv"))
    office.far()("audit", "export", str(far), *period, "--csv", str(tmp_path / "far.csv"))
    documents = [json.loads(file.read_text()) for file in (near, far)]
    assert documents[0]["rotations"] == documents[1]["rotations"] != []
    assert (tmp_path / "near.csv").read_text() == (tmp_path / "far.csv").read_text()
    assert near.stat().st_mode & 0o077 == 0
    key.write_text(office.near("audit", "key").stdout)
    nowhere = Nightkey(tmp_path / "nowhere")
    for file in (near, far):
        for checked in (office.near, office.far()):
            assert checked("audit", "verify", "--export", str(file)).stdout.startswith("whole, and signed by")
        nowhere("audit", "verify", "--export", str(file), "--key", str(key))
    far.write_text(far.read_text().replace(NAME, "prod-other-token"))
    for command, words in ((office.near, ()), (office.far(), ()), (nowhere, ("--key", str(key)))):
        told = command("audit", "verify", "--export", str(far), *words, status=1)
        assert "signature does not hold" in told.stderr
        assert not told.stdout
    assert "is there already" in office.near("audit", "export", str(near), *period, status=2).stderr
    assert "cannot be read" in office.near("audit", "verify", "--export", str(key) + "x", status=2).stderr
    cut = tmp_path / "cut.json"
    cut.write_text(near.read_text()[:-400])
    assert "ends in the middle" in office.near("audit", "verify", "--export", str(cut), status=2).stderr


def test_an_export_is_checked_by_openssl_alone(office: Office, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    office.near("audit", "export", str(tmp_path / "q.json"), "--from", "1d")
    (tmp_path / "key.pem").write_text(office.near("audit", "key").stdout)
    page = (PAGE.parent / "audit.md").read_text()
    recipe = page.split("```sh\n")[1].split("```")[0].replace("2026-q4.json", "q.json")
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", recipe], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout


def test_an_owner_lives_alike(office: Office) -> None:
    route = office.folder / "route.txt"
    route.write_text("json://user:s3cr3t-word@127.0.0.1:9/hook\n")
    said = []
    for command, name in ((office.near, "near-team"), (office.far(), "distant-team")):
        steps = [
            command("owner", "create", name, "--zone", "Europe/Zurich", "--deputy", "team"),
            command("owner", "route", name, "--route-file", str(route)),
            command("owner", "route", name, "--route", "json://user:word@127.0.0.1:9/", status=2),
            command("owner", "test", name, status=1),
            command("owner", "leave", name, status=2),
            command("owner", "leave", name, "--yes", "--to", "team"),
            command("owner", "show", name, "--json"),
            command("owner", "create", f"{name}-2", "--deputy", name),
            command("owner", "delete", name, status=3),
            command("owner", "rename", name, f"{name}-3"),
            command("owner", "delete", f"{name}-3", "--to", "team"),
            command("owner", "show", f"{name}-2"),
            command("owner", "delete", f"{name}-2", "--json"),
        ]
        assert f"team, deputy of {name}, has no route" in steps[0].stderr
        told = [one.stderr for one in steps]
        said.append(_plain(repr([one.stdout for one in steps] + told)).replace(name, "some-team"))

    assert said[1] == said[0]
    assert "s3cr3t-word" not in "".join(office.printed)


def test_a_principal_lives_alike_and_its_token_is_shown_once(office: Office) -> None:
    said = []
    for command, name in ((office.near, "near-bot"), (office.far(), "distant-bot")):
        steps = [
            command("principal", "create", name, "--role", "operator", "--kind", "person"),
            command("principal", "role", name, "--give", "owner", "--owner", "team", "--json"),
            command("principal", "token", name, "--lifetime", "30d", "--json"),
            command("principal", "revoke", name, "--token", f"api-key:{name}"),
            command("principal", "revoke", name),
        ]
        token = json.loads(steps[2].stdout)
        assert token["key"].startswith("wfk_")
        shown = [one.stdout if one is not steps[2] else sorted(token) for one in steps]
        said.append(_plain(repr(shown)).replace(name, "some-bot"))

    assert said[1] == said[0]


def test_a_token_made_from_far_away_lets_its_principal_in(office: Office) -> None:
    office.far()("principal", "create", "reader-bot", "--role", "viewer")
    token = json.loads(office.far()("principal", "token", "reader-bot", "--json").stdout)["key"]

    assert office.far(token=token)("item", "list").stdout == office.near("item", "list").stdout
    office.far()("principal", "revoke", "reader-bot")
    office.far(token=token)("item", "list", status=3)


def test_a_key_that_somebody_presents_is_judged_alike(office: Office) -> None:
    key = office.desk.tokens[Role.VIEWER]
    for value, status in ((key, 0), ("wfk_" + "a" * 40, 3)):
        near, far = (
            command("key", "check", "--value-file", "-", "--json", value=value, status=status).stdout
            for command in (office.near, office.far())
        )
        assert json.loads(far) == json.loads(near)


def test_a_key_set_that_there_is_not_is_refused_alike(office: Office) -> None:
    for command in (office.near, office.far()):
        command("key", "jwks", "nowhere", status=2)


def test_items_of_another_vault_come_in_from_far_away(office: Office) -> None:
    """More than one call holds, with what is left out by the file and by the vault."""
    number = ENTRIES_MAX + 2
    listed = [{"name": f"prod-arriving-{place:03}", "secret": "never-sent"} for place in range(number)]
    listed[0]["labels"] = "env=prod"
    file = office.folder / "arriving.json"
    file.write_text(json.dumps({"data": [*listed, {"name": "x"}, {"name": NAME}]}))

    dry = [
        command("item", "import", str(file), "--dry-run", "--json", status=1).stdout
        for command in (office.near, office.far())
    ]
    assert json.loads(dry[1]) == json.loads(dry[0])
    done = office.far()("item", "import", str(file), "--owner", "team", status=1)

    assert done.stdout.splitlines()[-1].startswith(f"{number} items came in, 1 there already, 1 left out")
    assert "never-sent" not in done.stdout
    names = {one["name"] for one in office.near.json("item", "list")}
    assert {one["name"] for one in listed} <= names
    assert office.far().json("item", "show", "prod-arriving-000")["labels"] == {"env": "prod"}


def test_a_night_is_begun_there_and_told_of(office: Office) -> None:
    begun = office.far()("night", "--json")
    slot = json.loads(begun.stdout)["slot"]

    assert slot in [one["slot"] for one in office.near.json("night", "list")]
    shown = office.far().json("night", "show", slot)
    assert [one["slot"] for one in shown["nights"]] == [slot]
    assert shown["nights"][0]["by_hand"] is True
    office.far()("night", "show", "1999-01-01", status=2)
    office.far()("night", "--json", "list", status=2)


def test_a_night_is_readable_at_80_columns(office: Office) -> None:
    for words in (("night", "show"), ("night", "list")):
        lines = office.near(*words).stdout.splitlines()
        assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("", "wfk_x", "NIGHTKEY_TOKEN is set without NIGHTKEY_URL"),
        ("https://vault.example.org", "", "NIGHTKEY_URL is set without NIGHTKEY_TOKEN"),
        ("http://vault.example.org", "wfk_x", "unencrypted"),
        ("http://127.0.0.1.example.org", "wfk_x", "unencrypted"),
        ("ftp://vault.example.org", "wfk_x", "write it as https://HOST"),
        ("vault.example.org", "wfk_x", "write it as https://HOST"),
        ("https://", "wfk_x", "write it as https://HOST"),
        ("https://user:word@vault.example.org", "wfk_x", "a login"),
        ("https://vault.example.org/?key=word", "wfk_x", "a query"),
        ("https://vault.example.org", "two words", "holds no token"),
    ],
)
@pytest.mark.parametrize("words", [("item", "list"), ("init",)], ids=" ".join)
def test_a_wrong_address_is_told(
    office: Office, url: str, token: str, said: str, words: tuple[str, ...]
) -> None:
    done = office.far(url=url, token=token)(*words, status=2)

    assert said in done.stderr
    assert "user:word" not in done.stderr
    assert "key=word" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_token_of_nobody_is_refused(office: Office) -> None:
    done = office.far(token="wfk_" + "a" * 40)("item", "list", status=3)

    assert "lets nobody in with the token of NIGHTKEY_TOKEN" in done.stderr


def test_a_name_is_one_part_of_the_path(office: Office) -> None:
    for name in ("..", "../audit", "a/b", "a?b=c", "%2e%2e", ""):
        office.far()("item", "show", name, status=2)


def test_neither_token_nor_value_was_ever_printed(office: Office) -> None:
    office.far()("item", "create", "x", "--owner", "team", "--value-file", "-", value=SECRET, status=2)
    printed = "".join(office.printed)

    assert SECRET not in printed
    assert not [role for role, token in office.desk.tokens.items() if token in printed]


def test_the_machines_own_command_line_says_that_it_needs_no_role(office: Office) -> None:
    listed = office.near("principal", "list").stdout.splitlines()[-1]

    assert f"whoever may read {office.near.home}/keyring/keyring.json needs no role" in listed
    assert "full rights" in " ".join(office.near("principal", "--help").stdout.split())
