"""A real RabbitMQ that takes no messages, since it is short of memory or disk, or that answers nothing."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import amqp
import pytest
from kombu.exceptions import OperationalError
from structlog.testing import capture_logs

from tests.acceptance.conftest import Nightkey
from tests.acceptance.running_up import apply_clockwork, run_up
from tests.forged import OURS
from tests.integration.hearing import Heard
from tests.integration.rabbit_server import MISSING, RabbitServer, open_rabbit
from worker.app import make_app
from worker.broker import aside_folder
from worker.broker.aside import aside_at
from worker.broker.blocking import BlockedError
from worker.broker.queues import QUEUES
from worker.broker.reaching import explain_away, hear_broker
from worker.config import Settings, load_settings
from worker.doctor.rabbit import look_at_rabbit
from worker.domain.lines import Line
from worker.domain.messages import name_of
from worker.domain.pulses import Sign
from worker.domain.work import Task, Work
from worker.supervision.bells import Bells
from worker.tasks import register_tasks

QUEUE = QUEUES[Line.NIGHT]
SECONDS = 240
"""What takes ten when nobody else needs the machine."""
ALARMS = {
    "memory": (("set_vm_memory_high_watermark", "0.00001"), ("set_vm_memory_high_watermark", "0.9")),
    "disk": (("set_disk_free_limit", "100000GB"), ("set_disk_free_limit", "1MB")),
}
"""How each begins, and how it ends."""
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitServer]:
    with open_rabbit() as made:
        made.start()
        yield made


@pytest.fixture
def settings(tmp_path: Path, server: RabbitServer) -> Iterator[Settings]:
    yield load_settings(
        tmp_path / "home", broker_url=f"amqp://guest:guest@{server.address}//", ring_seconds=0.001
    )
    for _, end in ALARMS.values():
        server.control(*end)
    with amqp.Connection(server.address) as connection, connection.channel() as channel:
        channel.queue_delete(QUEUE)


def count(server: RabbitServer) -> int:
    with amqp.Connection(server.address) as connection, connection.channel() as channel:
        return int(channel.queue_declare(QUEUE, passive=True).message_count)


def test_beat_says_that_it_takes_no_messages_and_rings_on_by_itself(
    settings: Settings, server: RabbitServer
) -> None:
    begin, end = ALARMS["memory"]
    heard = Heard()
    bells = Bells(make_app(settings, OURS.seals()), pulse=heard)
    bells.tick()
    assert heard.signs.count(Sign.RANG) == 3
    rung = count(server)
    server.control(*begin)
    with capture_logs() as logs:
        for _ in range(5):
            bells.tick()
    assert heard.signs.count(Sign.AWAY) == 5
    (away,) = logs
    assert (away["event"], away["log_level"]) == ("broker.away", "warning")
    assert away["problem"] == (
        f"RabbitMQ at {server.address} takes no messages at present, since it is low on memory: give it more, "
        "or look at its vm_memory_high_watermark; it takes them again by itself"
    )
    assert count(server) == rung
    server.control(*end)
    heard.signs.clear()
    while Sign.RANG not in heard.signs:
        bells.tick()
    assert count(server) > rung
    bells.connection.close()


def test_whoever_rings_for_what_follows_waits_for_no_memory(settings: Settings, server: RabbitServer) -> None:
    """The rows stand, so nothing is lost: and what is rung for when it is over comes in."""
    begin, end = ALARMS["memory"]
    app = make_app(settings, OURS.seals())
    aside = aside_at(aside_folder(settings.home))

    def do(work: Work, find_room: Callable[[], int]) -> list[Work]:
        find_room()
        return [Work(Task.RESUME)] * 3

    register_tasks(app, do, take=lambda _: True, aside=aside)
    work: Callable[[], None] = app.tasks[name_of(Task.NIGHT)]
    work()
    assert count(server) == 3
    server.control(*begin)
    with capture_logs() as logs:
        work()
        work()
    assert [one["event"] for one in logs] == ["bell.not-rung"] * 2
    assert all("takes no messages at present" in one["problem"] for one in logs)
    server.control(*end)
    with capture_logs() as logs:
        while count(server) < 7:  # the one that it did not read in time may come in as well
            work()
    assert {one["event"] for one in logs} <= {"bell.not-rung"}
    app.close()


def test_a_confirm_that_comes_late_counts_for_no_other_message(
    settings: Settings, server: RabbitServer
) -> None:
    begin, end = ALARMS["memory"]
    app = make_app(settings, OURS.seals())
    with app.connection() as connection:
        producer: Any = connection.Producer(auto_declare=False)
        connection.default_channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        ring = app.amqp.as_task_v2("an-id", "nightkey.resume", (), {})

        def publish(exchange: str) -> None:
            app.amqp.send_task_message(
                producer, "nightkey.resume", ring, exchange=exchange, routing_key=QUEUE, retry=False
            )

        server.control(*begin)
        with pytest.raises(BlockedError):
            publish("amq.direct")
        server.control(*end)
        wait_until_taken(connection)
        with pytest.raises(amqp.NotFound):
            publish("nobody-made-it")


def wait_until_taken(connection: Any) -> None:
    while True:
        try:
            return hear_broker(connection)
        except BlockedError:
            time.sleep(0.1)


def test_a_confirm_that_does_not_come_is_not_waited_for_without_end(
    settings: Settings, server: RabbitServer
) -> None:
    app = make_app(settings, OURS.seals())
    app.send_task("nightkey.resume")
    with ThreadPoolExecutor(1) as pool:
        with server.frozen():
            sent = pool.submit(app.send_task, "nightkey.resume", retry=False)
            error = sent.exception(SECONDS)
        assert isinstance(error, OperationalError)
        assert explain_away(settings.broker_url, error).endswith("no firewall is in between")
        pool.submit(app.send_task, "nightkey.resume").result(SECONDS)
    assert count(server) >= 2
    app.close()


@pytest.mark.parametrize("short_of", ALARMS)
def test_the_doctor_says_what_it_is_short_of(settings: Settings, server: RabbitServer, short_of: str) -> None:
    begin, end = ALARMS[short_of]
    make_app(settings, OURS.seals()).send_task("nightkey.resume")
    assert look_at_rabbit(settings).blocked == ""
    server.control(*begin)
    facts = look_at_rabbit(settings)
    assert f"since it is low on {short_of}:" in facts.blocked
    assert [one.waiting for one in facts.queues if one.name == QUEUE] == [1]
    server.control(*end)
    assert look_at_rabbit(settings).blocked == ""


def test_an_up_goes_on_when_the_alarm_ends(tmp_path: Path) -> None:
    begin, end = ALARMS["memory"]
    with open_rabbit() as server:
        server.start()
        server.control(*begin)
        settings = {
            "NIGHTKEY_BROKER_URL": f"amqp://guest:guest@{server.address}//",
            "NIGHTKEY_RING_SECONDS": "1",
            "NIGHTKEY_CONCURRENCY": "1",
        }
        nightkey = Nightkey(tmp_path / "home", settings)
        nightkey("init")
        runs = apply_clockwork(nightkey, tmp_path)
        with run_up(nightkey) as up:
            up.wait_until(lambda: "broker.away" in up.said())
            first = up.said().splitlines()[0]
            assert first.startswith(f"nightkey: RabbitMQ at {server.address} takes no messages at present, ")
            server.control(*end)
            up.wait_until(lambda: runs() > 3)
            server.control(*begin)
            told = up.said().count('"broker.away"')
            up.wait_until(lambda: up.said().count('"broker.away"') > told)
            (blocked,) = [row for row in nightkey.json("doctor", status=1) if row["code"] == "blocked"]
            assert blocked["says"].startswith("it takes no messages at present, since it is low on memory")
            server.control(*end)
            worked = runs()
            up.wait_until(lambda: runs() > worked + 3)
            assert "started again" not in up.said()
            assert "Traceback" not in up.said()
            assert up.stop() == 0
