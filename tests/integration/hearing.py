"""A pulse that keeps what is said to it."""

from worker.domain.pulses import Sign
from worker.supervision.pulse import Pulse


class Heard(Pulse):
    def __init__(self) -> None:
        super().__init__(None)
        self.signs: list[Sign] = []

    def say(self, sign: Sign) -> None:
        self.signs.append(sign)
