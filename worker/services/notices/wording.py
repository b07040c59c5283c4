"""What notices say, put into words, and a template of the organisation's that does not work made a finding.

It is found when a notice is written, which may be hours after the scan, and by any process. It is resolved when
the template is another: whether that works is seen then. What fails for one owner alone stays open for all.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from worker.domain.findings import FindingKind, find_passed_over
from worker.domain.notices import Letter
from worker.rows import findings as finding_rows

_BETWEEN: Final = ".md, as of "
"""Between a kind and the fingerprint of its template, in the subject of a finding."""


class LetterWriter(Protocol):
    """Writes the message of a kind, with times in the reader's zone. See `worker.delivery.letters`."""

    def write(self, kind: str, data: Mapping[str, Any], *, zone: str) -> Letter: ...

    def fingerprint(self, kind: str) -> str | None: ...

    def find_broken(self) -> Mapping[str, str]: ...


class Wording:
    def __init__(self, *, letters: LetterWriter, clock: Callable[[], datetime]) -> None:
        self._letters = letters
        self._clock = clock
        self._working: set[str] = set()
        """Kinds of which this process has said that they work as they are."""

    def write(self, connection: Connection, kind: str, data: Mapping[str, Any], *, zone: str) -> Letter:
        """The message; what is wrong with its template becomes a finding in the caller's transaction."""
        letter = self._letters.write(kind, data, zone=zone)
        if letter.passed_over is not None:
            self._working.discard(kind)
            self._tell(connection, kind, letter.passed_over)
        elif kind not in self._working:
            self._working.add(kind)
            self._resolve_former(connection, [kind])
        return letter

    def look_again(self, connection: Connection) -> None:
        """What was found of a template that is another now is resolved; one that cannot be read is found."""
        kinds = {subject.partition(_BETWEEN)[0] for subject in _list_open(connection)}
        self._resolve_former(connection, kinds)
        for kind, problem in self._letters.find_broken().items():
            self._tell(connection, kind, problem)

    # Inside

    def _tell(self, connection: Connection, kind: str, problem: str) -> None:
        """Once: a thousand notices of a night may find the same, in several processes."""
        self._resolve_former(connection, [kind])
        subject = self._subject(kind)
        if subject is not None and subject not in _list_open(connection):
            finding = find_passed_over(subject, template=f"{kind}.md", problem=problem)
            finding_rows.record(connection, finding, self._clock())

    def _resolve_former(self, connection: Connection, kinds: Collection[str]) -> None:
        """What was found of them as they were before."""
        for subject in _list_open(connection):
            kind = subject.partition(_BETWEEN)[0]
            if kind in kinds and subject != self._subject(kind):
                finding_rows.resolve(connection, FindingKind.PASSED_OVER, subject, self._clock())

    def _subject(self, kind: str) -> str | None:
        fingerprint = self._letters.fingerprint(kind)
        return None if fingerprint is None else f"{kind}{_BETWEEN}{fingerprint}"


def _list_open(connection: Connection) -> list[str]:
    return finding_rows.list_subjects(connection, FindingKind.PASSED_OVER)
