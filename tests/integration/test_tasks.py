"""The tasks: one id of the right form, or nothing is touched."""

from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from structlog.testing import capture_logs

from tests.forged import ROTATION
from worker.app import make_app
from worker.config import load_settings
from worker.domain.work import Task, Work
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
def app(tmp_path: Path, done: list[Work]) -> Celery:
    def do(work: Work) -> list[Work]:
        done.append(work)
        return []

    (tmp_path / "home").mkdir()
    made = make_app(load_settings(tmp_path / "home"))
    register_tasks(made, do)
    return made


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
