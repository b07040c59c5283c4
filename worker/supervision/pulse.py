"""How a process lets itself be heard by the `up` that began it: letters in a pipe."""

import itertools
import os
import threading
import time
from contextlib import suppress
from typing import Any

from worker.domain.pulses import Sign

_EVERY_SECONDS = 1.0
_ASKS_AGAIN = 5
"""After so many of them without an answer: a loop that began anew has forgotten what it was asked."""


class Pulse:
    """The writing end. Without a pipe nobody listens, and nothing is said."""

    def __init__(self, pipe: int | None) -> None:
        self._pipe = pipe
        self._answered = True
        self._busy = False
        self._moves = 0
        if pipe is not None:
            os.set_inheritable(pipe, False)
            os.set_blocking(pipe, False)

    @property
    def moves(self) -> int:
        """How often it moved until now: what stands still while this does says nothing."""
        return self._moves

    def say(self, sign: Sign) -> None:
        self._moves += 1
        if self._pipe is not None:
            with suppress(OSError):  # nobody listens any more, or does not keep up
                os.write(self._pipe, sign.value.encode())

    def begin(self, **_: object) -> None:
        self._busy = True
        self.say(Sign.BEGAN)

    def end(self, **_: object) -> None:
        self._busy = False
        self.say(Sign.ENDED)

    def follow(self, sender: Any, **_: object) -> None:  # noqa: ANN401  # Celery's consumer
        """From now on, the consumer's loop says that it goes round; during a task, that the process runs."""
        threading.Thread(target=self._follow, args=(sender,), name="pulse", daemon=True).start()

    def _follow(self, consumer: Any) -> None:  # noqa: ANN401  # as above
        for turn in itertools.count():
            time.sleep(_EVERY_SECONDS)
            if self._busy:
                self.say(Sign.ALIVE)
            elif self._answered or turn % _ASKS_AGAIN == 0:
                self._answered = False
                consumer.call_soon(self._answer)

    def _answer(self) -> None:
        self._answered = True
        self.say(Sign.ALIVE)
