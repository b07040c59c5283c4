"""Tonight's digest of an owner, before there is one: the night's own walk and words, and nothing is kept."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import InvalidInputError
from vaultcore.owners import Owners
from worker.domain.audience import DEPUTY_LEVEL
from worker.domain.notice_kinds import NoticeKind
from worker.domain.notices import Message, TonightLine
from worker.domain.plan import PlannedAction
from worker.rows import findings as finding_rows
from worker.rows.owners import find_heard_of
from worker.services.night.night_schedule import NightSchedule
from worker.services.night.nights import Nights
from worker.services.night.scans import Preview
from worker.services.night.stale import SCANNED_KINDS
from worker.services.notices.digests import Digests
from worker.services.notices.recipients import Recipients

_DOES = {PlannedAction.ROTATE: "replaces it", PlannedAction.REQUEST: "asks for an approval to replace it"}


class TrialWriter(Protocol):
    """Writes a message; `ConfigurationError` for a template of the organisation's that fails."""

    def try_out(self, kind: str, data: Mapping[str, Any], *, zone: str) -> Message: ...


class DigestPreview:
    def __init__(
        self,
        *,
        database: Database,
        owners: Owners,
        nights: Nights,
        recipients: Recipients,
        digests: Digests,
        letters: TrialWriter,
        night_schedule: NightSchedule,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._owners = owners
        self._nights = nights
        self._recipients = recipients
        self._digests = digests
        self._letters = letters
        self._night_schedule = night_schedule
        self._clock = clock

    def find_night(self, at: datetime | None) -> datetime:
        """Of which night a digest is shown: of one at that time, or else of the next."""
        if at is None:
            return self._night_schedule.next_night()
        if at < self._clock():
            raise InvalidInputError("--at lies in the past: what was told then is in `nightkey notice list`")
        return at

    def preview(self, name: str, night: datetime) -> Message:
        """What the night that begins then would send to the owner, as far as that is known now.

        A template of the organisation's that fails is an error here, where somebody looks.
        """
        seen = self._nights.preview(night)
        with self._undone() as connection:
            owner = self._owners.get(connection, name)
            operators = owner.id == self._recipients.find_operators(connection)
            mine = find_heard_of(connection, owner.id, nobodys=operators)
            for finding in seen.findings:
                late = operators and finding.level >= DEPUTY_LEVEL
                if late or finding.item_id in mine or (operators and finding.item_id is None):
                    finding_rows.record(connection, finding, night)
            self._digests.set_down(connection, night, night)
            hearer = self._recipients.find_hearer(connection, owner.id)
            tonight = _find_tonight(seen, mine)
            found_again = {(finding.kind.value, finding.subject) for finding in seen.findings}
            _resolve_unseen(connection, mine, found_again, night)
            data = self._digests.collect(connection, [hearer], night, night, tonight=tonight)[hearer.id]
            return self._letters.try_out(NoticeKind.DIGEST, data, zone=owner.zone)

    @contextmanager
    def _undone(self) -> Iterator[Connection]:
        """A transaction of which nothing is kept."""
        with suppress(_Undone), self._database.write() as connection:
            yield connection
            raise _Undone


class _Undone(Exception):  # noqa: N818  # it is no error
    """Ends a transaction."""


def _resolve_unseen(
    connection: Connection, mine: set[str], seen: set[tuple[str, str]], night: datetime
) -> None:
    """What is open of these items, and would not be found again."""
    for row in finding_rows.list_open(connection):
        known = row.kind in SCANNED_KINDS and row.item_id in mine
        if known and (row.kind.value, row.subject) not in seen:
            finding_rows.resolve(connection, row.kind, row.subject, night)


def _find_tonight(seen: Preview, mine: set[str]) -> list[TonightLine]:
    return [
        TonightLine(item=one.name, why=one.decision.why, does=_DOES[one.decision.action])
        for one in seen.due
        if one.decision is not None and one.decision.action in _DOES and one.item_id in mine
    ]
