"""Keeps beat and workers at work: begins them, listens to them, begins them again, and ends them."""

import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from worker.domain.lines import Line
from worker.domain.pulses import (
    Hang,
    Life,
    Patience,
    PulseKind,
    find_hang,
    hear,
    may_be_killed,
    pause,
    postpone,
    take_nothing,
)
from worker.supervision.child import Assignment, Child, Command

_LOOK_SECONDS = 1.0
_STOPPED_SECONDS = 5.0
"""When it has not looked for longer than that, it was stopped, or starved."""
_USAGE = 2
_STOPS = (signal.SIGTERM, signal.SIGINT)
_WORDS = {
    Hang.NEVER_BEGAN: "has not begun to work",
    Hang.SILENT: "hangs",
    Hang.ENDLESS: "is at one task for too long",
    Hang.RINGS_NOT: "does not ring",
    Hang.TAKES_NOTHING: "takes no message, while some wait",
}


@dataclass(kw_only=True)
class Post:
    """A place that is to be filled. `lines`: what a worker there takes. `failures`: starts in a row after which
    nobody worked for long.
    """

    kind: PulseKind
    lines: frozenset[Line] = frozenset(Line)
    child: Child | None = None
    life: Life = field(default_factory=lambda: Life(began_at=0))
    failures: int = 0
    next_at: float = 0
    was_ready: bool = False
    status: int = 0


class Supervisor:
    """`tell` says each thing that happens, in one line. `inherited`: files that those it begins have, too."""

    def __init__(
        self,
        assignments: Iterable[Assignment],
        *,
        command: Command,
        tell: Callable[[str], None],
        patience: Patience,
        inherited: Sequence[int] = (),
    ) -> None:
        self._posts = [Post(kind=one.kind, lines=one.lines) for one in assignments]
        self._command = command
        self._tell = tell
        self._patience = patience
        self._inherited = inherited
        self._told = 0
        self._looked_at = time.monotonic()
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Until SIGTERM or SIGINT: 0. 1: one could not be started at all; 2: its configuration is wrong."""
        bell, button = socket.socketpair()
        for end in (bell, button):
            end.setblocking(False)
        self._selector.register(bell, selectors.EVENT_READ)
        before = {number: signal.signal(number, self._hear_signal) for number in _STOPS}
        wakeup = signal.set_wakeup_fd(button.fileno())
        try:
            status = self._keep()
            self._end()
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            for post in self._posts:
                self._bury(post)
            self._selector.close()
            bell.close()
            button.close()
        return status

    def _hear_signal(self, number: int, _frame: FrameType | None) -> None:
        self._told += 1
        if self._told == 1:
            self._tell(f"{signal.Signals(number).name}: finishing what is running")

    # While they are to work

    def _keep(self) -> int:
        while not self._told:
            for post in self._posts:
                self._fill(post)
            self._listen()
            for post in self._posts:
                self._look_at(post)
            self._look_at_all()
            for post in self._posts:
                if self._is_hopeless(post):
                    return self._give_up(post)
        return 0

    def _is_hopeless(self, post: Post) -> bool:
        """It has never worked, and will not. What has worked once is begun again for ever, and a server always:
        nights do not need it.
        """
        if post.was_ready or not post.failures or post.kind is PulseKind.SERVER:
            return False
        return post.status == _USAGE or post.failures >= self._patience.starts

    def _give_up(self, post: Post) -> int:
        if post.status == _USAGE:  # it has said itself what is wrong
            return _USAGE
        self._tell(
            f"nightkey: the {post.kind} could not be started {post.failures} times in a row, "
            f"the last time it {_describe_end(post.status)}: see above"
        )
        return 1

    def _fill(self, post: Post) -> None:
        now = time.monotonic()
        if post.child is not None or now < post.next_at:
            return
        try:
            post.child = Child.begin(self._command, Assignment(post.kind, post.lines), self._inherited)
        except OSError as error:
            self._lose(post, 1, f"cannot be started: {error.strerror or type(error).__name__}")
            return
        post.life = Life(began_at=now)
        self._selector.register(post.child.pipe, selectors.EVENT_READ, post)

    def _listen(self) -> None:
        """Until something is heard, or it is time to look. While it was stopped itself, nobody was late."""
        ready = self._selector.select(_LOOK_SECONDS)
        now = time.monotonic()
        stopped, self._looked_at = now - self._looked_at, now
        if stopped > _STOPPED_SECONDS:
            for post in self._posts:
                post.life = postpone(post.life, stopped)
        for key, _ in ready:
            post = key.data
            if post is None:
                _drain(key.fileobj)
            elif post.child is not None:
                heard = post.child.read()
                post.life = hear(post.life, heard, time.monotonic())
                if not heard:  # its end of the pipe is closed: it ends
                    self._selector.unregister(key.fileobj)

    def _look_at(self, post: Post) -> None:
        now = time.monotonic()
        if post.child is None:
            return
        if post.life.ready_at is not None:
            post.was_ready = True
            if now - post.life.ready_at > self._patience.steady:
                post.failures = 0
        status = post.child.status()
        hang = None if status is not None else find_hang(post.kind, post.life, self._patience, now)
        if status is not None:
            pid = post.child.pid
            self._bury(post)
            self._lose(post, status, f"(process {pid}) {_describe_end(status)}")
        elif hang is not None:
            self._replace(post, hang)

    def _look_at_all(self) -> None:
        """Messages that wait in a line are everybody's who takes it: when nobody does, they all begin again."""
        now = time.monotonic()
        seen = [post.life.waiting_since for post in self._posts if post.kind is PulseKind.BEAT]
        for line in Line:
            workers = [
                post
                for post in self._posts
                if post.kind is PulseKind.WORKER and line in post.lines and post.child is not None
            ]
            lives = [post.life for post in workers]
            if any(take_nothing(lives, waiting.get(line), self._patience, now) for waiting in seen):
                for post in workers:
                    self._replace(post, Hang.TAKES_NOTHING)

    def _replace(self, post: Post, hang: Hang) -> None:
        pid = 0 if post.child is None else post.child.pid
        self._bury(post)
        self._lose(post, -signal.SIGKILL, f"(process {pid}) {_WORDS[hang]}, and was killed")

    def _lose(self, post: Post, status: int, what: str) -> None:
        post.failures += 1
        post.status = status
        wait = pause(post.failures, self._patience)
        post.next_at = time.monotonic() + wait
        again = "" if self._is_hopeless(post) else f": it is started again in {wait:g} s"
        self._tell(f"nightkey: the {post.kind} {what}{again}")

    def _bury(self, post: Post) -> None:
        """Killed, if it still runs, with whatever it has begun: nothing of it is left."""
        child, post.child = post.child, None
        if child is None:
            return
        if child.pipe in self._selector.get_map():
            self._selector.unregister(child.pipe)
        child.kill()
        child.close()

    # When they are to end

    def _end(self) -> None:
        told_at = time.monotonic()
        heard = self._told
        for post in self._posts:
            if post.child is not None:
                post.child.stop()
        while any(post.child is not None for post in self._posts):
            self._listen()
            for post in self._posts:
                self._look_at_end(post, told_at, at_once=self._told > max(heard, 1))

    def _look_at_end(self, post: Post, told_at: float, *, at_once: bool) -> None:
        child = post.child
        if child is None:
            return
        if child.status() is not None:
            self._bury(post)
        elif at_once or may_be_killed(post.life, self._patience, told_at, time.monotonic()):
            self._tell(f"nightkey: the {post.kind} (process {child.pid}) did not end in time, and was killed")
            self._bury(post)


def _drain(bell: object) -> None:
    if isinstance(bell, socket.socket):
        bell.recv(64)


def _describe_end(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
