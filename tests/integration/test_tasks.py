"""The tasks: one id of the right form, or nothing is touched."""

from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from structlog.testing import capture_logs

from tests.forged import ROTATION
from worker.app import make_app
from worker.config import load_settings
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


class Touched:
    """In the place of all services: says which were asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.names.append(name)
        raise LookupError(name)


@pytest.fixture
def touched() -> Touched:
    return Touched()


@pytest.fixture
def app(tmp_path: Path, touched: Touched) -> Celery:
    (tmp_path / "home").mkdir()
    made = make_app(load_settings(tmp_path / "home"))
    register_tasks(made, touched)  # type: ignore[arg-type]  # what stands for them
    return made


@pytest.mark.parametrize("task", ["rotate", "run", "beat"])
@pytest.mark.parametrize("ids", WRONG, ids=[repr(ids)[:40] for ids in WRONG])
def test_what_is_no_id_of_theirs_touches_nothing(
    app: Celery, touched: Touched, task: str, ids: tuple[Any, ...]
) -> None:
    with capture_logs() as logs:
        app.tasks[f"nightkey.{task}"](*ids)
    assert touched.names == []
    assert logs == [{"event": "task.no-id", "log_level": "error", "task": task}]


@pytest.mark.parametrize("task", ["night", "resume", "schedule", "deliver"])
def test_who_takes_no_id_takes_none(app: Celery, touched: Touched, task: str) -> None:
    app.tasks[f"nightkey.{task}"](ROTATION)
    app.tasks[f"nightkey.{task}"](now="2026-03-01")
    assert touched.names == []


@pytest.mark.parametrize(
    ("task", "ids", "service"),
    [
        ("night", (), "scheduling"),
        ("resume", (), "resuming"),
        ("schedule", (), "running"),
        ("deliver", (), "delivering"),
        ("rotate", (ROTATION,), "rotations"),
        ("run", (RUN,), "running"),
        ("beat", ("2026-03-01T02:00:00+00:00 start",), "heartbeat"),
    ],
)
def test_what_is_one_reaches_its_service(
    app: Celery, touched: Touched, task: str, ids: tuple[str, ...], service: str
) -> None:
    app.tasks[f"nightkey.{task}"](*ids)
    assert touched.names == [service]
