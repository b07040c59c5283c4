"""Logging: one line an event on standard error, with names and ids and never values, locals or parameters.

It is JSON, or text for a person at a terminal. structlog is loaded with the first line: most commands log none.
"""

import io
import logging
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger

_SAID_MAX: Final = 500


class _StandardError(io.TextIOBase):
    """Standard error as it is when a line is written. A line that it does not take, for its disk is full or its
    reader gone, is lost: work never ends, and no call is refused, for want of its log.
    """

    def write(self, text: str, /) -> int:
        try:
            return sys.stderr.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            return


class _Foreign(logging.Handler):
    """What libraries log, as an event like ours: their text, and of an exception its type alone."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            said = " ".join(record.getMessage().split())[:_SAID_MAX]
            event = {"says": said, **({"exc_info": record.exc_info[1]} if record.exc_info else {})}
            get_logger(record.name).log(record.levelno, record.name, **event)
        except Exception:  # noqa: BLE001  # a line that cannot be made is lost, as one that cannot be written
            return


def configure_logging(level: str) -> None:
    """For every process, once. Exceptions are logged by type alone: their text may quote anything.

    Libraries are heard from a warning on, or with all that they say where `level` is `DEBUG`.
    """
    least = logging.getLevelNamesMapping()[level]
    _waiting.append(least)
    if "structlog" in sys.modules:
        _configure_waiting()
    root = logging.getLogger()
    root.handlers = [*(one for one in root.handlers if not isinstance(one, _Foreign)), _Foreign()]
    root.setLevel(least if least <= logging.DEBUG else max(least, logging.WARNING))


class _Logger:
    """structlog's logger of that name, as it is when a line is written."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401  # the library's
        import structlog  # noqa: PLC0415  # what logs nothing does not wait for it

        _configure_waiting()
        return getattr(structlog.get_logger(self._name), method)


def get_logger(name: str) -> Any:  # noqa: ANN401  # as structlog's own
    return _Logger(name)


_waiting: Final[list[int]] = []
"""The level that was asked for last, while structlog is not configured for it."""


def _configure_waiting() -> None:
    if not _waiting:
        return
    least = _waiting[-1]
    _waiting.clear()
    import structlog  # noqa: PLC0415  # as above

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_exception,
            _write_text if _is_watched() else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=False,
    )


def _is_watched() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # it is closed
        return False


def _write_text(_: "WrappedLogger", __: str, event: "EventDict") -> str:
    """`2026-11-27 02:00:14 UTC  info     rotation.moved  item=prod-crm-token state=testing`."""
    moment = str(event.pop("timestamp"))[:19].replace("T", " ")
    level, name = event.pop("level"), event.pop("event")
    rest = " ".join(f"{key}={value}" for key, value in event.items() if value is not None)
    return f"{moment} UTC  {level:<7}  {name}  {rest}".rstrip().replace("\n", " ")


def _name_exception(_: "WrappedLogger", __: str, event: "EventDict") -> "EventDict":
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
    return event
