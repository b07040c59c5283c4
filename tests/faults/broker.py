"""A broker that cannot be trusted: it drops, doubles, delays and forges messages."""

import random
from collections import deque
from collections.abc import Callable

from tests.faults.chaos_worker import Message

DROPPED, DOUBLED, DELAYED, FORGED = 0.03, 0.06, 0.06, 0.02
"""Chances, per message."""


class Broker:
    """`honest`: it passes on what it is given, in order. `count` hears of each fault."""

    def __init__(self, dice: random.Random, count: Callable[[str, Message], None]) -> None:
        self.honest = False
        self._dice = dice
        self._count = count
        self._queue: deque[Message] = deque()
        self._late: list[tuple[int, Message]] = []
        self._turn = 0

    def __bool__(self) -> bool:
        """Whether there is a message to be had just now."""
        return bool(self._queue)

    def ring(self, message: Message) -> None:
        if message.bell == "resume" and message in self._queue:
            return  # it would say the same again
        if self.honest or not self._disturb(message):
            self._queue.append(message)

    def take(self) -> Message:
        return self._queue.popleft()

    def go_on(self) -> None:
        """A turn later: what was delayed until now is there."""
        self._turn += 1
        self._queue.extend(message for turn, message in self._late if turn <= self._turn or self.honest)
        self._late = [(turn, message) for turn, message in self._late if turn > self._turn and not self.honest]

    def _disturb(self, message: Message) -> bool:
        """Whether the message itself does not go on its way now."""
        thrown = self._dice.random()
        if thrown < DROPPED:
            self._count("message dropped", message)
            return True
        if thrown < DROPPED + DELAYED:
            self._count("message delayed", message)
            self._late.append((self._turn + self._dice.randint(2, 40), message))
            return True
        if thrown < DROPPED + DELAYED + DOUBLED:
            self._count("message doubled", message)
            self._queue.append(message)
        elif thrown < DROPPED + DELAYED + DOUBLED + FORGED:
            self._count("message forged", message)
            about = self._dice.choice(["", "rot_00000000000000000000000000", message.about[::-1], "'; --"])
            self._queue.append(Message(bell=self._dice.choice(["rotate", "run", "deliver"]), about=about))
        return False
