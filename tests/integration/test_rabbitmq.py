"""A real RabbitMQ, at which somebody else publishes what is no message of ours."""

import bz2
import json
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import amqp
import pytest
from kombu.entity import Queue

from tests.acceptance.absent_broker import outlive
from tests.acceptance.conftest import Nightkey
from tests.acceptance.foreign import stand_firm
from tests.forged import OURS, ROTATION, Sealer, in_the_clear, sealed, unsealed
from tests.integration.rabbit_server import MISSING, RabbitServer, open_rabbit
from worker.app import make_app
from worker.broker import aside_folder
from worker.broker.aside import aside_at
from worker.broker.queues import DEAD, DELIVERIES, QUEUES, declare_queues
from worker.broker.reaching import explain_away
from worker.config import Settings, load_settings
from worker.doctor.rabbit import look_at_rabbit
from worker.domain.broker_address import BrokerKind
from worker.domain.diagnosis import Right
from worker.domain.lines import Line
from worker.domain.messages import MessageFault
from worker.supervision.bells import Bells
from worker.supervision.dead_letters import move_dead_letters

QUEUE = QUEUES[Line.NIGHT]
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]
BODY = b'[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
HEADERS = unsealed()["headers"]
SEALED = {"content_type": "application/x-nightkey", "content_encoding": "binary", "delivery_mode": 2}
KEPT = {"delivery_mode", "priority"}
DEPTH = 10_000
ENOUGH = ("^nightkey", "^(nightkey|amq.default$)", "^nightkey")
"""Of deploy/databases.md."""


class Raw(amqp.Message):
    """One whose properties are these bytes."""

    def __init__(self, body: bytes, properties: bytes) -> None:
        super().__init__(body)
        self.__dict__["raw"] = properties

    def _serialize_properties(self) -> bytes:
        return self.__dict__["raw"]


def deep_headers() -> bytes:
    """Tables in one another, deeper than a reader that calls itself can go."""
    inner = b""
    for _ in range(DEPTH):
        inner = b"\x01aF" + struct.pack(">I", len(inner)) + inner
    return b"\x20\x00" + struct.pack(">I", len(inner)) + inner


def messages(vault: Sealer = OURS) -> Iterator[amqp.Message]:
    """None of them a message of that vault."""
    for _, body in sealed(vault).values():
        yield amqp.Message(body, application_headers=HEADERS, **SEALED)
    yield amqp.Message(
        vault.seals().seal("nightkey.night", ()), **SEALED | {"content_type": "application/json"}
    )
    usual = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}
    for _, content in in_the_clear().values():
        yield amqp.Message(content, application_headers=HEADERS, **usual)
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            continue
        headers = told.get("headers") if isinstance(told, dict) else None
        # Where nothing but the body was wrong, the headers would be good for this one.
        if isinstance(headers, dict) and headers != HEADERS and headers.get("task") != "nightkey.night":
            yield amqp.Message(BODY, application_headers=headers, **usual)
    yield amqp.Message(BODY, **usual)
    yield amqp.Message(BODY)
    yield amqp.Message(b"")
    yield amqp.Message(
        BODY, application_headers=HEADERS, **usual | {"content_type": "application/x-python-serialize"}
    )
    bomb = bz2.compress(b" " * (16 << 20) + BODY)
    yield amqp.Message(bomb, application_headers=HEADERS | {"compression": "bzip2"}, **usual)
    yield amqp.Message(b"x" * (3 << 20), application_headers=HEADERS, **usual)
    yield Raw(b"y" * (3 << 20), deep_headers())
    yield Raw(BODY, deep_headers())


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitServer]:
    with open_rabbit() as made:
        made.start()
        yield made


@pytest.fixture(scope="module")
def rabbit(server: RabbitServer) -> str:
    return server.address


@pytest.fixture(params=["classic", "quorum"])
def queue(rabbit: str, request: pytest.FixtureRequest) -> Iterator[Queue]:
    """One without a limit of deliveries."""
    name = f"of-{request.param}"
    with amqp.Connection(rabbit) as connection, connection.channel() as channel:
        channel.queue_declare(name, durable=True, auto_delete=False, arguments={"x-queue-type": request.param})
        yield Queue(name, no_declare=True)
        channel.queue_delete(name)


class Taker:
    """Whoever takes what comes by our transport from a queue, and acknowledges nothing."""

    def __init__(self, home: Path, rabbit: str, queue: Queue) -> None:
        settings = load_settings(home, broker_url=f"amqp://guest:guest@{rabbit}//")
        self._app, self._queue = make_app(settings, OURS.seals()), queue
        self.taken: list[Any] = []

    def send(self, task: str, *ids: str) -> None:
        self._app.send_task(task, args=list(ids), queue=self._queue)

    def take(self, *, until: Callable[[], bool]) -> None:
        """What it had comes back when it ends."""
        with self._app.connection() as connection:
            consumer = connection.Consumer(
                [self._queue], on_message=self.taken.append, accept=["json"], auto_declare=False
            )
            with consumer:
                deadline = time.monotonic() + 240
                while not until():
                    assert time.monotonic() < deadline
                    with suppress(TimeoutError):
                        connection.drain_events(timeout=0.2)


def count(rabbit: str, queue: Queue) -> int:
    with amqp.Connection(rabbit) as connection, connection.channel() as channel:
        return int(channel.queue_declare(queue.name, passive=True).message_count)


def publish(rabbit: str, queue: Queue, *published: amqp.Message) -> None:
    with amqp.Connection(rabbit, confirm_publish=True) as connection, connection.channel() as channel:
        for message in published:
            channel.basic_publish(message, routing_key=queue.name)


def test_what_is_published_lies_there_sealed_and_nothing_beside_it(
    tmp_path: Path, rabbit: str, queue: Queue
) -> None:
    taker = Taker(tmp_path / "home", rabbit, queue)
    taker.send("nightkey.rotate", ROTATION)
    with amqp.Connection(rabbit) as connection, connection.channel() as channel:
        lying = channel.basic_get(queue.name)
        channel.basic_reject(lying.delivery_tag, requeue=False)
    assert lying.properties.keys() <= {"content_type", "content_encoding", "application_headers", *KEPT}
    assert not any(lying.properties.get("application_headers", {}).values())
    assert (lying.content_type, lying.content_encoding) == (SEALED["content_type"], SEALED["content_encoding"])
    assert len(lying.body) == len(OURS.seals().seal("nightkey.night", ()))
    taker.send("nightkey.rotate", ROTATION)
    taker.take(until=lambda: bool(taker.taken))
    (message,) = taker.taken
    assert message.headers["task"] == "nightkey.rotate"
    assert json.loads(message.body)[0] == [ROTATION]


def test_what_ended_whoever_took_it_does_not_come_for_ever(tmp_path: Path, rabbit: str, queue: Queue) -> None:
    """A message of ours by which a worker ended, however that was."""
    publish(rabbit, queue, amqp.Message(OURS.seals().seal("nightkey.resume", ()), **SEALED))
    first, second = (Taker(tmp_path / "home", rabbit, queue) for _ in range(2))
    first.take(until=lambda: bool(first.taken))
    assert len(first.taken) == 1
    publish(rabbit, queue, amqp.Message(OURS.seals().seal("nightkey.resume", ()), **SEALED))
    second.take(until=lambda: bool(second.taken))
    assert [message.delivery_info["redelivered"] for message in second.taken] == [False]
    third = Taker(tmp_path / "home", rabbit, queue)
    third.take(until=lambda: count(rabbit, queue) == 0)
    assert third.taken == []
    assert list((tmp_path / "home").rglob("aside/*")) == []


def test_what_is_no_message_of_ours_comes_once(tmp_path: Path, rabbit: str, queue: Queue) -> None:
    forged = list(messages())
    publish(rabbit, queue, *forged)
    taker = Taker(tmp_path / "home", rabbit, queue)
    aside = tmp_path / "home" / "broker" / "aside"
    taker.take(until=lambda: aside.is_dir() and len(list(aside.iterdir())) >= len(forged))
    assert taker.taken == []
    assert count(rabbit, queue) == 0
    assert len(list(aside.iterdir())) == len(forged)


@pytest.fixture
def settings(tmp_path: Path, rabbit: str) -> Iterator[Settings]:
    """Our queues are there, and empty."""
    settings = load_settings(tmp_path / "home", broker_url=f"amqp://guest:guest@{rabbit}//")
    declare_all(settings)
    yield settings
    delete_all(rabbit)


def declare_all(settings: Settings) -> None:
    with make_app(settings, OURS.seals()).connection() as connection:
        for queue in declare_queues(BrokerKind.RABBITMQ):
            queue(connection.default_channel).declare()


def test_its_queues_are_as_the_doctor_wants_them(settings: Settings, rabbit: str) -> None:
    facts = look_at_rabbit(settings)
    assert (facts.where, facts.confirms, facts.dead, facts.former) == (rabbit, True, 0, None)
    assert [(one.name, one.waiting, one.differs) for one in facts.queues] == [
        (name, 0, "") for name in QUEUES.values()
    ]
    with amqp.Connection(rabbit) as connection, connection.channel() as channel:
        channel.queue_delete(QUEUE)
        assert look_at_rabbit(settings).queues[0].waiting is None, "whoever looks makes nothing"
        channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        channel.queue_declare("nightkey", durable=True, auto_delete=False)
        facts = look_at_rabbit(settings)
        assert (facts.queues[0].differs, facts.former) == ("x-dead-letter-exchange", 0)
        channel.queue_delete("nightkey")


@pytest.mark.parametrize("is_made", [True, False])
@pytest.mark.parametrize(
    ("rights", "refused"),
    [
        (("", "", ""), {Right.CONFIGURE, Right.WRITE, Right.READ}),
        (("", ".*", ".*"), {Right.CONFIGURE}),
        ((".*", "^amq", ".*"), {Right.WRITE}),
        ((".*", "^nightkey", ".*"), {Right.WRITE}),
        ((".*", ".*", "^nightkey.night$"), {Right.READ}),
        (ENOUGH, set()),
    ],
)
def test_the_doctor_says_what_its_user_may_not(
    settings: Settings,
    server: RabbitServer,
    is_made: bool,
    rights: tuple[str, str, str],
    refused: set[Right],
) -> None:
    """Of queues that are there, and of such that are still to be made; and it makes none, and takes nothing."""
    make_app(settings, OURS.seals()).send_task("nightkey.resume")
    if not is_made:
        delete_all(server.address)
    before = look_at_rabbit(settings)
    with allow(server, *rights) as url:
        facts = look_at_rabbit(load_settings(settings.home, broker_url=url))
    assert set(facts.refused) == refused
    assert look_at_rabbit(settings) == before
    assert [one.waiting for one in before.queues] == ([1, 0] if is_made else [None, None])


def test_these_rights_are_enough_to_make_the_queues_and_to_send_and_take(
    settings: Settings, server: RabbitServer
) -> None:
    delete_all(server.address)
    with allow(server, *ENOUGH) as url:
        poor = load_settings(settings.home, broker_url=url)
        declare_all(poor)
        app = make_app(poor, OURS.seals())
        app.send_task("nightkey.resume")
        with app.connection() as connection, connection.channel() as channel:
            message = channel.basic_get(QUEUE)
            channel.basic_ack(message.delivery_tag)
        app.close()
    assert count(server.address, Queue(QUEUE)) == 0


@contextmanager
def allow(server: RabbitServer, *rights: str) -> Iterator[str]:
    """The `broker_url` of a user who may configure, write and read what these patterns match."""
    server.control("add_user", "poor", "poor")
    try:
        server.control("set_permissions", "poor", *rights)
        yield f"amqp://poor:poor@{server.address}//"
    finally:
        server.control("delete_user", "poor")


def delete_all(rabbit: str) -> None:
    with amqp.Connection(rabbit) as connection, connection.channel() as channel:
        for name in (*QUEUES.values(), DEAD):
            channel.queue_delete(name)


def test_a_queue_of_another_kind_in_the_place_of_ours_is_said_in_one_line(settings: Settings) -> None:
    with (
        make_app(settings, OURS.seals()).connection() as connection,
        pytest.raises(Exception, match="406") as refused,
    ):
        connection.default_channel.queue_declare(QUEUE, durable=True, auto_delete=False)
    said = explain_away(settings.broker_url, refused.value)
    assert said.endswith("has a queue of another kind in the place of ours: `nightkey doctor` says which")


def test_what_is_published_is_confirmed_or_raises(settings: Settings, rabbit: str) -> None:
    app = make_app(settings, OURS.seals())
    with app.connection() as connection, amqp.Connection(rabbit) as other, other.channel() as channel:
        producer: Any = connection.Producer(auto_declare=False)
        ring = app.amqp.as_task_v2("an-id", "nightkey.resume", (), {})

        def publish(exchange: str) -> None:
            app.amqp.send_task_message(producer, "nightkey.resume", ring, exchange=exchange, routing_key=QUEUE)

        publish(QUEUE)
        assert count(rabbit, Queue(QUEUE)) == 1
        channel.queue_purge(QUEUE)
        with pytest.raises(amqp.NotFound):
            publish("nobody-made-it")
        publish(QUEUE)
        assert count(rabbit, Queue(QUEUE)) == 1


def test_what_is_given_back_too_often_goes_to_the_dead_letters(settings: Settings, rabbit: str) -> None:
    """However that comes about: somebody takes it each time, and gives it back."""
    make_app(settings, OURS.seals()).send_task("nightkey.resume")
    assert give_back_for_ever(rabbit) == DELIVERIES + 1
    assert [count(rabbit, Queue(name)) for name in (*QUEUES.values(), DEAD)] == [0, 0, 1]
    assert look_at_rabbit(settings).dead == 1
    aside = aside_at(aside_folder(settings.home))
    move_dead_letters(settings, aside)
    move_dead_letters(settings, aside)
    assert aside.take_counts() == {MessageFault.CAME_TOO_OFTEN: 1}
    assert look_at_rabbit(settings).dead == 0


def test_whoever_makes_a_queue_makes_the_one_for_its_dead_letters_before(
    settings: Settings, rabbit: str
) -> None:
    """As after a broker has lost its disk: beat looks at the dead letters once a minute, and what is given back
    too often before would be nowhere.
    """
    delete_all(rabbit)
    make_app(settings, OURS.seals()).send_task("nightkey.resume")
    assert give_back_for_ever(rabbit) == DELIVERIES + 1
    assert count(rabbit, Queue(DEAD)) == 1


def give_back_for_ever(rabbit: str) -> int:
    """How often the first message came until it came no more."""
    came = 0
    with amqp.Connection(rabbit) as connection, connection.channel() as channel:
        while channel.queue_declare(DEAD, passive=True).message_count == 0:
            message = channel.basic_get(QUEUE)
            if message is not None:
                came += 1
                channel.basic_reject(message.delivery_tag, requeue=True)
    return came


def test_beat_rings_on_as_soon_as_its_broker_is_back(tmp_path: Path) -> None:
    """By itself: `up` would begin another only after a minute."""
    with open_rabbit() as server:
        server.start()
        settings = load_settings(
            tmp_path / "home", broker_url=f"amqp://guest:guest@{server.address}//", ring_seconds=0.001
        )
        bells = Bells(make_app(settings, OURS.seals()))
        bells.tick()
        server.kill()
        bells.tick()
        server.empty()
        server.start()
        bells.tick()
        bells.tick()
        assert count(server.address, Queue(QUEUE)) > 0
        bells.connection.close()


def test_an_up_outlives_its_broker(tmp_path: Path) -> None:
    with open_rabbit() as server:
        url = f"amqp://guest:guest@{server.address}//"
        nightkey = Nightkey(tmp_path / "home", {"NIGHTKEY_BROKER_URL": url})
        nightkey("init")
        outlive(nightkey, tmp_path, server, named=f"RabbitMQ at {server.address}")


def test_the_server_of_these_tests_is_not_run_by_root_and_leaves_nothing_behind() -> None:
    with open_rabbit() as server:
        server.start()
        runs = processes_of(server.folder)
        assert len(runs) > 1  # with Erlang's port mapper
        assert 0 not in runs.values()
        assert {path.stat().st_uid for path in (server.folder / "mnesia").rglob("*")} <= set(runs.values())
    deadline = time.monotonic() + 60
    while processes_of(server.folder):
        assert time.monotonic() < deadline, f"still there: {processes_of(server.folder)}"
        time.sleep(0.1)
    assert not server.folder.exists()


def processes_of(home: Path) -> dict[int, int]:
    """Those that were begun with this home, each with the user as whom it runs."""
    found = {}
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"HOME={home}".encode() in environment.read_bytes().split(b"\0"):
                found[int(environment.parent.name)] = environment.parent.stat().st_uid
    return found


def test_an_up_stands_firm_whatever_is_published(tmp_path: Path, rabbit: str, settings: Settings) -> None:
    nightkey = Nightkey(settings.home, {"NIGHTKEY_BROKER_URL": settings.broker_url})
    nightkey("init")
    vault = Sealer.of(nightkey.home)
    make_app(settings, vault.seals()).send_task("nightkey.resume")
    give_back_for_ever(rabbit)
    with amqp.Connection(rabbit, confirm_publish=True) as connection, connection.channel() as channel:
        number = 1  # the dead letter
        for message in messages(vault):
            channel.basic_publish(message, exchange=QUEUE, routing_key=QUEUE)
            number += 1

        def look() -> None:
            (_, waiting, _) = channel.queue_declare(QUEUE, passive=True)
            assert waiting < number / 2
            assert channel.queue_declare(DEAD, passive=True).message_count == 0

        late = [fault for fault, _ in sealed(vault).values()].count(MessageFault.STALE)
        stand_firm(nightkey, tmp_path, forged=number - late, late=late, look=look)
