"""What a scan walks over: the same pages and decisions for a night, for a look by hand and for a dry run.

Apart from the night, which does something about it, so that who only looks waits for nothing else to be loaded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from sqlalchemy import Connection

from vaultcore.consumers import References
from vaultcore.database import Database
from worker.domain.findings import Finding, FindingKind
from worker.domain.limits import Caps, CapsLeft
from worker.domain.windows import Window
from worker.rows.night_targets import targets_of_night
from worker.services.night.due import SeenItem, walk_due
from worker.services.night.shared_credentials import walk_shared, walk_stale_copies
from worker.services.night.stale import walk_items, walk_stale
from worker.services.night.unreadable import walk_unreadable
from worker.services.rotation.refused_credentials import walk_refused
from worker.services.upkeep.row_verification import RowVerification


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a scan at a time finds and what would be done."""

    at: datetime
    due: list[SeenItem]
    findings: list[Finding]


class Scans:
    """Walks in the caller's transaction; `preview` in its own, writing nothing."""

    def __init__(
        self,
        *,
        database: Database,
        references: References,
        row_verification: RowVerification,
        caps: Caps,
        freezes: Sequence[Window],
        page_size: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._references = references
        self._row_verification = row_verification
        self._caps = caps
        self._freezes = tuple(freezes)
        self._page_size = page_size
        self._clock = clock

    def preview(self, at: datetime) -> Preview:
        """The same walk and the same decisions as tonight's, at a time."""
        with self._database.read() as connection:
            due = [seen for page in self.walk_due(connection, at, night=None) for seen in page]
            found = [finding for page in self.walk_found(connection, at) for finding in page]
            return self.sum_up(connection, at, due, found)

    def sum_up(
        self, connection: Connection, at: datetime, due: list[SeenItem], found: Sequence[Finding]
    ) -> Preview:
        """Of what the two walks gave, with the rows that a night would check."""
        of_due = [seen.finding for seen in due if seen.finding is not None]
        edited = self._row_verification.preview(connection).wrong
        return Preview(at=at, due=due, findings=_tell_once([*of_due, *found, *edited]))

    def walk_due(
        self, connection: Connection, now: datetime, *, night: datetime | None
    ) -> Iterator[list[SeenItem]]:
        """With what is left of the night's caps, if it was scanned in part already."""
        caps_left = CapsLeft(caps=self._caps)
        for target, number in [] if night is None else targets_of_night(connection, night):
            caps_left = caps_left.take(target, number)
        return walk_due(connection, now, page_size=self._page_size, caps_left=caps_left, freezes=self._freezes)

    def walk_found(
        self, connection: Connection, now: datetime, *, unreadable: Sequence[Finding] = ()
    ) -> Iterator[list[Finding]]:
        """What is found beside what is due; what cannot be read in the vault comes last, in one page, behind
        what was `unreadable` before.
        """
        size = self._page_size
        return chain(
            walk_stale(connection, now, page_size=size),
            walk_items(connection, now, page_size=size),
            walk_shared(connection, page_size=size),
            walk_stale_copies(connection, page_size=size),
            walk_refused(connection, self._references, page_size=size),
            ([*unreadable, *walk_unreadable(connection, now, self._clock)] for _ in range(1)),
        )


def _tell_once(found: Sequence[Finding]) -> list[Finding]:
    """Of what was found twice the one that a night would keep: the last, or the first of what is damaged."""
    once: dict[tuple[FindingKind, str], Finding] = {}
    for finding in found:
        key = (finding.kind, finding.subject)
        if finding.kind is not FindingKind.UNREADABLE or key not in once:
            once[key] = finding
    return list(once.values())
