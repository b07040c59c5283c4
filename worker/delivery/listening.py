"""Apprise says only in its log what it drops and why it fails, and may say it with the URL: it is heard here
and goes no further.
"""

import logging
import re
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import unquote

_NO_REASON = ("Could not load", "Unparseable", "Unsupported URL", "Dictionary")
"""What it logs beside the reason."""
_PLACES = re.compile(r"[/@?&=#:,;]+")
_APART = re.compile(r"[^\w%~-]+")
_PLAIN_MAX = 8
"""Letters of a word that may stand within a longer one by chance."""
_QUOTED = re.compile(r"\([^()]*\)|'[^']*'|\"[^\"]*\"|\[[^\[\]]*\]")


class _Ear(logging.Handler):
    """Hears what apprise logs, for the thread in which it was said."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._threads = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        heard = getattr(self._threads, "heard", None)
        if heard is not None:
            heard.append(record.getMessage())

    def begin(self, heard: list[str]) -> list[str] | None:
        before: list[str] | None = getattr(self._threads, "heard", None)
        self._threads.heard = heard
        return before

    def end(self, before: list[str] | None) -> None:
        self._threads.heard = before


_EAR = _Ear()


@contextmanager
def listen() -> Iterator[list[str]]:
    """What apprise warns of in this thread; an inner one hears by itself."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    if logger.level != logging.WARNING:  # it makes every logger forget what it is enabled for
        logger.setLevel(logging.WARNING)
    if _EAR not in logger.handlers:
        logger.addHandler(_EAR)
    heard: list[str] = []
    before = _EAR.begin(heard)
    try:
        yield heard
    finally:
        _EAR.end(before)


def say_reason(heard: Sequence[str], url: str, *, spare: Collection[str] = ()) -> str | None:
    """The first that is a reason, without a word of the URL, but for those to `spare`; None: there is none."""
    for line in heard:
        if line.startswith(_NO_REASON):
            continue
        masked = _QUOTED.sub("…", " ".join(line.split()))
        for word in sorted(_words_of(url).difference(spare), key=len, reverse=True):
            edge = "" if len(word) > _PLAIN_MAX or not word.isalpha() else r"\b"
            masked = re.sub(f"{edge}{re.escape(word)}{edge}", "…", masked, flags=re.IGNORECASE)
        masked = re.sub(r"…[\s…:]*…", "…", masked).strip(" .:")
        if masked.strip("… "):
            return masked
    return None


def _words_of(url: str) -> set[str]:
    """The parts of a URL that might be said; short ones and the scheme give nothing away."""
    rest = url.partition("://")[2]
    found = {word for text in (rest, unquote(rest)) for cut in (_APART, _PLACES) for word in cut.split(text)}
    return {word for word in found if len(word) > 2}
