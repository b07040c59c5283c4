"""Sends a message to an apprise URL, and says why when that fails, without a word of the URL."""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import apprise

from vaultcore.errors import Cause, CounterpartError, InvalidInputError
from vaultcore.secret import Secret
from worker.delivery.formats import to_html, to_text
from worker.domain.notices import Message

_TIMEOUT_SECONDS = 20.0
_STATUS = re.compile(r"error=(\d{3})")


class AppriseSender:
    """The port `worker.services.sending.Sender`, by apprise."""

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
        """Sends, in the form that the service likes best; what failed has a cause, and a mistake is not worth a
        retry. Many threads may send at once. How long it takes is bounded by who calls.
        """
        with _listen() as heard:
            made = apprise.Apprise.instantiate(url.expose(), asset=self._asset, suppress_exceptions=True)
            sent = made is not None and _notify(made, message)
        if made is None:
            raise CounterpartError("apprise cannot read the route", cause=Cause.MISTAKE)
        if sent:
            return
        status = next((int(found[1]) for found in map(_STATUS.search, heard) if found), None)
        if status is not None and status in range(400, 500) and status not in (408, 429):
            raise CounterpartError(f"the service answered {status}", cause=Cause.MISTAKE)
        if status is None:
            raise CounterpartError("the service could not be reached", cause=Cause.OUTAGE, acted=False)
        raise CounterpartError(f"the service answered {status}", cause=Cause.OUTAGE)


def _notify(made: apprise.NotifyBase, message: Message) -> bool:
    likes: Any = made.notify_format  # one, or several with the best first
    best = likes[0] if isinstance(likes, tuple) else likes
    if made.overflow_mode == apprise.OverflowMode.UPSTREAM:  # what is too long for the service comes in parts
        made.overflow_mode = apprise.OverflowMode.SPLIT
    form, write = _FORMS.get(best, _FORMS[apprise.NotifyFormat.TEXT])
    return bool(made.notify(title=message.subject, body=write(message.body), body_format=form))


_FORMS: dict[apprise.NotifyFormat, tuple[apprise.NotifyFormat, Callable[[str], str]]] = {
    apprise.NotifyFormat.TEXT: (apprise.NotifyFormat.TEXT, to_text),
    apprise.NotifyFormat.HTML: (apprise.NotifyFormat.HTML, to_html),
    apprise.NotifyFormat.MARKDOWN: (apprise.NotifyFormat.MARKDOWN, str),
}


class _Ear(logging.Handler):
    """Hears what apprise logs, for the thread in which it was said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._threads = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        heard = getattr(self._threads, "heard", None)
        if heard is not None:
            heard.append(record.getMessage())

    def begin(self) -> list[str]:
        heard: list[str] = []
        self._threads.heard = heard
        return heard

    def end(self) -> None:
        self._threads.heard = None


_EAR = _Ear()


@contextmanager
def _listen() -> Iterator[list[str]]:
    """Apprise says why only in its log, and may say it with the URL: it is heard here and goes no further."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    if _EAR not in logger.handlers:
        logger.addHandler(_EAR)
    try:
        yield _EAR.begin()
    finally:
        _EAR.end()
