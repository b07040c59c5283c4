"""Where that goes which lay at the broker and is no message of ours: a folder that a person looks into.

Nothing in it is ever read again by Nightkey, or put back. It holds so much at most; what comes beyond that is
taken away, and counted all the same.
"""

import os
import stat
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from secrets import token_hex

from worker.domain.messages import MessageFault
from worker.domain.parcels import BYTES_MAX
from worker.log import get_logger

ENTRIES_MAX = 200
"""So many files, with what they hold below."""
KEPT_MAX = 4 * BYTES_MAX
"""No file in it is larger: what is, is taken away or cut."""

_log = get_logger(__name__)


class Aside:
    """Counts are this process's; the folder is everybody's who works in this home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: Counter[MessageFault] = Counter()
        self._lock = threading.Lock()

    def take_counts(self) -> dict[MessageFault, int]:
        """How many of each since this was last asked."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return dict(counts)

    def give_back(self, counts: dict[MessageFault, int]) -> None:
        """What was taken and could not be written down."""
        with self._lock:
            self._counts.update(counts)

    def keep_bytes(self, content: bytes, fault: MessageFault) -> None:
        """The beginning of what came from elsewhere."""
        kept = None
        with suppress(OSError):
            kept = self._write(content[:KEPT_MAX], fault)
        self.count(fault, kept)

    def keep_entry(self, entry: Path, fault: MessageFault) -> bool:
        """Moves a directory's entry here, whatever it is, without opening it. False: it is still there.

        What would be too much is deleted; but a folder stays where it is, since it may hold anything.
        """
        try:
            found = entry.lstat()
        except FileNotFoundError:
            return True
        kept = self._move(entry, fault) if not _is_large(found) else None
        if kept is None:
            try:
                entry.unlink()
            except FileNotFoundError:
                return True
            except OSError:
                _log.warning("message.not-moved", entry=ascii(entry.name)[:200])
                self.count(fault)
                return False
        self.count(fault, kept)
        return True

    def count(self, fault: MessageFault, kept: str | None = None) -> None:
        """`kept`: the name that it has got here, if it is here."""
        with self._lock:
            self._counts[fault] += 1
        _log.warning("message.set-aside", fault=fault.value, kept=kept)

    # Inside

    def _move(self, entry: Path, fault: MessageFault) -> str | None:
        """The name that it has got; None: there is no room, or it cannot be moved."""
        try:
            folder = self._open()
            try:
                if self._is_full(folder):
                    return None
                name = _name(fault)
                os.rename(entry, name, dst_dir_fd=folder)
            finally:
                os.close(folder)
        except OSError:
            return None
        return name

    def _write(self, content: bytes, fault: MessageFault) -> str | None:
        folder = self._open()
        try:
            if self._is_full(folder):
                return None
            name = _name(fault)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
                file.write(content)
        finally:
            os.close(folder)
        return name

    def _open(self) -> int:
        with suppress(FileExistsError):
            self._folder.mkdir(mode=0o700, parents=True)
        return os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)

    def _is_full(self, folder: int) -> bool:
        with os.scandir(folder) as entries:
            return sum(1 for _ in entries) >= ENTRIES_MAX


@cache
def aside_at(folder: Path) -> Aside:
    """The one of this process for the folder: the broker's channels put in, and who tells of it takes out."""
    return Aside(folder)


def _is_large(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_size > KEPT_MAX


def _name(fault: MessageFault) -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}_{token_hex(6)}_{fault.value}"
