"""Two workers at a time, who are killed, or stopped for longer than their lease and continued later."""

import random
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from tests.faults.chaos_worker import Answer, ChaosWorker, Message, Stopping, Strike
from tests.faults.vault_copy import VaultCopy

SIZE = 2
KILLED, STOPPED = 0.02, 0.008
"""Chances, per message."""
PATIENCE = 300.0
"""Seconds of real time after which a worker that says nothing is taken for hung."""


class WorkerPool:
    """`lapse` frees what a worker held who is dead or stopped; `count` hears of each fault."""

    def __init__(
        self,
        place: VaultCopy,
        clock_file: Path,
        dice: random.Random,
        *,
        stops: bool,
        lapse: Callable[[str], None],
        count: Callable[[str, Message], None],
    ) -> None:
        self.spared = False
        self._place = place
        self._clock_file = clock_file
        self._dice = dice
        self._stops = stops
        self._lapse = lapse
        self._count = count
        self._hands = [self._hire() for _ in range(SIZE)]
        self._sleeping: dict[ChaosWorker, int] = {}
        self._turn = 0

    def is_free(self) -> bool:
        return any(hand.message is None for hand in self._hands)

    def is_busy(self, *, asleep: bool = False) -> bool:
        """Whether somebody will answer by himself; `asleep`: or once he is woken."""
        return any(hand.message is not None and (asleep or not hand.stopped) for hand in self._hands)

    def give(self, message: Message) -> None:
        hand = next(hand for hand in self._hands if hand.message is None)
        hand.send(message, self._choose_strike(message))

    def go_on(self) -> None:
        """A turn later: who slept until now wakes up; everybody does when they are spared."""
        self._turn += 1
        for hand in [hand for hand, until in self._sleeping.items() if self.spared or until <= self._turn]:
            del self._sleeping[hand]
            hand.wake()

    def hear(self) -> list[Answer]:
        """Waits until somebody says something, and takes what they all said."""
        lines: dict[Any, ChaosWorker] = {hand.line: hand for hand in self._hands}
        ready = wait(list(lines), PATIENCE)
        if not ready:
            raise TimeoutError(f"{[hand.message for hand in self._hands]}: no answer in {PATIENCE:g} seconds")
        return [answer for line in ready if (answer := self._take(lines[line])) is not None]

    def kill_somebody(self) -> None:
        """While a request was served and not answered: one of those who may have sent it. By any thread."""
        busy = [hand for hand in list(self._hands) if hand.message is not None and not hand.stopped]
        if busy:
            with suppress(ValueError):  # he is dead and buried already
                random.choice(busy).kill()

    def dismiss(self) -> None:
        for hand in self._hands:
            hand.end()

    def _take(self, hand: ChaosWorker) -> Answer | None:
        message, heard = hand.message, hand.hear()
        if message is None:  # he was killed for a request, and had given his answer by then
            assert heard is None, heard
            self._replace(hand)
            return None
        if isinstance(heard, Answer):
            hand.message = None
            if len(self._hands) - len(self._sleeping) > SIZE:  # who stood in for a sleeper
                self._dismiss(hand)
            return heard
        if isinstance(heard, Stopping):
            self._count("worker stopped past its lease", message)
            hand.stop()
            self._sleeping[hand] = self._turn + self._dice.randint(5, 80)
            self._hands.append(self._hire())
            self._lapse(message.about)
        elif not hand.doomed:
            raise RuntimeError(f"a worker died by itself, at {message}: its traceback is on standard error")
        else:
            self._count("worker killed", message)
            self._replace(hand)
            if message.bell == "rotate" and self._dice.random() < 0.7:  # else the clock will do it
                self._lapse(message.about)
        return None

    def _choose_strike(self, message: Message) -> Strike | None:
        thrown = self._dice.random()
        if self.spared:
            return None
        if thrown < KILLED:
            return Strike(what=signal.SIGKILL, after=self._dice.randint(1, 9))
        if thrown < KILLED + STOPPED and message.bell == "rotate" and self._stops:
            return Strike(what=signal.SIGSTOP, after=self._dice.randint(1, 6))
        return None

    def _hire(self) -> ChaosWorker:
        return ChaosWorker(self._place, self._clock_file)

    def _replace(self, hand: ChaosWorker) -> None:
        self._dismiss(hand)
        self._hands.append(self._hire())

    def _dismiss(self, hand: ChaosWorker) -> None:
        self._hands.remove(hand)
        self._sleeping.pop(hand, None)
        hand.end()
