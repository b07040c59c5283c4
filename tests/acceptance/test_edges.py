"""Odd and hostile input through the real entry point: one line, the exit status, and never "unexpected"."""

import ctypes
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.house import House

TRIGGER = {"id": "start", "type": "trigger", "data": {"componentId": "manual_trigger"}}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("edges"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTKEY_HOME", str(made.home))
        patch.setenv("HOME", str(made.folder))
        assert made("init") == 0
        assert made("owner", "create", "support") == 0
        value = made.folder / "value"
        value.write_text("a-value-of-theirs")
        create = ["item", "create", "prod-crm-password", "--owner", "support", "--value-file", str(value)]
        assert made(*create) == 0
        _write(made.folder / "sync.json", {"name": "sync", "nodes": [TRIGGER]})
        assert made("workflow", "apply", str(made.folder / "sync.json")) == 0
        yield made


def _write(file: Path, document: object) -> None:
    file.write_text(json.dumps(document))


FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda file: None,
    "folder": lambda file: file.mkdir(),
    "pipe": os.mkfifo,
    "zero": lambda file: file.symlink_to("/dev/zero"),
    "null": lambda file: file.symlink_to("/dev/null"),
    "latin": lambda file: file.write_bytes("Zoë".encode("latin-1")),
    "large": lambda file: file.write_bytes(b"x" * 200_000),
    "deep": lambda file: file.write_text("[" * 20_000),
    "nan": lambda file: file.write_text('{"settings": {"length": NaN}, "a": NaN}'),
    "infinite": lambda file: file.write_text('{"settings": {"length": 1e999}, "a": 1e999}'),
    "number": lambda file: file.write_text("9" * 10_000),
    "list": lambda file: file.write_text("[1, 2]"),
}
"""What stands where a file is expected."""

CREATE = ["item", "create", "prod-new-token", "--owner", "support"]
PLACES: dict[str, list[str]] = {
    "value": [*CREATE, "--value-file", "FILE"],
    "policy.json": [*CREATE, "--value-file", "VALUE", "--policy", "FILE"],
    "policy.toml": [*CREATE, "--value-file", "VALUE", "--policy", "FILE"],
    "workflow.json": ["workflow", "apply", "FILE"],
    "payload": ["workflow", "run", "sync", "--payload", "FILE"],
    "context": ["workflow", "test", "sync", "--context", "FILE"],
    "route": ["owner", "create", "new", "--route-file", "FILE"],
    "key": ["key", "check", "--value-file", "FILE"],
    "anchor": ["audit", "verify", "--anchor", "FILE"],
}
NO_TEXT = ("missing", "folder", "pipe", "zero", "null", "latin", "large")
NO_JSON = ("deep", "nan", "infinite", "number", "list")
WHERE = [
    *(("value", kind) for kind in NO_TEXT),
    *(("anchor", kind) for kind in (*NO_TEXT, "list")),
    *(
        (place, kind)
        for place in ("policy.json", "policy.toml", "workflow.json", "payload")
        for kind in NO_JSON
    ),
    *((place, "zero") for place in ("policy.toml", "workflow.json", "payload", "context", "route", "key")),
]
TAKEN = {("payload", "list")}
"""What is right: a payload may be a list."""


def one_line(capfd: pytest.CaptureFixture[str], status: int, expected: set[int]) -> str:
    out, err = capfd.readouterr()
    assert status in expected, f"{status}: {out}{err}"
    assert "unexpected" not in out + err
    assert "Traceback" not in out + err
    lines = [line for line in err.splitlines() if line.startswith("nightkey: ")]
    assert len(lines) == 1, err
    assert len(lines[0]) < 1100
    assert "Input should" not in err
    return lines[0]


@pytest.mark.parametrize(("place", "kind"), WHERE)
def test_whatever_stands_where_a_file_is_meant(
    house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str], place: str, kind: str
) -> None:
    file = tmp_path / place
    FILES[kind](file)
    stands_for = {"FILE": str(file), "VALUE": str(house.folder / "value")}
    status = house(*(stands_for.get(word, word) for word in PLACES[place]))
    if (place, kind) in TAKEN:
        assert status == 0
        assert capfd.readouterr().err == ""
        return
    said = one_line(capfd, status, {2})
    assert str(file) in said or "is empty" in said


WORDS: list[tuple[Sequence[str], int, str]] = [
    (["item", "show", "\udcff"], 2, r"argument 3 is not UTF-8 text: \xff"),
    (["item", "show", "x" * 100_000], 2, "no item 'xxx"),
    (["workflow", "show", "x" * 100_000], 2, "no workflow 'xxx"),
    (["owner", "show", "x" * 100_000], 2, "no owner 'xxx"),
    (["rotation", "show", "x" * 100_000], 2, "no rotation 'xxx"),
    (["owner", "create", "x" * 100_000], 2, "use 1 to 100"),
    (["owner", "create", "new\x1b[31m"], 2, "holds U+001B at position 4"),
    (["owner", "create", "new", "--zone", "../../etc/passwd"], 2, "is not a time zone"),
    (["owner", "create", "new", "--zone", "x" * 5000], 2, "is not a time zone"),
    (["owner", "create", "new", "--zone", "\u202e"], 2, "is not a time zone"),
    (["owner", "create", "new", "--quiet", "99:99-88:88"], 2, "are not quiet hours"),
    (["owner", "create", "new", "--route", "\u0000://x"], 2, ""),
    (["scan", "--at", "9999-99-99"], 2, "'9999-99-99' is not a time"),
    (["scan", "--at", "9999-12-31T23:59:59-05:00"], 2, "is not a time"),
    (["scan", "--at", "9000-01-01"], 2, "lies more than two hundred years ahead"),
    (["scan", "--at", "0001-01-01"], 2, "lies more than two hundred years back"),
    (["scan", "--at", "99999999999d"], 2, "is not a time"),
    (["scan", "--at", "9" * 100_000 + "d"], 2, "is not a time"),
    (["scan", "--dry-run", "--at", "\u0665d"], 2, "is not a time"),
    (["notice", "preview", "support", "--at", "0001-01-01"], 2, "two hundred years back"),
    (["notice", "template", "../../../etc/passwd"], 2, "no kind of message"),
    (["notice", "template", "x" * 5000], 2, "no kind of message"),
    (["notice", "show", "x"], 2, "no notice"),
    (["finding", "snooze", "fnd_x", "--until", "0001-01-01", "--why", "-"], 2, "two hundred years back"),
    (["rotation", "extend", "rot_x", "--until", "9999-12-31"], 2, "two hundred years ahead"),
    (["run", "report", "sync", "--status", "completed", "--started-at", "0001-01-01"], 2, "hundred years back"),
    (["run", "report", "sync", "--status", "x" * 5000], 2, ""),
    (["run", "report", "sync", "--status", "completed", "--id", "x" * 100_000], 2, ""),
    (["run", "report", "sync", "--status", "completed", "--used", "x" * 100_000], 2, "ITEM=VERSION"),
    (["run", "report", "sync", "--status", "completed", "--used", "prod-crm-password=\u0665"], 2, ""),
    (["item", "update", "prod-crm-password", "--lifetime", "99999999999d"], 2, "is not a duration"),
    (["item", "update", "prod-crm-password", "--lifetime", "\u0661d"], 2, "is not a duration"),
    (["item", "update", "prod-crm-password", "--lifetime", "99999d"], 2, "longer than a hundred years"),
    (["item", "update", "prod-crm-password", "--expires-at", "9999-12-31"], 2, "two hundred years ahead"),
    (["item", "update", "prod-crm-password", "--name", "prod\u202ex"], 2, "U+202E RIGHT-TO-LEFT OVERRIDE"),
    (["item", "update", "prod-crm-password", "--window", "* * * * * for 1h in " + "x" * 900], 2, "200 at most"),
    (["item", "update", "prod-crm-password", "--window", "x" * 100_000], 2, "window 'xxx"),
    (["item", "update", "prod-crm-password", "--set", "x" * 100_000], 2, "KEY=VALUE"),
    (["item", "update", "prod-crm-password", "--set", ".=1"], 2, "KEY=VALUE"),
    (["item", "update", "prod-crm-password", "--rotator", "x" * 100_000], 2, "no rotator 'xxx"),
    (["item", "update", "prod-crm-password", "--mode", "x" * 100_000], 2, "choose auto, approve or notify"),
    (["node", "show", "x" * 100_000], 2, "no component 'xxx"),
    (["calendar", "--output", "/dev/null/x"], 2, "cannot be written"),
    (["calendar", "--output", "/"], 2, "cannot be written"),
    (["pickup", "x" * 100_000], 2, "a token on the command line is seen by others"),
    (["pickup", "clm_x"], 2, "`nightkey pickup -` reads it from standard input"),
    (["pickup"], 2, "there is no terminal to ask for the token: `nightkey pickup -`"),
    (["serve", "--listen", "x" * 5000 + ":1"], 2, "--listen"),
    (["serve", "--listen", "127.0.0.1:99999"], 2, "--listen"),
    (["--home", "/dev/null/x", "status"], 2, "/dev/null/x"),
    (["--home", "/" + "x" * 5000, "status"], 2, "File name too long"),
    (["--home", "/dev/null/x", "init"], 2, "cannot be made"),
    (["--home", "~nobody-of-that-name", "status"], 2, "has no home folder"),
    (["--home", ".", "status"], 2, "nightkey.db holds no vault yet: run `nightkey init`"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "says"), WORDS, ids=[" ".join(words)[:60] for words, *_ in WORDS])
def test_whatever_is_written_on_the_command_line(
    house: House,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: Sequence[str],
    status: int,
    says: str,
) -> None:
    monkeypatch.setenv("NIGHTKEY_HOME", str(house.home))
    monkeypatch.chdir(house.folder)
    assert says in one_line(capfd, house(*words), {status})


POLICIES = [
    ("thresholds = [999999999999]", "thresholds of more than 36600 days"),
    ("thresholds = [1e300]", "thresholds is a list of whole days"),
    ("lifetime = 9e300", "is not a duration"),
    ("lead = nan", "is not a duration"),
    ("[settings]\nlength = inf", "settings.length is inf: write a number that is finite"),
    ("[settings]\nlength = 2026-01-01", "settings.length is a date: write it as text"),
    ("[settings]\nparts = [{at = 07:30:00}]", "settings.parts[0].at is a time: write it as text"),
    ("x = " + "9" * 5000, "a number that is too long"),
    ("settings.a" + ".a" * 500 + " = 1", "nested too deeply"),
    ('mode = "auto"\nrotator = "random"\nmode = "auto"', "Cannot overwrite a value"),
    ("canary = ''", ""),
]


@pytest.mark.parametrize(("text", "says"), POLICIES, ids=[text[:30] for text, _ in POLICIES])
def test_whatever_a_policy_says(
    house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    status = house("item", "update", "prod-crm-password", "--policy", str(file))
    assert says in one_line(capfd, status, {2})


DOCUMENTS: list[tuple[Any, str]] = [
    ({"name": "a\x00b", "nodes": [TRIGGER]}, "field name"),
    ({"name": "a\ud800b", "nodes": [TRIGGER]}, "field name"),
    ({"name": "a\u202eb", "nodes": [TRIGGER]}, "U+202E RIGHT-TO-LEFT OVERRIDE"),
    ({"name": "x", "nodes": [TRIGGER], "schedule_type": "interval", "schedule_value": "9" * 30}, "schedule_"),
    ({"name": "x", "nodes": [TRIGGER], "schedule_type": "cron", "schedule_value": "0 0 30 2 *"}, "schedule_"),
    ({"name": "x", "nodes": "x" * 1000}, "nodes"),
    ({"name": "Sync", "nodes": [TRIGGER]}, "looks like 'sync'"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "says"), DOCUMENTS, ids=[str(number) for number in range(len(DOCUMENTS))])
def test_whatever_a_workflow_says(
    house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str], document: Any, says: str
) -> None:
    _write(tmp_path / "w.json", document)
    status = house("workflow", "apply", "--strict", str(tmp_path / "w.json"))
    assert says in one_line(capfd, status, {2, 3})


VARIABLES = [
    ("NIGHTKEY_DATABASE_URL", "sqlite:////dev/null/x", "it is not a folder"),
    ("NIGHTKEY_DATABASE_URL", "sqlite:////dev/null", ""),
    ("NIGHTKEY_DATABASE_URL", "sqlite:////usr", "it is not a file"),
    ("NIGHTKEY_DATABASE_URL", "sqlite://", "holds no vault yet"),
    ("NIGHTKEY_DATABASE_URL", "postgresql+nothing://h/x", "driver"),
    ("NIGHTKEY_DATABASE_URL", "postgresql+psycopg://h:999999/x", ""),
    ("NIGHTKEY_DATABASE_URL", "postgresql+psycopg://h:port/x", "not one of ours"),
    ("NIGHTKEY_DATABASE_URL", "postgresql+psycopg://h/x?nonsense=1", ""),
    ("NIGHTKEY_KEYRING", "/dev/zero", "keyring /dev/zero"),
    ("NIGHTKEY_KEYRING", "/" + "x" * 5000, "keyring"),
    ("NIGHTKEY_FREEZES", "christmas", "from the variable NIGHTKEY_FREEZES"),
    ("NIGHTKEY_PAGE_SIZE", "\udcff", ""),
    ("NIGHTKEY_OPERATORS", "\udcff", ""),
]


@pytest.mark.parametrize(("variable", "given", "says"), VARIABLES)
def test_whatever_a_variable_says(
    house: House,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    given: str,
    says: str,
) -> None:
    monkeypatch.setenv(variable, given)
    assert says in one_line(capfd, house("status"), {1, 2})


def test_a_variable_that_is_no_setting_is_told_once_beside_the_answer(
    house: House, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTKEY_WARNED", "")  # what the command sets is taken back
    monkeypatch.setenv("NIGHTKEY_OPERATER", "us")
    capfd.readouterr()
    assert house("owner", "list", "--json") == 0
    out, err = capfd.readouterr()
    meant = "did you mean NIGHTKEY_OPERATORS?"
    warned = f"nightkey: warning: variable NIGHTKEY_OPERATER is not a setting: {meant}\n"
    assert err == warned
    assert json.loads(out)


# What needs a process of its own


def run(
    house: House, *words: str, stdout: int = subprocess.PIPE, code: str | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    environment = {"NIGHTKEY_HOME": str(house.home), "HOME": str(house.folder), "PATH": os.environ["PATH"]}
    command = ["-m", "worker.cli.main"] if code is None else ["-c", code]
    return subprocess.run(
        [sys.executable, *command, *words],
        env=environment | options.pop("env", {}),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def drop_capabilities() -> None:
    """Root becomes a user like others, who may not write everywhere; for anybody else it does nothing."""
    prctl = ctypes.CDLL(None).prctl
    for capability in range(64):
        prctl(24, capability, 0, 0, 0)


def test_an_answer_that_cannot_be_written_is_a_failure(house: House) -> None:
    for words in (["owner", "list", "--json"], ["--help"]):
        with Path("/dev/full").open("w") as full:
            done = run(house, *words, stdout=full.fileno())
        assert done.returncode == 1, words
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith("nightkey: no space is left for ")


def test_nothing_is_written_into_a_file_that_took_the_place_of_a_closed_stream(house: House) -> None:
    before = (house.home / "nightkey.db").read_bytes()[:16]
    closed = "import os, sys\nfor n in (0, 1, 2): os.close(n)\nfrom worker.cli.main import main\nmain()"
    assert run(house, "item", "show", "nothing-of-that-name", code=closed).returncode == 2
    assert (house.home / "nightkey.db").read_bytes()[:16] == before


def test_a_terminal_without_unicode_ends_no_command(house: House) -> None:
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    assert house("owner", "create", "Zoë 日本") == 0
    done = run(house, "owner", "list", env=env)
    assert done.returncode == 0, done.stderr
    assert "Zo\\xeb \\u65e5\\u672c" in done.stdout
    answered = run(house, "owner", "show", "Zoë 日本", "--json", env=env)
    assert json.loads(answered.stdout)["name"] == "Zoë 日本"


def test_a_user_without_a_name_is_told_what_to_give(house: House) -> None:
    nameless = (
        "import os, sys\nimport worker.bootstrap\nfrom worker.cli.main import main\n"
        "os.environ.pop('HOME'); os.environ.pop('NIGHTKEY_HOME')\nos.setuid(12345)\nmain()"
    )
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    done = run(house, "status", code=nameless)
    assert done.returncode == 2
    assert done.stderr == (
        "nightkey: user 12345 has no home folder for ~/.nightkey: "
        "name the data folder by --home or NIGHTKEY_HOME, as a whole path\n"
    )


@pytest.mark.parametrize(
    ("narrow", "says"),
    [
        (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)), "the disk of the database"),
        (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)), "too many files are open"),
    ],
    ids=["file size", "open files"],
)
def test_a_process_that_may_not_write_or_open_more_says_so(
    house: House, narrow: Callable[[], None], says: str
) -> None:
    done = run(house, "owner", "create", "limited", preexec_fn=narrow)
    assert done.returncode in (1, 2), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("nightkey: ")
    assert "unexpected" not in done.stderr
    assert says in done.stderr


def test_memory_that_is_not_there_is_told(house: House, tmp_path: Path) -> None:
    """The limit is set when everything is imported: what a library does without memory is not ours to say."""
    for number in range(200):
        (tmp_path / f"{number}.json").write_text("[" + "1," * 30_000 + "1]")
    tight = (
        "import resource, sys, re\nimport worker.bootstrap\nfrom worker.cli.main import main\n"
        "size = int(re.search(r'VmSize:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + 3_000_000, size + 3_000_000))\nmain()"
    )
    done = run(house, "workflow", "apply", str(tmp_path), code=tight)
    wherever = f"(this command|{re.escape(str(tmp_path))})"  # it ran out
    wanted = rf"nightkey: there is not enough memory for {wherever}: allow this process more \(ulimit -v\)\n"
    assert re.fullmatch(wanted, done.stderr), done.stderr
    assert done.returncode == 1


def test_a_folder_that_may_not_be_written_is_told(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    env = {"NIGHTKEY_HOME": str(home)}
    monkeypatch.setenv("NIGHTKEY_HOME", str(home))
    assert house("init") == 0
    for left in home.glob("nightkey.db-*"):
        left.unlink()
    home.chmod(0o500)
    (home / "nightkey.db").chmod(0o400)
    done = run(house, "owner", "create", "new", env=env, preexec_fn=drop_capabilities)
    assert done.returncode in (1, 2), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert f"the database {home / 'nightkey.db'} cannot be" in done.stderr
    home.chmod(0o000)
    done = run(house, "status", env=env, preexec_fn=drop_capabilities)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "unexpected" not in done.stderr
    home.chmod(0o700)
