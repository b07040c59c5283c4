"""Sends a message to an apprise URL, and says why when that fails, without a word of the URL."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import apprise

from vaultcore.errors import Cause, CounterpartError, InvalidInputError
from vaultcore.secret import Secret
from worker.domain.notices import Message

_TIMEOUT_SECONDS = 20.0
_STATUS = re.compile(r"error=(\d{3})")


class AppriseSender:
    """The port `worker.services.notifying.Sender`, by apprise."""

    def __init__(self) -> None:
        self._asset = apprise.AppriseAsset(
            app_id="Nightkey",
            async_mode=False,
            http_redirects=False,
            secure_logging=True,
            storage_mode=apprise.PersistentStoreMode.MEMORY,
            service_timeout=_TIMEOUT_SECONDS,
            allow_templates=False,
        )

    def check(self, url: Secret) -> None:
        """Refuses a URL of which apprise can make nothing."""
        with _listen():
            made = apprise.Apprise.instantiate(url.expose(), asset=self._asset, suppress_exceptions=True)
        if made is None:
            raise InvalidInputError(
                "the route is not complete for its scheme: see apprise's documentation of that service"
            )

    def send(self, url: Secret, message: Message) -> None:
        """Sends, within 20 seconds; what failed has a cause, and a mistake is not worth a retry."""
        with _listen() as heard:
            made = apprise.Apprise.instantiate(url.expose(), asset=self._asset, suppress_exceptions=True)
            sent = made is not None and made.notify(
                title=message.subject,
                body=message.body,
                body_format=apprise.NotifyFormat.TEXT,
            )
        if made is None:
            raise CounterpartError("apprise cannot read the route", cause=Cause.MISTAKE)
        if sent:
            return
        status = next((int(found[1]) for found in map(_STATUS.search, heard) if found), None)
        if status is not None and status in range(400, 500) and status not in (408, 429):
            raise CounterpartError(f"the service answered {status}", cause=Cause.MISTAKE)
        what = "could not be reached" if status is None else f"answered {status}"
        raise CounterpartError(f"the service {what}", cause=Cause.OUTAGE)


class _Ear(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())


@contextmanager
def _listen() -> Iterator[list[str]]:
    """Apprise says why only in its log, and may say it with the URL: it is heard here and goes no further."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    ear = _Ear()
    logger.addHandler(ear)
    try:
        yield ear.heard
    finally:
        logger.removeHandler(ear)
