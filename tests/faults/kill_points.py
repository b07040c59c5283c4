"""The moments at which a worker may be killed, found by watching it: nothing here knows a step.

In the worker: before and after every commit of a transaction that wrote, and before every call that
leaves, whether or not a connection is opened for it. In the target: after it served a request, before the
answer is on its way.
"""

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import Engine, event

from nightkey_demo.loopback import Answer, Incoming, LoopbackServer
from worker.outbound.network import CALL_EVENT

_WRITES = frozenset({"INSERT", "UPDATE", "DELETE"})


class Moment(StrEnum):
    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    BEFORE_CALL = "before call"
    AFTER_SERVED = "after served request"


@dataclass(frozen=True, kw_only=True)
class KillPoint:
    """The `number`th such moment of a worker's life, from 1. `about` is for people."""

    moment: Moment
    number: int
    about: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.moment} {self.number}" + (f" ({self.about})" if self.about else "")


def read_point(text: str) -> KillPoint:
    """From `before commit 17`, with or without what it is about."""
    moment, number = text.partition(" (")[0].rsplit(" ", 1)
    return KillPoint(moment=Moment(moment), number=int(number))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Notes(Protocol):
    """Whoever hears of each moment that goes by."""

    def note(self, moment: Moment, about: str, /) -> None: ...


class Passing:
    """Counts the moments that go by, and calls `strike` at the one that was chosen."""

    def __init__(self, chosen: KillPoint | None, strike: Callable[[], None]) -> None:
        self.passed: list[KillPoint] = []
        self._chosen = chosen
        self._strike = strike
        self._lock = threading.Lock()
        self._numbers = dict.fromkeys(Moment, 0)

    def note(self, moment: Moment, about: str) -> None:
        with self._lock:
            self._numbers[moment] += 1
            point = KillPoint(moment=moment, number=self._numbers[moment], about=about)
            self.passed.append(point)
        if point == self._chosen:
            self._strike()


def watch_commits(engine: Engine, passing: Notes) -> None:
    """Every commit of the engine's connections, by whatever service: the dialect is where they all pass."""
    written = threading.local()  # a connection is used by one thread at a time

    @event.listens_for(engine, "after_cursor_execute")
    def see_statement(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        words = statement.split(maxsplit=3)
        if not words or words[0].upper() not in _WRITES:
            return
        if cursor.rowcount == 0 and "RETURNING" not in statement:
            return  # changed nothing
        table = words[1] if words[0].upper() == "UPDATE" else words[2]
        written.what = [*getattr(written, "what", []), f"{words[0].lower()} {table}"]

    @event.listens_for(engine, "rollback")
    def forget(_connection: Any) -> None:
        written.what = []

    commit = engine.dialect.do_commit

    def do_commit(connection: Any) -> None:
        about = ", ".join(dict.fromkeys(getattr(written, "what", [])))
        written.what = []
        if about:
            passing.note(Moment.BEFORE_COMMIT, about)
        commit(connection)
        if about:
            passing.note(Moment.AFTER_COMMIT, about)

    setattr(engine.dialect, "do_commit", do_commit)  # noqa: B010  # a method


def watch_calls(passing: Notes) -> None:
    """Every call that may be made now, also on a connection that is open already, by whatever client; and every
    connection that Python opens without having said so.
    """
    announced = threading.local()

    def see_event(name: str, args: tuple[Any, ...]) -> None:
        if name == CALL_EVENT:
            announced.is_next = True
            passing.note(Moment.BEFORE_CALL, "a call to a target")
        elif name == "socket.connect" and args[0].family in (socket.AF_INET, socket.AF_INET6):
            if not getattr(announced, "is_next", False):
                passing.note(Moment.BEFORE_CALL, "a connection")
            announced.is_next = False

    sys.addaudithook(see_event)


class Watched(LoopbackServer):
    """A target, to be mixed in before it, that says what it served once it has taken effect."""

    passing: Passing | None = None

    def respond(self, incoming: Incoming) -> Answer | None:
        answer = super().respond(incoming)
        if self.passing is not None:
            self.passing.note(Moment.AFTER_SERVED, f"{incoming.method} {incoming.path}")
        return answer
