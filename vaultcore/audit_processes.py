"""Checks pages of the audit log, a long one by several processes: this one reads it and hands pages on.

A page holds or not by itself, given the hash before it, so it makes no difference who checks it. What a process
has not answered for is checked here: one that is killed, or fails, costs time alone.
"""

import os
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from vaultcore.audit_chain import AuditChain
from vaultcore.audit_checking import ANSWER, HELLO, write_message, write_page
from vaultcore.audit_pages import StoredPage

_ALONE: Final = 30
"""So many pages are checked before others are begun, which takes as long as a few of them."""
_PROCESSES_MAX: Final = 3
"""More would wait for who reads the log."""
_GIVEN_MAX: Final = 3
"""Pages that one process has at a time: the one that it checks, and the next ones."""
_AHEAD_MAX: Final = 16
"""Pages that are read before it is known whether the first of them holds."""
_AHEAD_BYTES_MAX: Final = 32 << 20
"""The same in bytes, as far as others have them to check: the last of them may be more."""
_PATIENCE_SECONDS: Final = 30.0
"""A process that has neither said nor taken anything for so long, with a page at hand, is given up."""


def count_spare_processors() -> int:
    """How many processes pay beside this one; 0 where there is one processor."""
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(usable - 1, _PROCESSES_MAX)


@dataclass(kw_only=True, eq=False)
class AskedPage:
    """`previous`: the hash that the row before it has, as far as is known. `by`: who checks it; None: nobody
    yet, or it is known whether it `holds`.
    """

    page: StoredPage
    previous: bytes
    by: "CheckingProcess | None" = None
    holds: bool | None = None


class PageChecks:
    """`processes`: how many may help. They are begun once a log has shown to be long, and end with the block.
    `lost`: how many ended before.
    """

    def __init__(self, chain: AuditChain, key: bytes, processes: int) -> None:
        self._chain = chain
        self._begin: Callable[[], CheckingProcess] = lambda: CheckingProcess(key)
        self._wanted = processes
        self._running: list[CheckingProcess] = []
        self._asked = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running:
            process.end()

    @property
    def lost(self) -> int:
        return sum(process.is_lost for process in self._running)

    def ask(self, previous: bytes, page: StoredPage) -> AskedPage:
        """Has it checked by who is free; by this process, if nobody is."""
        self._asked += 1
        if self._asked == _ALONE:
            with suppress(OSError):  # as many as the system lets begin
                for _ in range(self._wanted):
                    self._running.append(self._begin())
        asked = AskedPage(page=page, previous=previous)
        for process in self._running:
            process.hear()
        if not any(process.give(asked) for process in self._running):
            asked.holds = self._chain.holds(previous, page)
        return asked

    def conclude(self, asked: AskedPage, previous: bytes) -> bool:
        """Whether it holds after a row with that hash: by who was asked, or else by a look of this process."""
        while asked.by is not None:
            asked.by.hear(wait=True)
        if asked.holds is None or previous != asked.previous:
            return self._chain.holds(previous, asked.page)
        return asked.holds

    def may_read_on(self, ahead: deque[AskedPage]) -> bool:
        """Rather than wait for the first of these."""
        if not ahead:
            return True
        at_hand = sum(process.bytes_at_hand for process in self._running)
        return ahead[0].by is not None and len(ahead) < _AHEAD_MAX and at_hand < _AHEAD_BYTES_MAX


class CheckingProcess:
    """One that runs `vaultcore.audit_checking`. It is told the key, and nothing else of the vault, once it has
    guarded its memory; by a socket, which nobody else can open as they could a pipe.
    """

    def __init__(self, key: bytes) -> None:
        self.is_lost = False
        self._given: deque[tuple[AskedPage, int]] = deque()
        self._tell_key: Callable[[], bytes] = lambda: write_message(key)
        self._is_ready = False
        self._heard = b""
        self._unsent = b""
        self._way, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # ourselves
                    [sys.executable, "-I", "-m", "vaultcore.audit_checking"],
                    stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
        except OSError:
            self._way.close()
            raise
        self._way.setblocking(False)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def bytes_at_hand(self) -> int:
        """Of the pages that it has not answered for."""
        return sum(length for _, length in self._given)

    def give(self, asked: AskedPage) -> bool:
        """False: it has enough to do, is not ready yet, or has ended."""
        if self.is_lost or not self._is_ready or len(self._given) >= _GIVEN_MAX:
            return False
        message = write_page(asked.previous, asked.page)
        asked.by = self
        self._given.append((asked, len(message)))
        self._send(message)
        return asked.by is not None

    def hear(self, *, wait: bool = False) -> None:
        """Takes what it has answered, and sends on what it was given; with `wait`, when either can be done, or
        else it is given up.
        """
        if self.is_lost:
            return
        if wait:
            listening = select.poll()
            listening.register(self._way, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            if not listening.poll(_PATIENCE_SECONDS * 1000):
                self._lose()
                return
        try:
            heard = self._way.recv(len(HELLO) + ANSWER.size * _GIVEN_MAX)
        except BlockingIOError:
            self._send(b"")
            return
        except OSError:
            heard = b""
        if not heard:
            self._lose()
            return
        self._heard += heard
        if self._is_ready or self._greet():
            self._take_answers()
        if not self.is_lost:
            self._send(b"")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._way.close()

    def _greet(self) -> bool:
        """It has said that it is ready, and is told the key."""
        if len(self._heard) < len(HELLO):
            return False
        if not self._heard.startswith(HELLO):  # of another release, or none of ours
            self._lose()
            return False
        self._heard = self._heard[len(HELLO) :]
        self._is_ready = True
        self._send(self._tell_key())
        return not self.is_lost

    def _take_answers(self) -> None:
        while len(self._heard) >= ANSWER.size:
            first, holds = ANSWER.unpack(self._heard[: ANSWER.size])
            self._heard = self._heard[ANSWER.size :]
            if not self._given or self._given[0][0].page.first != first:
                self._lose()
                return
            asked, _ = self._given.popleft()
            asked.by, asked.holds = None, holds

    def _send(self, message: bytes) -> None:
        """As much as it takes at this moment, of what was left before it, too."""
        self._unsent += message
        try:
            while self._unsent:
                self._unsent = self._unsent[self._way.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self._lose()

    def _lose(self) -> None:
        self.is_lost = True
        for asked, _ in self._given:
            asked.by = None
        self._given.clear()
        self._unsent = b""
