"""The tasks: one id of the right form, by a message that nobody has taken before, or nothing is touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from structlog.testing import capture_logs

from tests.forged import OURS, ROTATION
from tests.ports import choose_port
from vaultcore.errors import ConflictError
from worker.app import make_app
from worker.broker.aside import Aside
from worker.config import load_settings
from worker.domain.messages import MessageFault
from worker.domain.work import ENOUGH, Task, Work
from worker.tasks import register_tasks

RUN = "fl_run_01kb0000000000000000000000"
WRONG: list[tuple[Any, ...]] = [
    (),
    (None,),
    (17,),
    ("",),
    ([ROTATION],),
    ({"a": 1},),
    (ROTATION.upper(),),
    (f"{ROTATION}\n",),
    (ROTATION, ROTATION),
    ("vlt_01kb0000000000000000000000",),
    ("x" * 1_000_000,),
    ("2026-03-01T02:00:00+00:00 later",),
]


@pytest.fixture
def done() -> list[Work]:
    return []


@pytest.fixture
def aside(tmp_path: Path) -> Aside:
    return Aside(tmp_path / "aside")


@pytest.fixture
def taken() -> dict[str, bool | Exception]:
    """What is answered for the message of an id: whether nobody has taken it yet."""
    return {}


@pytest.fixture
def app(tmp_path: Path, done: list[Work], aside: Aside, taken: dict[str, bool | Exception]) -> Celery:
    def do(work: Work, _: Any) -> list[Work]:
        done.append(work)
        return []

    def take(message_id: str) -> bool:
        answer = taken[message_id]
        if isinstance(answer, Exception):
            raise answer
        return answer

    (tmp_path / "home").mkdir()
    made = make_app(load_settings(tmp_path / "home"), OURS.seals())
    register_tasks(made, do, take=take, aside=aside)
    return made


def hear(app: Celery, message_id: str, **delivery: Any) -> None:
    """As a worker does with a message."""
    task = app.tasks["nightkey.rotate"]
    task.push_request(id=message_id, called_directly=False, delivery_info=delivery)
    try:
        task.run(ROTATION)
    finally:
        task.pop_request()


@pytest.mark.parametrize("task", ["rotate", "run", "beat"])
@pytest.mark.parametrize("ids", WRONG, ids=[repr(ids)[:40] for ids in WRONG])
def test_what_is_no_id_of_theirs_touches_nothing(
    app: Celery, done: list[Work], task: str, ids: tuple[Any, ...]
) -> None:
    with capture_logs() as logs:
        app.tasks[f"nightkey.{task}"](*ids)
    assert done == []
    assert logs == [{"event": "task.no-id", "log_level": "error", "task": task}]


@pytest.mark.parametrize("task", ["night", "resume", "schedule", "deliver"])
def test_who_takes_no_id_takes_none(app: Celery, done: list[Work], task: str) -> None:
    app.tasks[f"nightkey.{task}"](ROTATION)
    app.tasks[f"nightkey.{task}"](now="2026-03-01")
    assert done == []


@pytest.mark.parametrize(
    ("task", "ids"),
    [
        ("night", ()),
        ("resume", ()),
        ("schedule", ()),
        ("deliver", ()),
        ("rotate", (ROTATION,)),
        ("run", (RUN,)),
        ("beat", ("2026-03-01T02:00:00+00:00 start",)),
    ],
)
def test_what_is_one_is_done(app: Celery, done: list[Work], task: str, ids: tuple[str, ...]) -> None:
    app.tasks[f"nightkey.{task}"](*ids)
    assert done == [Work(Task(task), *ids)]


def test_who_does_a_piece_of_work_learns_for_how_many_calls_there_is_room(tmp_path: Path, aside: Aside) -> None:
    rooms: list[int] = []

    def do(_: Work, find_room: Callable[[], int]) -> list[Work]:
        rooms.append(find_room())
        return [Work(Task.ROTATE, ROTATION)] * (ENOUGH // 2) + [Work(Task.DELIVER)]

    (tmp_path / "home").mkdir()
    made = make_app(load_settings(tmp_path / "home"), OURS.seals())
    register_tasks(made, do, take=lambda _: True, aside=aside)
    for _ in range(4):
        made.tasks["nightkey.resume"]()
    assert rooms == [ENOUGH, ENOUGH // 2, 0, 0]


def test_where_the_broker_cannot_be_asked_there_is_room_and_what_is_called_for_tells_of_it(
    tmp_path: Path, aside: Aside
) -> None:
    def do(_: Work, find_room: Callable[[], int]) -> list[Work]:
        return [Work(Task.ROTATE, ROTATION)] * find_room()

    (tmp_path / "home").mkdir()
    url = f"amqp://guest:guest@127.0.0.1:{choose_port()}//"
    made = make_app(load_settings(tmp_path / "home", broker_url=url), OURS.seals())
    made.conf.task_publish_retry = False
    register_tasks(made, do, take=lambda _: True, aside=aside)
    with capture_logs() as logs:
        made.tasks["nightkey.resume"]()
    assert [one["event"] for one in logs] == ["bell.not-rung"]


def test_a_message_that_nobody_has_taken_is_done(
    app: Celery, done: list[Work], aside: Aside, taken: dict[str, bool | Exception]
) -> None:
    taken["a"] = True
    hear(app, "a")
    hear(app, "a", redelivered=True)  # whoever had it ended before it took it
    assert done == [Work(Task.ROTATE, ROTATION)] * 2
    assert aside.take_counts() == {}


def test_a_message_that_is_put_there_again_is_not_done_and_counted(
    app: Celery, done: list[Work], aside: Aside, taken: dict[str, bool | Exception]
) -> None:
    taken["a"] = False
    hear(app, "a")
    hear(app, "a", redelivered=False)
    assert done == []
    assert aside.take_counts() == {MessageFault.REPLAYED: 2}


def test_a_message_that_the_broker_delivers_again_is_not_done_and_no_attack(
    app: Celery, done: list[Work], aside: Aside, taken: dict[str, bool | Exception]
) -> None:
    taken["a"] = False
    with capture_logs() as logs:
        hear(app, "a", redelivered=True)
    assert done == []
    assert aside.take_counts() == {}
    assert logs == [{"event": "message.came-again", "log_level": "warning", "task": "rotate"}]


def test_where_nobody_can_say_whether_it_was_taken_nothing_is_done(
    app: Celery, done: list[Work], aside: Aside, taken: dict[str, bool | Exception]
) -> None:
    taken["a"] = ConflictError("the database was busy")
    with capture_logs() as logs:
        hear(app, "a")
    assert done == []
    assert aside.take_counts() == {}
    (log,) = logs
    assert (log["event"], log["task"], log["error"]) == ("task.failed", "rotate", "ConflictError")
