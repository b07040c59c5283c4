"""A key whose answer is lost on its way, by real processes: it waits to be collected again."""

import os
import pty
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.acceptance.conftest import Nightkey
from tests.forking import Forked, start_command
from tests.services.staging import make_services
from tests.stepping import advance
from vaultcore.secret import Secret
from vaultcore.tables import audit
from worker.bootstrap import Services, utc_now
from worker.cli.session import who
from worker.domain.policies import build_policy
from worker.domain.saga import State
from worker.rows.rotations import get_rotation
from worker.rows.tables import pickups
from worker.services.notices.pickup_token import pickup_token

KEY, NEW = "api-key:partner", "api-key:another"
CREATE = ("item", "create", NEW, "--owner", "support")
WFK = re.compile(r"wfk_\w{49}")
TOKEN = re.compile(r"`nightkey pickup` shows .*?, with the token (clm_\w+)")
POLICY = {"mode": "auto", "rotator": "workflow-api-key", "lifetime": "90d", "overlap": "0s"}
_SECONDS_MAX = 120


@dataclass
class Desk:
    """A vault whose key was replaced, and the command line on it. The new one waits to be collected."""

    nightkey: Nightkey
    services: Services
    old: str
    token: str
    rotation_id: str

    def start(self, *words: str, stdout: int, sent: str = "") -> Forked:
        with stdin_of(sent) as stdin:
            return Forked(words, stdin=stdin, stdout=stdout, environment=self.nightkey.environment)

    def run(self, *words: str | bytes, stdout: Any, status: int, sent: str = "") -> str:
        """What a new process said on standard error, to the last thing that an interpreter does."""
        with stdin_of(sent) as stdin:
            process = subprocess.run(
                [sys.executable, "-m", "worker.cli.main", *words],
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                env=self.nightkey.environment,
                timeout=_SECONDS_MAX,
                check=False,
            )
        said = process.stderr.decode()
        assert process.returncode == status, said
        assert "Traceback" not in said
        assert "unexpected" not in said
        assert "Exception ignored" not in said
        return said

    def collect(self, token: str = "") -> str:
        return str(self.nightkey.json("pickup", "-", value=token or self.token)["key"])

    def opens(self, key: str) -> bool:
        """Whether it does, without being used."""
        with self.services.database.read() as connection:
            return self.services.presented_keys.check_key(connection, Secret(key)) is not None

    def arrived(self) -> list[bool]:
        """Of each pickup, whether it counts as collected."""
        with self.services.database.read() as connection:
            return [row is not None for row in connection.execute(select(pickups.c.arrived_at)).scalars()]

    def count(self, action: str) -> int:
        with self.services.database.read() as connection:
            return connection.execute(select(func.count()).where(audit.c.action == action)).scalar_one()

    def look(self) -> State:
        """Where the rotation stands after another look at it."""
        advance(self.services, self.rotation_id)
        with self.services.database.read() as connection:
            return get_rotation(connection, self.rotation_id).state


@pytest.fixture
def desk(tmp_path: Path, new_vault: Path) -> Iterator[Desk]:
    shutil.copytree(new_vault, tmp_path / "home")
    services = make_services(tmp_path / "home", "", utc_now)
    with services.database.write() as connection:
        owner = services.owners.create(connection, "support", actor="test")
        created = services.vault.create(
            connection,
            name=KEY,
            value=None,
            owner_ids=(owner.id,),
            policy=build_policy(None, POLICY),
            actor="test",
        )
    assert created.key is not None
    opened = services.rotation.opening.request(KEY, asked_by="test")
    services.night.inline_night.run_rotation(opened.id, lambda _: None)
    with services.database.read() as connection:
        pickup_id = connection.execute(select(pickups.c.id)).scalar_one()
    token = pickup_token(services.keyring, pickup_id)
    yield Desk(Nightkey(tmp_path / "home"), services, created.key.expose(), token, opened.id)
    services.close()


@contextmanager
def stdin_of(text: str) -> Iterator[int]:
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    yield reader
    os.close(reader)


@contextmanager
def full_disk() -> Iterator[int]:
    number = os.open("/dev/full", os.O_WRONLY)
    yield number
    os.close(number)


@contextmanager
def pipe_without_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def terminal_that_hung_up() -> Iterator[int]:
    ours, theirs = pty.openpty()
    os.close(ours)
    yield theirs
    os.close(theirs)


@contextmanager
def stuffed_pipe() -> Iterator[tuple[int, int]]:
    """Reader and writer of one that takes nothing more: who writes to it waits."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"." * 65536)
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (full_disk, "No space left on device"),
        (pipe_without_reader, "Broken pipe"),
        (terminal_that_hung_up, "Input/output error"),
    ],
)
def test_a_key_that_was_not_written_is_not_collected(desk: Desk, lost: Callable[[], Any], reason: str) -> None:
    with lost() as stdout:
        said = desk.run("pickup", "-", "--json", stdout=stdout, status=1, sent=desk.token)
    why = f"the key was not written ({reason}), and still waits for you"
    assert said == f"nightkey: {why}: the same command shows it again\n"
    assert desk.arrived() == [False]
    assert desk.look() is State.WATCHING
    assert desk.opens(desk.old)
    again = desk.services.rotation.pickups.collect(desk.token, actor=who(), show=lambda _: None)
    assert desk.opens(again.key.expose())
    assert desk.arrived() == [True]


def test_a_key_is_not_touched_while_standard_output_is_closed(desk: Desk) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "worker.cli.main"]
    for words in (["pickup", "-"], [*CREATE]):
        done = subprocess.run(
            [*closed, *words],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=desk.nightkey.environment,
            timeout=_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == 1
        assert done.stderr == b"nightkey: standard output is closed: there is nowhere to show a key\n"
    with desk.services.database.read() as connection:
        assert connection.execute(select(pickups.c.taken_at, pickups.c.arrived_at)).all() == [(None, None)]
    assert desk.count("item.create") == 1


def test_a_pipe_that_nobody_reads_loses_no_key(desk: Desk, tmp_path: Path) -> None:
    """A pipe takes it all the same: so it is kept until it is used, and the old one with it."""
    reader, writer = os.pipe()
    assert desk.start("pickup", "-", stdout=writer, sent=desk.token).end() == 0
    os.close(writer)
    os.close(reader)
    assert desk.arrived() == [True]
    assert desk.look() is State.WATCHING, "the overlap is over, and nobody has used the new key"
    assert desk.opens(desk.old)
    with (tmp_path / "key.txt").open("w") as file:
        assert desk.start("pickup", "-", stdout=file.fileno(), sent=desk.token + "\n").end() == 0
    key = (tmp_path / "key.txt").read_text().strip()
    assert desk.nightkey.json("key", "check", "--value-file", str(tmp_path / "key.txt"))["version"] == 2
    assert desk.look() is State.RETIRING
    assert desk.look() is State.DONE
    assert (desk.opens(desk.old), desk.opens(key)) == (False, True)
    refused = desk.nightkey("pickup", "-", value=desk.token, status=3).stderr
    assert "was collected already, at " in refused
    assert len(refused.splitlines()) == 1


def test_a_kill_between_the_answer_and_its_mark_leaves_it_to_be_collected(desk: Desk, tmp_path: Path) -> None:
    with stuffed_pipe() as (reader, writer):
        before = _begin(desk, writer)  # it was audited, and waits to be written
        before.send_signal(signal.SIGINT)
        assert before.end() != 0
        process = _begin(desk, writer)
        with closing(
            sqlite3.connect(tmp_path / "home" / "nightkey.db", timeout=60, isolation_level=None)
        ) as held:
            held.execute("BEGIN IMMEDIATE")  # so that it cannot note what it has written
            key = _read_key(reader)
            process.send_signal(signal.SIGKILL)
            assert process.end() == -signal.SIGKILL
            held.execute("ROLLBACK")
    assert desk.arrived() == [False]
    assert desk.look() is State.WATCHING
    assert desk.opens(desk.old)
    assert desk.collect() == key


def _begin(desk: Desk, writer: int) -> Forked:
    """A process that has revealed the key, and waits for somebody to read it."""
    shown = desk.count("version.reveal")
    process = desk.start("pickup", "-", stdout=writer, sent=desk.token)
    _wait_until(lambda: desk.count("version.reveal") > shown)
    return process


def _read_key(reader: int) -> str:
    text = ""
    while (found := WFK.search(text)) is None:
        text = text[-100:] + os.read(reader, 65536).decode()
    return found[0]


def _wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + _SECONDS_MAX
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_the_first_key_of_an_item_is_never_lost(desk: Desk) -> None:
    with full_disk() as stdout:
        said = desk.run(*CREATE, stdout=stdout, status=1)
    first, last = said.splitlines()
    token = TOKEN.findall(first)[0]
    assert last == (
        f"nightkey: {NEW} is there, and its key was not written (No space left on device): "
        f"`nightkey pickup` shows it, with the token {token}"
    )
    key = desk.collect(token)
    assert desk.opens(key)
    assert (
        f"`nightkey pickup` shows its key again, with the token {token}"
        in desk.nightkey(*CREATE, status=3).stderr
    )


def test_a_kill_before_anything_of_a_new_key_was_said_loses_nothing(desk: Desk, tmp_path: Path) -> None:
    with stuffed_pipe() as (_, writer):
        with Path(os.devnull).open() as nothing:
            process = start_command(
                CREATE,
                [nothing.fileno(), writer, writer],
                environment=desk.nightkey.environment,
                folder=str(tmp_path),
            )
        _wait_until(lambda: desk.count("item.create") > 1)
        process.kill()
        process.join(_SECONDS_MAX)
    (token,) = TOKEN.findall(desk.nightkey(*CREATE, status=3).stderr)
    assert desk.opens(desk.collect(token))


def test_somebody_else_is_refused_with_who_has_it(desk: Desk) -> None:
    desk.services.rotation.pickups.collect(desk.token, actor="user:somebody", show=lambda _: None)
    said = desk.nightkey("pickup", "-", value=desk.token, status=3).stderr
    assert re.fullmatch(
        rf"nightkey: the key of {KEY} was collected already, at [-\d]+ [:\d]+ UTC by user:somebody: "
        rf"if that should not have been, `nightkey item rotate {KEY} --compromised` replaces it\n",
        said,
    )


def test_what_is_no_text_is_no_token(desk: Desk) -> None:
    said = desk.run("pickup", b"\xff\xfe\xc0", stdout=subprocess.DEVNULL, status=2)
    assert said == "nightkey: argument 2 is not UTF-8 text: \\xff\\xfe\\xc0: write it in UTF-8\n"


def test_a_token_on_the_command_line_is_refused_and_stays_good(desk: Desk) -> None:
    said = desk.nightkey("pickup", desk.token, status=2).stderr
    assert "is seen by others on this machine" in said
    assert "`nightkey pickup` asks for it, and `nightkey pickup -` reads it from standard input" in said
    assert desk.token not in said
    assert desk.opens(desk.collect())


def test_a_token_is_typed_unseen_and_stands_in_no_command_line(desk: Desk, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "key.txt").open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker.cli.main", "pickup"],
            stdin=theirs,
            stdout=file,
            stderr=theirs,
            start_new_session=True,  # so that it asks there, and not at the terminal of who runs the tests
            env=desk.nightkey.environment,
        )
    shown = b""
    while b"token: " not in shown:
        shown += os.read(ours, 1000)
    command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    os.write(ours, desk.token.encode() + b"\n")
    assert process.wait(_SECONDS_MAX) == 0
    shown += os.read(ours, 10_000)
    os.close(theirs)
    os.close(ours)
    assert command.split(b"\0")[-2] == b"pickup"
    assert b"this command shows it again to you" in shown
    assert desk.token.encode() not in shown, "it is not echoed"
    assert desk.opens((tmp_path / "key.txt").read_text().strip())


def test_any_other_answer_that_is_lost_is_no_success(desk: Desk) -> None:
    with full_disk() as stdout:
        for words in (["item", "list"], ["item", "show", KEY, "--json"]):
            said = desk.run(*words, stdout=stdout, status=1)
            assert said.startswith("nightkey: no space is left for standard output")
            assert said.count("\n") == 1
