"""Who may change what Nightkey goes by: looked at by each command when it starts."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.forged import OURS
from worker.app import make_app
from worker.bootstrap import Services
from worker.broker.queues import QUEUES
from worker.config import load_settings
from worker.domain.lines import Line
from worker.installation import initialise
from worker.supervision.bells import Bells

NOBODY = 65534
PICKLED = b"cbuiltins\nprint\n(S'unpickled'\ntR."
COMMANDS = (
    ("init",),
    ("status",),
    ("item", "list"),
    ("night",),
    ("up",),
    ("up", "--only", "beat"),
    ("serve",),
    ("backup", "/nowhere/vault.backup"),
    ("restore", "/nowhere/vault.backup", "--replace"),
    ("audit", "verify"),
)
FOLDERS = ("", "broker", "broker/messages", "broker/aside", "templates")
FILES = (
    "nightkey.toml",
    "nightkey.db",
    "nightkey.db-wal",
    "nightkey.db-shm",
    "audit-anchors.jsonl",
    "vault.lock",
    "up.lock",
    "templates/digest.md",
)


Said = Callable[..., str]
"""A command in this process, with the status that it is to end with: what it says on standard error."""


@pytest.fixture
def tmp_path(reachable: Path) -> Path:
    return reachable


@pytest.fixture
def home(tmp_path: Path, new_vault: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In which everything is there."""
    made = House(tmp_path)
    monkeypatch.setenv("NIGHTKEY_HOME", str(made.home))
    shutil.copytree(new_vault, made.home)
    for folder in FOLDERS:
        (made.home / folder).mkdir(mode=0o700, exist_ok=True)
    for file in FILES:
        (made.home / file).touch(mode=0o600)
    return made.home


@pytest.fixture
def say(tmp_path: Path, home: Path, capfd: pytest.CaptureFixture[str]) -> Said:
    capfd.readouterr()

    def run(*words: str, status: int) -> str:
        assert House(tmp_path)(*words) == status
        return capfd.readouterr().err

    return run


def give_to_all(path: Path) -> str:
    path.chmod(path.stat().st_mode | 0o002)
    return f"chmod go-w {path}"


def give_to_its_group(path: Path) -> str:
    path.chmod(path.stat().st_mode | 0o020)
    return f"chmod go-w {path}"


def give_away(path: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, NOBODY, NOBODY)
    return f"chown 0 {path}"


@pytest.mark.parametrize("change", [give_to_all, give_to_its_group, give_away])
def test_what_others_may_change_is_refused_and_what_mends_it_is_said(
    home: Path, say: Said, change: Callable[[Path], str]
) -> None:
    home.chmod(0o755)
    for name in (*FOLDERS, *FILES):
        path = home / name
        path.parent.chmod(path.parent.stat().st_mode | 0o011)
        if name in FILES:
            path.touch(mode=0o600)  # SQLite's go when it is closed
        before = path.stat()
        mends = change(path)
        said = say("status", status=2)
        assert f" {path}: it " in said
        assert said.endswith(f"{mends}\n")
        assert said.count("\n") == 1
        os.chown(path, before.st_uid, before.st_gid)
        path.chmod(before.st_mode & 0o7777)
    assert say("status", status=1) == ""


def test_a_umask_that_lets_the_group_write_refuses_nobody_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Home, templates and settings were made before, and the group may write them."""
    made = House(tmp_path)
    monkeypatch.setenv("NIGHTKEY_HOME", str(made.home))
    before = os.umask(0o002)
    try:
        (made.home / "templates").mkdir(parents=True)
        (made.home / "templates" / "digest.md").write_text("{{ subject }}")
        (made.home / "nightkey.toml").write_text('operators = "people"\n')
        assert made("init") == 2
        assert f"chmod go-w {made.home}\n" in capfd.readouterr().err
        tmp_path.chmod(0o700)
        assert made("init") == 0
        assert made("status") == 1
    finally:
        os.umask(before)
    assert made.home.stat().st_mode & 0o777 == 0o775


@pytest.mark.parametrize("name", ["broker", "broker/messages", "broker/aside"])
def test_no_part_of_the_broker_lies_elsewhere(home: Path, say: Said, tmp_path: Path, name: str) -> None:
    (home / name).rename(tmp_path / "elsewhere")
    (home / name).symlink_to(tmp_path / "elsewhere")
    assert f"the broker's folder {home / name}: it is a link" in say("status", status=2)


def test_each_command_looks_first(home: Path, say: Said) -> None:
    home.chmod(0o777)
    for words in COMMANDS:
        said = say(*words, status=2)
        assert said.startswith(f"nightkey: the data folder {home}: it has mode 0777"), words
        assert said.count("\n") == 1


def test_an_existing_folder_that_others_may_write_to_becomes_no_vault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    made = House(tmp_path)
    made.home.mkdir()
    made.home.chmod(0o777)
    monkeypatch.setenv("NIGHTKEY_HOME", str(made.home))
    assert made("init") == 2
    assert f"chmod go-w {made.home}" in capfd.readouterr().err
    assert list(made.home.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_settings_of_another_owner_are_not_obeyed(home: Path, say: Said) -> None:
    file = home / "nightkey.toml"
    file.write_text('database_url = "sqlite:////tmp/of-somebody.db"\n')
    os.chown(file, NOBODY, NOBODY)
    assert say("status", status=2) == (
        f"nightkey: the settings {file}: it belongs to user {NOBODY}, and this process runs as 0: look at what "
        f"is in it, then run as that user, or chown 0 {file}\n"
    )


def test_the_log_of_the_database_takes_its_mode_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the umask is: `init` makes the database before SQLite does."""
    monkeypatch.setenv("NIGHTKEY_HOME", str(tmp_path / "home"))
    before = os.umask(0)
    try:
        settings = load_settings()
        initialise(settings)
        services = Services(settings)
        with services.database.write():
            modes = {path.name: path.stat().st_mode & 0o777 for path in settings.home.glob("nightkey.*")}
        services.close()
    finally:
        os.umask(before)
    assert set(modes) == {"nightkey.db", "nightkey.db-wal", "nightkey.db-shm", "nightkey.toml"}
    assert set(modes.values()) == {0o600}


def test_root_s_configuration_may_be_read_only_and_a_link(home: Path, say: Said, tmp_path: Path) -> None:
    """As a service's package, or a mount of Kubernetes, has it."""
    etc = tmp_path / "etc"
    (etc / "..data").mkdir(parents=True)
    (etc / "..data" / "nightkey.toml").write_text(f'templates = "{etc}/templates"\n')
    (etc / "..data" / "nightkey.toml").chmod(0o444)
    (etc / "templates").mkdir(mode=0o755)
    (home / "nightkey.toml").unlink()
    (home / "nightkey.toml").symlink_to(etc / "..data" / "nightkey.toml")
    assert say("status", status=1) == ""
    (etc / "templates").chmod(0o777)
    assert "the folder of templates" in say("status", status=2)


def test_a_database_elsewhere_lies_in_a_folder_of_its_own(
    home: Path, say: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    monkeypatch.setenv("NIGHTKEY_DATABASE_URL", f"sqlite:///{tmp_path}/link.db")
    with closing(sqlite3.connect(home / "nightkey.db")) as here:  # whole, though its log was not written back
        here.execute("VACUUM INTO ?", (str(tmp_path / "elsewhere" / "a.db"),))
    (tmp_path / "elsewhere" / "a.db").chmod(0o600)
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere" / "a.db")
    assert say("status", status=1) == ""
    (tmp_path / "elsewhere" / "a.db-wal").touch()
    (tmp_path / "elsewhere" / "a.db-wal").chmod(0o666)
    assert say("status", status=1) == ""
    (tmp_path / "elsewhere" / "a.db-wal").touch()  # gone when SQLite closed it
    (tmp_path / "elsewhere" / "a.db-wal").chmod(0o666)
    (tmp_path / "elsewhere").chmod(0o711)
    assert f"the database {tmp_path}/elsewhere/a.db-wal: it has mode 0666" in say("status", status=2)
    (tmp_path / "elsewhere").chmod(0o777)
    assert f"the database's folder {tmp_path}/elsewhere: it has mode 0777" in say("status", status=2)


def test_a_mount_that_belongs_to_a_trusted_group_is_taken(
    home: Path, say: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() == 0:
        os.chown(home, -1, 2000)
    home.chmod(0o2770)
    assert "chmod go-w" in say("status", status=2)
    monkeypatch.setenv("NIGHTKEY_TRUSTED_GROUP", str(home.stat().st_gid))
    assert say("status", status=1) == ""


@pytest.mark.parametrize(
    "line",
    [
        'broker_url = "amqp://nightkey:a-password@mq//"',
        'outbound_proxy = "http://nightkey:a-password@proxy.example:3128"',
    ],
)
def test_a_password_that_everybody_may_read_is_said(home: Path, say: Said, line: str) -> None:
    file = home / "nightkey.toml"
    file.write_text(f"{line}\n")
    file.chmod(0o644)
    said = say("status", status=1)
    assert said.startswith(
        f"nightkey: warning: the settings {file} hold a password, and everybody may read them"
    )
    assert said.endswith(f"chmod o-r {file}\n")
    os.environ.pop("NIGHTKEY_WARNED")
    file.chmod(0o640)
    assert say("status", status=1) == ""


def test_nothing_is_unpickled(home: Path) -> None:
    """A schedule that somebody planted is not looked at, and no message that is not sealed is taken."""
    planted = home / "broker" / "beat-schedule"
    planted.write_bytes(PICKLED)
    loaded: list[str] = []
    sys.addaudithook(lambda event, _: loaded.append(event) if event == "pickle.find_class" else None)
    app = make_app(load_settings(home), OURS.seals())
    bells = Bells(app=app)
    bells.tick()
    with app.connection() as connection, connection.channel() as channel:
        channel._get(QUEUES[Line.NIGHT])
    assert app.conf.accept_content == ["json"]
    assert planted.read_bytes() == PICKLED
    assert loaded == []
