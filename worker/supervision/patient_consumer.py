"""Celery's consumer, which waits for a broker that is away as long as it takes.

Celery's own gives up after a while, and says nothing to who watches it: so `up` would take it for hung.
"""

from typing import Any, Final

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown

from worker.broker.reaching import explain_away
from worker.domain.broker_address import BrokerKind, kind_of_broker
from worker.supervision.absence import Absence
from worker.supervision.pulse import Pulse

_Consumer: Any = Consumer  # Celery has no types
_Blueprint: Any = Consumer.Blueprint
_DELAYED: Final = "celery.worker.consumer.delayed_delivery:DelayedDelivery"
"""Makes some thirty queues for messages that are to come later. We send none: due times are rows."""


class PatientConsumer(_Consumer):  # type: ignore[misc]  # as above
    class Blueprint(_Blueprint):  # type: ignore[misc]  # as above
        default_steps = tuple(step for step in _Blueprint.default_steps if step != _DELAYED)

    def __init__(self, *args: Any, pulse: Pulse, **kwargs: Any) -> None:  # noqa: ANN401  # Celery's
        self._absence = Absence(pulse)
        super().__init__(*args, **kwargs)

    def ensure_connected(self, conn: Any) -> Any:  # noqa: ANN401  # kombu's
        """Connected, however long that takes; a SIGTERM ends the wait. A folder is there, or cannot be used."""
        url = self.app.conf.broker_url
        if kind_of_broker(url) is BrokerKind.FOLDER:
            return super().ensure_connected(conn)
        while True:
            self._absence.wait(maybe_shutdown)
            try:
                conn.connect()
            except Exception as error:  # noqa: BLE001  # whatever the broker's library raises
                self._absence.begin(explain_away(url, error))
                conn.maybe_switch_next()
            else:
                self._absence.end()
                return conn

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        url = self.app.conf.broker_url
        if kind_of_broker(url) is not BrokerKind.FOLDER:
            self._absence.begin(explain_away(url, exc))
        super().on_connection_error_after_connected(exc)
