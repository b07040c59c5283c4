"""The time of a test, shared by its processes, and turned by whoever likes."""

import mmap
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORMAT = struct.Struct("q")


class SharedClock:
    """Microseconds in a file that every process maps: one that is killed leaves them as they are."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), _FORMAT.size)

    def __call__(self) -> datetime:
        return _EPOCH + _FORMAT.unpack_from(self._memory)[0] * _MICROSECOND

    def advance(self, duration: timedelta) -> None:
        self.set(self() + duration)

    def set(self, now: datetime) -> None:
        _FORMAT.pack_into(self._memory, 0, (now - _EPOCH) // _MICROSECOND)

    def close(self) -> None:
        self._memory.close()


def make_clock(file: Path, now: datetime = START) -> SharedClock:
    file.write_bytes(bytes(_FORMAT.size))
    clock = SharedClock(file)
    clock.set(now)
    return clock
