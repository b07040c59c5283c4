"""What a line of the log looks like: JSON, text at a terminal, and the same for what libraries say."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from worker.log import configure_logging


class Screen(io.StringIO):
    def __init__(self, *, watched: bool) -> None:
        super().__init__()
        self._watched = watched

    def isatty(self) -> bool:
        return self._watched


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = [*root.handlers], root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def listen(monkeypatch: pytest.MonkeyPatch, *, watched: bool, level: str = "INFO") -> Screen:
    screen = Screen(watched=watched)
    monkeypatch.setattr(sys, "stderr", screen)
    configure_logging(level)
    return screen


def test_an_event_is_a_line_of_json_or_text_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"item": "prod-crm-token", "state": "testing", "night": None}
    program = listen(monkeypatch, watched=False)
    structlog.get_logger().info("rotation.moved", **said)
    person = listen(monkeypatch, watched=True)
    structlog.get_logger().info("rotation.moved", **said)

    event = json.loads(program.getvalue())
    assert {key: event[key] for key in ("event", "item", "state", "level")} == {
        "event": "rotation.moved",
        "item": "prod-crm-token",
        "state": "testing",
        "level": "info",
    }
    moment, rest = person.getvalue()[:23], person.getvalue()[23:]
    assert moment.endswith(" UTC")
    assert rest == "  info     rotation.moved  item=prod-crm-token state=testing\n"


@pytest.mark.parametrize("watched", [False, True])
def test_what_a_library_says_has_the_same_form_and_no_text_of_an_exception(
    monkeypatch: pytest.MonkeyPatch, watched: bool
) -> None:
    screen = listen(monkeypatch, watched=watched)
    library = logging.getLogger("a-library-of-this-test")
    library.info("Connected")
    library.error("a line\nand another", exc_info=OSError("a-secret-in-a-text"))

    (line,) = screen.getvalue().splitlines()
    assert "a line and another" in line
    assert "OSError" in line
    assert "a-secret" not in line
    assert watched or json.loads(line)["event"] == "a-library-of-this-test"


def test_a_line_at_a_terminal_is_one_line_whatever_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = listen(monkeypatch, watched=True)
    structlog.get_logger().warning("check.conflict", problem="one\ntwo")

    assert len(screen.getvalue().splitlines()) == 1


def test_debug_lets_libraries_say_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = listen(monkeypatch, watched=False, level="DEBUG")
    logging.getLogger("a-library-of-this-test").debug("a detail")

    assert "a detail" in [json.loads(line)["says"] for line in screen.getvalue().splitlines()]
