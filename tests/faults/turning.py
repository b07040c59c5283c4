"""A wall clock that can be set while real processes run: loaded into them beneath Python."""

import mmap
import os
import shutil
import struct
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("turned_clock.c")
_FORMAT = struct.Struct("q")
_MICROSECOND = timedelta(microseconds=1)


class TurnedClock:
    """Shared by all processes that have its `environment`."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or pytest.skip("there is no C compiler: no clock can be turned")
        self._library = folder / "turned_clock.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", self._library, _SOURCE, "-ldl"], check=True, timeout=300
        )
        self._file = folder / "turned"
        self._file.write_bytes(bytes(_FORMAT.size))
        with self._file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), _FORMAT.size)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": os.fspath(self._library), "TURNED_CLOCK": os.fspath(self._file)}

    def __call__(self) -> datetime:
        return datetime.now(UTC) + _FORMAT.unpack_from(self._memory)[0] * _MICROSECOND

    def set(self, now: datetime) -> None:
        _FORMAT.pack_into(self._memory, 0, (now - datetime.now(UTC)) // _MICROSECOND)

    def turn(self, by: timedelta) -> None:
        self.set(self() + by)
