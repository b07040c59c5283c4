"""Beat's schedule: rings at once and then every so many seconds, by a clock that nobody can set.

Celery's own schedulers go by the wall clock, and keep a file that may be damaged. What is due is decided by who
hears the ring, from the rows: so there is nothing to remember here.
"""

import time
from contextlib import suppress
from typing import Any

from celery import beat

from worker.broker.blocking import BlockedError, find_blocked
from worker.broker.queues import count_waiting
from worker.broker.reaching import explain_away, hear_broker
from worker.domain.broker_address import BrokerKind, kind_of_broker
from worker.domain.lines import Line
from worker.domain.pulses import WAITING, Sign
from worker.log import get_logger
from worker.supervision.absence import Absence
from worker.supervision.pulse import Pulse

LOOK_SECONDS = 5.0
"""How often it lets itself be heard at least."""
FULL = 100
"""So many messages that wait for who keeps nights going are enough: whoever takes one looks at everything."""
_SIGNS = {lines: sign for sign, lines in WAITING.items()}

_log = get_logger(__name__)
_Scheduler: Any = beat.Scheduler  # Celery has no types


class Bells(_Scheduler):  # type: ignore[misc]  # as above
    def __init__(self, *args: Any, pulse: Pulse | None = None, **kwargs: Any) -> None:  # noqa: ANN401  # Celery's
        self._pulse = pulse or Pulse(None)
        self._absence = Absence(self._pulse)
        self._due: dict[str, float] = {}
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, **_: object) -> float:
        """Rings what is due, if the broker can be reached and takes it; in how many seconds to come again."""
        if not self._is_reached():
            return LOOK_SECONDS
        try:
            return self._ring_what_is_due()
        except Exception as error:  # noqa: BLE001  # whatever the broker's library raises: the next ring comes
            if find_blocked(error) is None:
                _log.warning("beat.not-rung", error=type(error).__name__)
                self._begin_anew()
            else:
                self._tell_away(error)
        return LOOK_SECONDS

    def _is_reached(self) -> bool:
        if kind_of_broker(self.app.conf.broker_url) is BrokerKind.FOLDER:
            return True
        try:
            self.connection.connect()
            self._hear()
        except Exception as error:  # noqa: BLE001  # whatever the broker's library raises
            self._tell_away(error)
            return False
        self._absence.end()
        return True

    def _hear(self) -> None:
        try:
            hear_broker(self.connection)
        except BlockedError:
            raise  # and it is kept: the broker says there when it takes messages again
        except Exception:
            self._begin_anew()
            raise

    def _tell_away(self, error: Exception) -> None:
        self._absence.begin(explain_away(self.app.conf.broker_url, error))

    def _ring_what_is_due(self) -> float:
        waiting = {line: count_waiting(self.connection, line) for line in Line}
        self._pulse.say(_SIGNS[frozenset(line for line, number in waiting.items() if number)])
        for name, entry in self.schedule.items():
            if self._due.get(name, 0) <= time.monotonic():
                if waiting[Line.NIGHT] < FULL:
                    self.apply_async(entry, producer=self.producer, advance=False)
                self._pulse.say(Sign.RANG)
                self._due[name] = time.monotonic() + entry.schedule.run_every.total_seconds()
        return max(min(min(self._due.values()) - time.monotonic(), LOOK_SECONDS), 0.0)

    def _begin_anew(self) -> None:
        """With a connection that the next tick makes. One that broke is never used again: at Redis it counts as
        connected for ever, and what sends goes on with its channel, which is closed.
        """
        lost = self.__dict__.pop("connection", None)
        self.__dict__.pop("producer", None)
        if lost is not None:
            with suppress(Exception):  # whatever the broker's library raises: it is not used any more
                lost.release()
