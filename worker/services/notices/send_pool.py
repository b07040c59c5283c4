"""Many sends at once, one for each route: threads that only send, and a time after which a send is given up."""

import threading
import time
from collections.abc import Collection, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from vaultcore.errors import NightkeyError, TargetError
from vaultcore.secret import Secret
from worker.domain.notices import Message
from worker.domain.recipients import Recipient, RecipientRefusedError
from worker.rows.deliveries import Key


class Sender(Protocol):
    """Knows whom a route leads to, and sends to one of them; raises `TargetError` with a cause."""

    def recipients(self, url: Secret) -> Sequence[Recipient]: ...

    def send(self, url: Secret, message: Message, *, recipient: str, part: int) -> int:
        """Sends one part of a message that may be too long for one; how many parts there are."""
        ...


@dataclass(frozen=True, kw_only=True)
class SendJob:
    """One part of one delivery, ready to be sent. `tries`: this one included.

    `draft`: the message as it may be kept, without the token of a pickup. `stands_in`: as its row says.
    """

    key: Key
    tries: int
    url: Secret
    message: Message
    draft: Message
    stands_in: bool
    part: int = 1


@dataclass(frozen=True, kw_only=True)
class SendResult:
    """What a try came to; `problem` None: the part was taken, of so many `parts`.

    `permanent`: another try would change nothing; `away`: the other side did not answer; `alone`: its answer
    was about this recipient.
    """

    job: SendJob
    parts: int = 1
    problem: str | None = None
    permanent: bool = False
    away: bool = False
    alone: bool = False


@dataclass(eq=False)
class _Flight:
    job: SendJob
    deadline: float
    context: Context
    given_up: bool = False


class SendPool:
    """Used by one thread; its own threads stay for the next time.

    A send that is given up goes on in its thread, which ends with it, and its late answer is not heard.
    """

    def __init__(self, sender: Sender, *, threads: int, deadline: float) -> None:
        self.sender = sender
        self.threads = threads
        self._deadline = deadline
        self._alive = 0
        self._flights: dict[str, _Flight] = {}
        self._waiting: SimpleQueue[_Flight] = SimpleQueue()
        self._ended: SimpleQueue[tuple[_Flight, SendResult]] = SimpleQueue()

    @property
    def busy(self) -> Collection[str]:
        """The routes that are being served."""
        return self._flights.keys()

    @property
    def room(self) -> int:
        return self.threads - len(self._flights)

    def start(self, job: SendJob) -> None:
        """Sends it, as soon as may be, by what holds for its caller, such as sessions that are kept. Its route
        must not be busy.
        """
        flight = _Flight(job=job, deadline=time.monotonic() + self._deadline, context=copy_context())
        self._flights[job.key.route_id] = flight
        self._waiting.put(flight)
        if self._alive < len(self._flights):
            self._alive += 1
            threading.Thread(target=self._work, daemon=True, name="sending").start()

    def collect(self) -> list[SendResult]:
        """Waits for what ends next: that, and what has ended with it. Empty if nothing is on its way."""
        results: list[SendResult] = []
        if not self._flights:
            return results
        first = min(flight.deadline for flight in self._flights.values())
        patience = max(first - time.monotonic(), 0.0)
        try:
            while True:
                flight, result = self._ended.get(timeout=patience)
                patience = 0.0
                if not flight.given_up:
                    del self._flights[flight.job.key.route_id]
                    results.append(result)
        except Empty:
            pass
        return results + self._give_up()

    def _give_up(self) -> list[SendResult]:
        late = [flight for flight in self._flights.values() if flight.deadline <= time.monotonic()]
        for flight in late:
            flight.given_up = True
            self._alive -= 1
            del self._flights[flight.job.key.route_id]
        problem = f"no answer within {self._deadline:g} seconds"
        return [SendResult(job=flight.job, problem=problem, away=True) for flight in late]

    def _work(self) -> None:
        while True:
            flight = self._waiting.get()
            result = flight.context.run(self._try, flight.job)
            self._ended.put((flight, result))
            if flight.given_up:
                return

    def _try(self, job: SendJob) -> SendResult:
        try:
            parts = self.sender.send(job.url, job.message, recipient=job.key.recipient, part=job.part)
        except NightkeyError as error:
            return SendResult(
                job=job,
                problem=str(error),
                permanent=not error.can_retry,
                away=isinstance(error, TargetError) and not error.acted,
                alone=isinstance(error, RecipientRefusedError),
            )
        except Exception as error:  # noqa: BLE001  # a plugin's own mistake, which must not hold up the others
            return SendResult(job=job, problem=f"the route failed ({type(error).__name__})")
        return SendResult(job=job, parts=parts)
