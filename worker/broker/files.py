"""The embedded broker: kombu's folder of messages, in which each is there whole or not at all.

Kombu writes a message under its last name, so that whoever looks at the wrong moment reads an empty one, moves
it to the machine's temporary folder to read it, and keeps a file that says where messages go: without it they
go nowhere. Here a message gets its name when it is written, is read where it lies, and goes to the one queue
of its name. What is no message of ours is moved aside unread, and a folder that is gone is made anew: messages
only ring, and what was rung for is found by the resume sweep.
"""

import os
import stat
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any, TypeVar

from kombu.transport import filesystem
from kombu.utils.json import dumps

from worker.broker.aside import Aside, aside_at
from worker.broker.queues import FORMER, QUEUES
from worker.broker.sealing import SealingChannel, Seals
from worker.domain.messages import MessageFault, Ring
from worker.domain.parcels import BYTES_MAX, Parcel, read_parcel, write_envelope
from worker.log import get_logger
from worker.ownership import is_ours_alone

_WORDS_OF_OURS = ("part", "taken")
"""How a name ends that is being written, or read, just now."""

_log = get_logger(__name__)
T = TypeVar("T")

_Channel: Any = filesystem.Channel  # kombu has no types
_Transport: Any = filesystem.Transport
_Binding: Any = filesystem.exchange_queue_t
_dumps: Any = dumps


class FilesChannel(SealingChannel, _Channel):  # type: ignore[misc]  # as above
    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # kombu's
        super().__init__(*args, **kwargs)
        self._immovable: set[str] = set()

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # noqa: ANN401  # kombu's
        content = _dumps(payload).encode()
        folder = self._folder
        # The digits go by a clock that nobody sets, and are as many for each: they sort as they were sent.
        name = f"{time.monotonic_ns():020d}_{uuid.uuid4()}"
        part = folder / f"{name}.part"
        try:
            self._in_the_folder(lambda: _write(part, content))
            part.replace(folder / f"{name}.{queue}.msg")
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _get(self, queue: str) -> Any:  # noqa: ANN401  # kombu's
        for name in self._names():
            if name in self._immovable:
                continue
            if not _is_of(name, queue):
                self._clear(name)
                continue
            ring = self._take(self._folder / name)
            if ring is not None:
                return write_envelope(ring, queue=queue, tag=str(uuid.uuid4()))
        raise Empty

    def _size(self, queue: str) -> int:
        """Of those that can be taken: who waits for the others to be gone waits for ever."""
        return sum(_is_of(name, queue) and name not in self._immovable for name in self._names())

    def get_table(self, exchange: str) -> list[Any]:
        """Where a message goes: there is one queue for each exchange, and its name is the same."""
        return [_Binding(exchange, "", exchange)]

    def _queue_bind(self, *_: object) -> None:
        """Nothing is kept of it: see `get_table`."""

    @property
    def _folder(self) -> Path:
        return Path(self.data_folder_in)

    @property
    def seals(self) -> Seals:
        seals: Seals = self.transport_options["seals"]
        return seals

    @property
    def _aside(self) -> Aside:
        return aside_at(Path(self.transport_options["aside"]))

    def _names(self) -> list[str]:
        """Of what is not being written or read just now, the oldest message first."""
        found = self._in_the_folder(lambda: os.listdir(self._folder))  # noqa: PTH208  # asked for each message
        return sorted(name for name in found if name.rpartition(".")[2] not in _WORDS_OF_OURS)

    def _take(self, file: Path) -> Ring | None:
        """What the file rings, which is gone then; None: it rings nothing and is set aside, or another worker
        was faster.
        """
        try:
            fault = _find_fault(file.lstat())
            if fault is not None:
                self._set_aside(file, fault)
                return None
            taken = file.with_suffix(".taken")
            file.rename(taken)
        except FileNotFoundError:
            return None
        read = _read(taken)
        ring = read if isinstance(read, MessageFault) else self.seals.open(read.sealed)
        if isinstance(ring, MessageFault):
            self._set_aside(taken, ring)
            return None
        with suppress(FileNotFoundError):
            taken.unlink()
        return ring

    def _clear(self, name: str) -> None:
        """Out of the way, what no queue of ours has: a message of an older release is taken away, and what it
        rang for is found by the resume sweep.
        """
        if any(_is_of(name, other) for other in QUEUES.values()):
            return
        file = self._folder / name
        if _is_of(name, FORMER):
            with suppress(OSError):
                file.unlink()
                return
        self._set_aside(file, MessageFault.NO_FILE)

    def _set_aside(self, entry: Path, fault: MessageFault) -> None:
        if not self._aside.keep_entry(entry, fault):
            self._immovable.add(entry.name)

    def _in_the_folder(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except FileNotFoundError:
            make_folder(self._folder)
            _log.warning("broker.made-anew", folder=str(self._folder))
            return act()


class FilesTransport(_Transport):  # type: ignore[misc]  # as above
    Channel = FilesChannel


def make_folder(folder: Path) -> None:
    """For this user alone; what is missing above it is made, too."""
    for path in (folder.parent, folder):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def count_waiting(folder: Path, queue: str) -> int:
    """Messages of the queue that lie there; a folder that is not there is not made."""
    return sum(_is_of(path.name, queue) for path in folder.iterdir()) if folder.is_dir() else 0


def _is_of(name: str, queue: str) -> bool:
    return name.partition(".")[2] == f"{queue}.msg"


def _write(file: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(file, flags, 0o600), "wb") as stream:
        stream.write(content)


def _read(file: Path) -> Parcel | MessageFault:
    """Looked at again once it is open: what has the name now may be another file than before."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return MessageFault.UNREADABLE
    try:
        fault = _find_fault(os.fstat(descriptor))
        if fault is not None:
            return fault
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return read_parcel(stream.read(BYTES_MAX + 1))
    except OSError:
        return MessageFault.UNREADABLE
    finally:
        os.close(descriptor)


def _find_fault(found: os.stat_result) -> MessageFault | None:
    """What is wrong with a file before anything is read of it."""
    if not stat.S_ISREG(found.st_mode):
        return MessageFault.NO_FILE
    if not is_ours_alone(found):
        return MessageFault.NOT_OURS
    return MessageFault.TOO_LARGE if found.st_size > BYTES_MAX else None
