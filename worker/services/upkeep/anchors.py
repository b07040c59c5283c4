"""Anchors: the head of the audit log, signed, beside the vault and wherever a person keeps a copy."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from vaultcore.audit import Anchor, AuditLog
from vaultcore.audit_rows import LogHead
from vaultcore.audit_verification import Verification
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NightkeyError, RefusedError
from worker.home import ANCHORS_FILE as ANCHORS_FILE  # noqa: PLC0414  # it is named with what writes it
from worker.log import get_logger

_log = get_logger(__name__)
_TAIL = 4096
_LINES_MAX = 100
"""That are known to be ours: more than there are in a tail."""
"""How much of the file's end is looked at for its newest anchor, in bytes: a dozen lines, since processes that
write at the same moment may have written in another order than that of their heads."""


class Anchors:
    """Appends an anchor to the file after each night and after each change of a value, verifies the log against
    them all, and tells a database that is older than they are.
    """

    def __init__(
        self, *, database: Database, audit: AuditLog, file: Path, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._audit = audit
        self._file = file
        self._clock = clock
        self._is_newest_held = False
        """That the database has the newest anchor's row was seen. It stays so: nobody puts another database in
        its place while a process works on it."""
        self._seen: tuple[tuple[int, int, int], Anchor | None] | None = None
        self._lines: dict[bytes, Anchor] = {}
        """Those at the file's end that were read before."""

    def anchor(self) -> str:
        """Signs today's head and appends it, on the disk; the line is also what to keep elsewhere.
        `RefusedError` for an older database.
        """
        return self._append(self.read_head(), sync=True)

    def anchor_quietly(self, head: LogHead | None) -> None:
        """After a change that is committed, and left the log at that head; None: it is looked up. The
        change stands, whatever becomes of its anchor. Not waited for: a machine that loses its power may forget
        the anchor, and the change is still there.
        """
        try:
            anchor = self.read_head() if head is None else Anchor(**head._asdict(), at=self._clock())
            self._append(anchor, sync=False)
        except (OSError, NightkeyError, SQLAlchemyError) as error:
            _log.warning("anchor.not-written", error=type(error).__name__)

    def read_head(self) -> Anchor:
        """Where the log ends now; `AuditError` where it has lost its head."""
        with self._database.read() as connection:
            return self._audit.make_anchor(connection, self._clock())

    def verify(
        self, extra: Path | None = None, *, lines: Sequence[str] = (), processes: int = 0
    ) -> Verification:
        """Walks the chain and holds it against the anchors here and, if given, those of a file, and of
        lines. `processes`: how many others may help.
        """
        anchors = self._read(self._file) if self._file.exists() else ()
        if extra is not None:
            anchors += self._read(extra)
        anchors += tuple(
            self._audit.read_anchor(line, source=f"anchors.{number}") for number, line in enumerate(lines)
        )
        with self._database.read() as connection:
            return self._audit.verify(connection, anchors, processes=processes)

    def explain_older(self, within: Connection | None = None) -> str | None:
        """What is wrong if the database is older than the newest anchor beside it, or another; None: nothing.

        One look at the file's end and one at the row that the anchor was made of, so that every start may ask.
        `within`: the transaction of what is done only if nothing is.
        """
        problem = ""
        try:
            newest = self.find_newest()
        except FileNotFoundError:
            return None
        except OSError as error:
            problem = error.strerror or type(error).__name__
        except InvalidInputError:
            problem = "it ends with no anchor that this vault's keyring signed"
        if problem:
            return (
                f"{self._file} cannot be read: {problem}. It tells a database that was put back: mend it, or "
                "move it away and run `nightkey restore --adopt`"
            )
        if newest is None:
            return None
        with self._database.read() if within is None else nullcontext(within) as connection:
            if self._audit.holds(connection, newest):
                return None
            last = self._audit.make_anchor(connection, self._clock()).seq
        found = f"ends at row {last}" if last < newest.seq else f"has another row {newest.seq}"
        return (
            f"the database is not the one that was here at {newest.at:%Y-%m-%d %H:%M} UTC: its log {found}, "
            f"and {self._file.name} knows row {newest.seq}. Was the vault moved (`nightkey migrate-to`)? Then "
            "database_url has to name where it is. Was an older one put back? "
            "`nightkey restore FILE --replace` brings a backup back; `nightkey restore --adopt` keeps this "
            "one, and compares every value with its target before anything is rotated"
        )

    def refuse_older(self, within: Connection | None = None) -> None:
        """Before anything is begun, rotated or revoked."""
        problem = self.explain_older(within)
        if problem is not None:
            raise RefusedError(problem)

    def _append(self, anchor: Anchor, *, sync: bool) -> str:
        """One write of one line, so that processes that append at the same moment do not mix theirs. An older
        database gets none: with rows enough of its own it would be taken for the vault, and that for older.

        A machine that works on the vault of another may have no data folder yet.
        """
        if not self._is_newest_held:
            self.refuse_older()
            self._is_newest_held = True
        line = self._audit.sign(anchor)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(self._file, flags, 0o600)
        try:
            os.write(descriptor, f"{line}\n".encode())
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if len(self._lines) >= _LINES_MAX:
            self._lines.clear()
        self._lines[line.encode()] = anchor
        return line

    def find_newest(self) -> Anchor | None:
        """Of those at the file's end; `FileNotFoundError` where there is no file.

        A line that cannot be read is passed over, as long as another can be:
        `verify` complains of it.
        """
        with self._file.open("rb") as file:
            found = os.fstat(file.fileno())
            state = (found.st_ino, found.st_size, found.st_mtime_ns)
            if self._seen is not None and self._seen[0] == state:
                return self._seen[1]
            file.seek(max(found.st_size - _TAIL, 0))
            lines = file.read(_TAIL).splitlines()
        newest: Anchor | None = None
        known, self._lines = self._lines, {}
        for line in lines:
            try:
                anchor = known.get(line) or self._audit.read_anchor(line.decode(), source=str(self._file))
            except (InvalidInputError, UnicodeDecodeError):
                continue
            self._lines[line] = anchor
            if newest is None or anchor.seq > newest.seq:
                newest = anchor
        if newest is None and any(lines):
            raise InvalidInputError(f"{self._file} ends with no anchor")
        self._seen = (state, newest)
        return newest

    def _read(self, file: Path) -> tuple[Anchor, ...]:
        try:
            if file.exists() and not file.is_file():  # a device has no end, and a pipe perhaps no writer
                raise InvalidInputError(f"{file} is not a file of anchors")
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            told = f"{file} cannot be read as a file of anchors ({type(error).__name__})"
            raise InvalidInputError(told) from None
        return tuple(
            self._audit.read_anchor(line, source=f"{file}, line {number}")
            for number, line in enumerate(lines, start=1)
            if line.strip()
        )
