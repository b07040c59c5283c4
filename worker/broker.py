"""The embedded broker: kombu's folder of messages, in which each is there whole or not at all.

Kombu writes a message under its last name, so that whoever looks at the wrong moment reads an empty one, moves
it to the machine's temporary folder to read it, and keeps a file that says where messages go: without it they
go nowhere. Here a message gets its name when it is written, is read where it lies, and goes to the one queue
of its name. One that cannot be read is passed over, and a folder that is gone is made anew: messages only ring,
and what was rung for is found by the resume sweep.
"""

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any, TypeVar

import structlog
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

SCHEME = "filesystem"

_log = structlog.get_logger(__name__)
T = TypeVar("T")

_Channel: Any = filesystem.Channel  # kombu has no types
_Transport: Any = filesystem.Transport
_Binding: Any = filesystem.exchange_queue_t
_dumps: Any = dumps
_loads: Any = loads


class Channel(_Channel):  # type: ignore[misc]  # as above
    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # noqa: ANN401  # kombu's
        content = _dumps(payload).encode()
        folder = self._folder
        # The digits go by a clock that nobody sets, and are as many for each: they sort as they were sent.
        name = f"{time.monotonic_ns():020d}_{uuid.uuid4()}"
        part = folder / f"{name}.part"
        try:
            self._in_the_folder(lambda: part.write_bytes(content))
            part.replace(folder / f"{name}.{queue}.msg")
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _get(self, queue: str) -> Any:  # noqa: ANN401  # kombu's
        for name in self._names(queue):
            content = _take(self._folder / name)
            if content is None:  # another worker was faster
                continue
            try:
                return _loads(content.decode())
            except ValueError:  # no JSON, or no text
                continue
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._names(queue))

    def get_table(self, exchange: str) -> list[Any]:
        """Where a message goes: there is one queue for each exchange, and its name is the same."""
        return [_Binding(exchange, "", exchange)]

    def _queue_bind(self, *_: object) -> None:
        """Nothing is kept of it: see `get_table`."""

    @property
    def _folder(self) -> Path:
        return Path(self.data_folder_in)

    def _names(self, queue: str) -> list[str]:
        found = self._in_the_folder(lambda: [path.name for path in self._folder.iterdir()])
        return sorted(name for name in found if name.partition(".")[2] == f"{queue}.msg")

    def _in_the_folder(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except FileNotFoundError:
            make_folder(self._folder)
            _log.warning("broker.made-anew", folder=str(self._folder))
            return act()


class Transport(_Transport):  # type: ignore[misc]  # as above
    Channel = Channel


def use_whole_messages() -> None:
    """From now on, broker URLs of kombu's folder lead here."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def make_folder(folder: Path) -> None:
    """For this user alone; what is missing above it is made, too."""
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _take(file: Path) -> bytes | None:
    """What is in the file, which is gone then; None if somebody else took it."""
    taken = file.with_suffix(".taken")
    try:
        file.rename(taken)
        content = taken.read_bytes()
        taken.unlink()
    except FileNotFoundError:
        return None
    return content
