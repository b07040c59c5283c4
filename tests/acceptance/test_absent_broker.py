"""`nightkey up` whose broker nobody answers at: it says so in one line, waits, and ends when it is told to."""

import socket
from pathlib import Path

import pytest

from tests.acceptance.conftest import Nightkey
from tests.acceptance.running_up import run_up
from tests.ports import choose_port

PASSWORD = "hunter2-of-the-broker"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (f"amqp://nightkey:{PASSWORD}@127.0.0.1:{{port}}//", "RabbitMQ"),
        pytest.param(f"redis://:{PASSWORD}@127.0.0.1:{{port}}/0", "Valkey or Redis", marks=pytest.mark.long),
    ],
)
def test_it_says_where_the_broker_is_and_waits(nightkey: Nightkey, url: str, named: str) -> None:
    port = choose_port()
    nightkey.settings |= {
        "NIGHTKEY_BROKER_URL": url.format(port=port),
        "NIGHTKEY_CONCURRENCY": "1",
        "NIGHTKEY_LISTEN": "",
    }
    with run_up(nightkey) as up:
        up.wait_until(lambda: up.said().count('"broker.away"') >= 2)  # the worker and beat
        assert up.stop() == 0
        said = up.said()
    assert said.splitlines()[0] == (
        f"nightkey: {named} at 127.0.0.1:{port} refuses connections: see that it runs there, and that "
        "broker_url is right. Nothing is worked on until it answers; it is asked again and again"
    )
    assert PASSWORD not in said
    assert "started again" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("scheme", ["amqp", pytest.param("redis", marks=pytest.mark.long)])
def test_one_that_takes_connections_and_says_nothing_is_told_too(nightkey: Nightkey, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        nightkey.settings["NIGHTKEY_BROKER_URL"] = f"{scheme}://nightkey:{PASSWORD}@{place}"
        rows = nightkey.json("doctor", status=1)
    (away,) = [row["says"] for row in rows if row["part"] == "broker"]
    assert f"{place} does not answer: see that it runs there" in away


def test_where_nothing_is_the_doctor_makes_nothing(tmp_path: Path) -> None:
    nowhere = Nightkey(tmp_path / "nowhere")
    rows = nowhere.json("doctor", status=1)
    assert {row["part"] for row in rows if row["state"] == "missing"} == {"data folder", "keyring", "database"}
    assert not nowhere.home.exists()


def test_the_doctor_says_it_too(nightkey: Nightkey, tmp_path: Path) -> None:
    port = choose_port()
    nightkey.settings["NIGHTKEY_BROKER_URL"] = f"amqp://nightkey:{PASSWORD}@127.0.0.1:{port}//"
    rows = nightkey.json("doctor", status=1)
    assert [row["code"] for row in rows if row["state"] == "missing"] == ["refused"]
    (away,) = [row["says"] for row in rows if row["part"] == "broker"]
    assert away.startswith(f"RabbitMQ at 127.0.0.1:{port} refuses connections: ")
    assert PASSWORD not in str(rows)
    del nightkey.settings["NIGHTKEY_BROKER_URL"]
    rows = nightkey.json("doctor")
    assert {row["state"] for row in rows} == {"well"}
    assert [row["part"] for row in rows if row["code"] != "queue"] == [
        "settings", "data folder", "keyring", "database", "database", "database", "broker", "workers", "anchors"
    ]  # fmt: skip
