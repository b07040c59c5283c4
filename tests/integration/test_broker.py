"""The embedded broker: a message is there whole or not at all, and what is none ends nobody."""

import json
import os
import subprocess
import sys
import threading
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from queue import Empty

import pytest
from celery import Celery
from kombu.connection import Connection

from tests.forged import OURS, ROTATION, genuine, put, write
from vaultcore.errors import ConfigurationError
from worker.app import make_app
from worker.broker import aside_folder
from worker.broker.aside import ENTRIES_MAX, KEPT_MAX, aside_at
from worker.broker.files import FilesChannel
from worker.broker.queues import FORMER, QUEUES
from worker.config import load_settings
from worker.domain.lines import Line
from worker.domain.messages import MessageFault
from worker.domain.parcels import Parcel, read_parcel

QUEUE = QUEUES[Line.NIGHT]
MESSAGES = 400
OTHER_USER = """
import os, sys
os.setuid(65534)
open(sys.argv[1])
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def app(home: Path) -> Celery:
    return make_app(load_settings(home), OURS.seals())


@pytest.fixture
def connection(app: Celery) -> Connection:
    """As a worker makes it."""
    return app.connection()


@pytest.fixture
def messages(home: Path, app: Celery) -> Path:
    return home / "broker" / "messages"


def aside(home: Path) -> list[Path]:
    return sorted(aside_folder(home).iterdir())


def take_all(channel: FilesChannel) -> list[str]:
    """The tasks that are rung, until nothing is there."""
    found = []
    with suppress(Empty):
        while True:
            found.append(channel._get(QUEUE)["headers"]["task"])
    return found


def test_the_embedded_broker_is_ours(connection: Connection) -> None:
    with connection, connection.channel() as channel:
        assert isinstance(channel, FilesChannel)


def test_what_celery_sends_lies_there_sealed_and_nothing_beside_it(messages: Path, app: Celery) -> None:
    app.send_task("nightkey.rotate", args=[ROTATION])
    (file,) = messages.iterdir()
    sent = json.loads(file.read_bytes())
    ours = genuine("nightkey.rotate", ROTATION)
    assert sent.keys() == ours.keys()
    assert sent["headers"] == {}
    assert sent["properties"].keys() == ours["properties"].keys()
    assert (sent["content-type"], sent["content-encoding"]) == (ours["content-type"], ours["content-encoding"])
    read = read_parcel(file.read_bytes())
    assert isinstance(read, Parcel)
    for shown in (ROTATION, ROTATION[4:], "rotate", "task", "celery"):
        assert shown.encode() not in file.read_bytes() + read.sealed
    assert len(read.sealed) == len(OURS.seals().seal("nightkey.night", ()))
    assert file.stat().st_mode & 0o777 == 0o600
    with app.connection() as connection, connection.channel() as channel:
        taken = channel._get(QUEUES[Line.TARGETS])
    assert taken["headers"]["task"] == "nightkey.rotate"
    assert json.loads(b64decode(taken["body"]))[0] == [ROTATION]


def test_a_reader_beside_a_writer_reads_every_message_whole_and_once(app: Celery) -> None:
    ids = [f"rot_{number:026d}" for number in range(MESSAGES)]
    read: list[str] = []
    with app.connection() as other, other.channel() as reading:

        def send() -> None:
            for rotation_id in ids:
                app.send_task("nightkey.rotate", args=[rotation_id])

        writer = threading.Thread(target=send)
        writer.start()
        while True:
            was_over = not writer.is_alive()  # before the look: it may write, and end, during one
            try:
                taken = reading._get(QUEUES[Line.TARGETS])
            except Empty:
                if was_over:
                    break
                continue
            read.append(json.loads(b64decode(taken["body"]))[0][0])
        writer.join()
    assert sorted(read) == ids


def test_whatever_lies_there_is_moved_aside_unopened_and_counted(
    home: Path, messages: Path, app: Celery
) -> None:
    """What is put there is more than is kept: so it comes in parts, and somebody has looked meanwhile."""
    with app.connection() as connection, connection.channel() as channel, put(messages, QUEUE) as forged:
        assert len(forged) > 100
        names = list(forged)
        held = home / "held"
        held.mkdir()
        for name in names:
            (messages / name).rename(held / name)
        for name in names:
            (held / name).rename(messages / name)
            app.send_task("nightkey.resume")
            assert take_all(channel) == ["nightkey.resume"]
            (kept,) = [*aside(home)] or [None]
            counts = aside_at(aside_folder(home)).take_counts()
            assert counts == {forged[name]: 1}, name
            if kept is not None:
                assert kept.name.endswith(f"_{forged[name].value}")
                kept.rename(held / f"seen-{name}"[:200])
        assert list(messages.iterdir()) == []


def test_a_pipe_is_never_opened(messages: Path, connection: Connection, home: Path) -> None:
    os.mkfifo(messages / f"1.{QUEUE}.msg")
    with connection, connection.channel() as channel, pytest.raises(Empty):
        channel._get(QUEUE)
    (kept,) = aside(home)
    with pytest.raises(OSError, match="No such device"):  # nobody has it open to read
        os.open(kept, os.O_WRONLY | os.O_NONBLOCK)


def test_what_is_kept_has_its_bounds_and_a_folder_is_never_deleted(
    messages: Path, connection: Connection, home: Path
) -> None:
    for number in range(ENTRIES_MAX + 20):
        write(messages / f"{number:04d}.{QUEUE}.msg", b"x" * 100)
    (messages / f"9998.{QUEUE}.msg").mkdir()
    write(messages / f"9998.{QUEUE}.msg" / "precious", b"y")
    write(messages / f"9999.{QUEUE}.msg", b"x" * (KEPT_MAX + 1))
    with connection, connection.channel() as channel:
        for _ in range(3):
            with pytest.raises(Empty):
                channel._get(QUEUE)
        assert channel._size(QUEUE) == 0, "nobody is missed for not taking it"
        channel._put(QUEUE, genuine())
        assert channel._get(QUEUE)["headers"]["task"] == "nightkey.resume"
    assert len(aside(home)) == ENTRIES_MAX
    assert [path.name for path in messages.rglob("*")] == [f"9998.{QUEUE}.msg", "precious"]
    counts = aside_at(aside_folder(home)).take_counts()
    assert counts == {
        MessageFault.NO_JSON: ENTRIES_MAX + 20,
        MessageFault.NO_FILE: 1,
        MessageFault.TOO_LARGE: 1,
    }


def test_what_is_large_is_not_kept(messages: Path, connection: Connection, home: Path) -> None:
    with (messages / f"1.{QUEUE}.msg").open("wb") as file:
        file.truncate(1 << 40)
    with connection, connection.channel() as channel, pytest.raises(Empty):
        channel._get(QUEUE)
    assert list(messages.iterdir()) == []
    assert not aside_folder(home).exists() or aside(home) == []


def test_what_is_aside_is_not_put_back_and_not_obeyed(
    messages: Path, connection: Connection, home: Path
) -> None:
    write(messages / f"1.{QUEUE}.msg", json.dumps(genuine()).encode(), mode=0o666)
    with connection, connection.channel() as channel, pytest.raises(Empty):
        channel._get(QUEUE)
    again = make_app(load_settings(home), OURS.seals()).connection()
    with again, again.channel() as channel, pytest.raises(Empty):
        channel._get(QUEUE)
    assert len(aside(home)) == 1


def test_a_mount_s_trusted_group_may_write_a_message(
    messages: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = messages / f"1.{QUEUE}.msg"
    write(file, json.dumps(genuine()).encode(), mode=0o660)
    if os.geteuid() == 0:
        os.chown(file, -1, 2000)
    monkeypatch.setenv("NIGHTKEY_TRUSTED_GROUP", str(file.stat().st_gid))
    with connection, connection.channel() as channel:
        assert take_all(channel) == ["nightkey.resume"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user, too")
def test_nobody_else_reads_a_message(messages: Path, app: Celery) -> None:
    app.send_task("nightkey.resume")
    (file,) = messages.iterdir()
    done = subprocess.run([sys.executable, "-c", OTHER_USER, str(file)], capture_output=True, check=False)
    assert b"PermissionError" in done.stderr


def test_each_line_is_taken_apart_and_what_an_older_release_rang_is_taken_away(
    home: Path, messages: Path, app: Celery
) -> None:
    write(messages / f"1.{FORMER}.msg", json.dumps(genuine()).encode())
    app.send_task("nightkey.rotate", args=[ROTATION])
    app.send_task("nightkey.night")
    with app.connection() as connection, connection.channel() as channel:
        assert [channel._size(name) for name in QUEUES.values()] == [1, 1]
        assert take_all(channel) == ["nightkey.night"]
        assert channel._get(QUEUES[Line.TARGETS])["headers"]["task"] == "nightkey.rotate"
    assert list(messages.iterdir()) == []
    assert not aside_folder(home).exists()
    assert aside_at(aside_folder(home)).take_counts() == {}


@pytest.mark.parametrize(
    "url", ["sqs://", "memory://", "filesystem://", "sqla+sqlite:///x.db", "amqp://a;kafka://b"]
)
def test_a_broker_whose_messages_are_not_checked_is_refused(home: Path, url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"broker_url: messages by .* cannot be checked"):
        make_app(load_settings(home, broker_url=url), OURS.seals())
