"""The embedded broker: a message is there whole or not at all, and one that cannot be read ends nobody."""

import threading
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from worker.app import QUEUE, make_app
from worker.broker import Channel
from worker.config import load_settings

MESSAGES = 400


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    """As a worker makes it."""
    home = tmp_path / "home"
    home.mkdir()
    return make_app(load_settings(home)).connection()


def test_the_embedded_broker_is_ours(connection: Connection) -> None:
    with connection, connection.channel() as channel:
        assert isinstance(channel, Channel)


def test_a_reader_beside_a_writer_reads_every_message_whole_and_once(
    tmp_path: Path, connection: Connection
) -> None:
    other = make_app(load_settings(tmp_path / "home")).connection()
    read: list[int] = []
    with connection, other, connection.channel() as writing, other.channel() as reading:

        def write() -> None:
            for number in range(MESSAGES):
                writing._put(QUEUE, {"number": number, "padding": "x" * 20_000})

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive() or len(read) < MESSAGES:
            try:
                read.append(reading._get(QUEUE)["number"])
            except Empty:
                assert writer.is_alive() or len(read) >= MESSAGES, "one was lost"
        writer.join()
    assert sorted(read) == list(range(MESSAGES))


@pytest.mark.parametrize("content", [b"", b'{"half', b"\xff\xfe", b"no JSON"])
def test_what_is_no_message_is_passed_over(tmp_path: Path, connection: Connection, content: bytes) -> None:
    folder = tmp_path / "home" / "broker" / "messages"
    with connection, connection.channel() as channel:
        (folder / f"1_forged.{QUEUE}.msg").write_bytes(content)
        with pytest.raises(Empty):
            channel._get(QUEUE)
        channel._put(QUEUE, {"number": 1})
        assert channel._get(QUEUE) == {"number": 1}
