"""Anchors: the head of the audit log, signed, beside the vault and wherever a person keeps a copy."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from vaultcore.audit import Anchor, AuditLog, Verdict
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError


class Anchoring:
    """Appends an anchor to the file after each night, and verifies the log against them all."""

    def __init__(
        self, *, database: Database, audit: AuditLog, file: Path, clock: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._audit = audit
        self._file = file
        self._clock = clock

    def anchor(self) -> str:
        """Signs today's head and appends it; the line is also what to keep elsewhere."""
        with self._database.read() as connection:
            line = self._audit.sign(self._audit.make_anchor(connection, self._clock()))
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        return line

    def verify(self, extra: Path | None = None) -> Verdict:
        """Walks the chain and holds it against the anchors here and, if given, those of a file."""
        anchors = self._read(self._file) if self._file.exists() else ()
        if extra is not None:
            anchors += self._read(extra)
        with self._database.read() as connection:
            return self._audit.verify(connection, anchors)

    def _read(self, file: Path) -> tuple[Anchor, ...]:
        try:
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            problem = type(error).__name__
        else:
            return tuple(
                self._audit.read_anchor(line, source=f"{file}, line {number}")
                for number, line in enumerate(lines, start=1)
                if line.strip()
            )
        raise InvalidInputError(f"{file} cannot be read as a file of anchors ({problem})")
