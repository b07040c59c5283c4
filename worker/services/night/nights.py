"""One night: opened once, scanned, closed when its rotations have come to rest, told in digests."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.errors import NightkeyError, NotFoundError, RefusedError, TamperedError, UnreadableError
from vaultcore.model import Item
from vaultcore.vault import Vault
from worker.domain.findings import Finding, FindingKind, find_unreadable
from worker.domain.notice_kinds import NoticeKind
from worker.domain.plan import Decision, PlannedAction
from worker.domain.problems import NO_NEWS, Problem, ProblemKind
from worker.domain.reasons import Code, Reason
from worker.domain.saga import State
from worker.domain.states import Beat, NightOutcome
from worker.log import get_logger
from worker.rows import findings as finding_rows
from worker.rows import nights as night_rows
from worker.rows import rotations as rotation_rows
from worker.rows.nights import NIGHT_JOB, Night
from worker.services.night.due import SeenItem
from worker.services.night.problems import Problems
from worker.services.night.scans import Preview, Scans
from worker.services.night.stale import SCANNED_KINDS
from worker.services.notices.digests import Digests
from worker.services.notices.heartbeat import Heartbeat
from worker.services.notices.outbox import Outbox
from worker.services.notices.pickup_reminders import PickupReminders
from worker.services.notices.wording import Wording
from worker.services.rotation.comparison import Comparison
from worker.services.rotation.credential_checks import CredentialChecks
from worker.services.rotation.opening import Opening
from worker.services.rotation.pickups import Pickups
from worker.services.rotation.replaced_versions import ReplacedVersions
from worker.services.upkeep.anchors import Anchors
from worker.services.upkeep.row_verification import RowVerification
from worker.wording.problems import describe

ACTOR = "night"
_log = get_logger(__name__)
_SCAN_TRIES = 8
"""How often one night's scan is begun before it is given up: two hours of tries."""
_SAME_NIGHT = timedelta(hours=12)
_OPENS = frozenset({PlannedAction.ROTATE, PlannedAction.REQUEST})
_SCAN_LEASE = timedelta(minutes=15)
"""How long a scan may take before another process begins it again."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a night saw and did."""

    due: int = 0
    rotations: int = 0
    findings: int = 0
    unreadable: int = 0
    retired: int = 0


class Nights:
    """Begins, previews and closes nights."""

    def __init__(
        self,
        *,
        database: Database,
        vault: Vault,
        opening: Opening,
        replaced_versions: ReplacedVersions,
        outbox: Outbox,
        digests: Digests,
        anchors: Anchors,
        heartbeat: Heartbeat,
        pickup_reminders: PickupReminders,
        problems: Problems,
        pickups: Pickups,
        comparison: Comparison,
        credential_checks: CredentialChecks,
        row_verification: RowVerification,
        wording: Wording,
        scans: Scans,
        page_size: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._opening = opening
        self._replaced_versions = replaced_versions
        self._outbox = outbox
        self._digests = digests
        self._anchors = anchors
        self._heartbeat = heartbeat
        self._pickup_reminders = pickup_reminders
        self._problems = problems
        self._pickups = pickups
        self._comparison = comparison
        self._credential_checks = credential_checks
        self._row_verification = row_verification
        self._wording = wording
        self._scans = scans
        self._page_size = page_size
        self._clock = clock

    def preview(self, at: datetime) -> Preview:
        """The same walk and the same decisions as tonight's, at a time, writing nothing."""
        return self._scans.preview(at)

    def begin(self, slot: datetime, *, by_hand: bool = False) -> list[str] | None:
        """Does the slot's scan, once: opens rotations and findings. Which rotations; None: done already.

        A scan that raises is told of before it is raised: to the operators, and to whoever listens for the
        heartbeat. Another process tries it again when its lease is over, a bounded number of times.

        `RefusedError` on a database that is older than its anchors. After a restore targets are asked first.
        """
        self._anchors.refuse_older()
        now = self._clock()
        with self._database.write() as connection:
            if not night_rows.open_sweep(
                connection,
                job=NIGHT_JOB,
                slot=slot,
                now=now,
                lease=_SCAN_LEASE,
                tries=_SCAN_TRIES,
                by_hand=by_hand,
            ):
                return None
            self._heartbeat.post(connection, slot, Beat.START, f"the night of {slot:%Y-%m-%d %H:%M} UTC begins")
        try:
            self._row_verification.check_some()
            self._comparison.compare_due()
            retired, unreadable = self._replaced_versions.retire(actor=ACTOR, page_size=self._page_size)
            self._pickups.end_arrived(actor=ACTOR)
            with self._database.write() as connection:
                rotation_rows.wake_unshown(connection, now)
            unreadable += self._pickup_reminders.chase()[1]
            opened, counts = self._scan(now, night=slot, unreadable=unreadable)
            self._credential_checks.choose(slot)
            with self._database.write() as connection:
                night_rows.mark_scanned(
                    connection, slot, at=self._clock(), counts={**asdict(counts), "retired": retired}
                )
        except Exception as error:
            self._tell_failed_scan(slot, error)
            raise
        return opened

    def _tell_failed_scan(self, slot: datetime, error: Exception) -> None:
        """Of errors of ours by what they say, of others by their type: what those say may quote anything. What
        cannot be told for the same cause is logged.
        """
        cause = Reason.of(Code.SCAN_FAILED, error=type(error).__name__)
        if isinstance(error, NightkeyError):
            cause = Reason.failed(str(error))
        problem = Problem(kind=ProblemKind.NIGHT_NOT_SCANNED, subject="", at=slot, error=cause)
        _log.error("night.failed", night=slot.isoformat(), error=type(error).__name__)
        for tell in (self._mark_failed, self._tell_failed):
            try:
                with self._database.write() as connection:
                    tell(connection, slot, problem, cause)
            except Exception as second:  # noqa: BLE001  # the first error is the one that counts
                _log.error("night.not-told", night=slot.isoformat(), error=type(second).__name__)

    def _mark_failed(self, connection: Connection, slot: datetime, problem: Problem, cause: Reason) -> None:
        self._heartbeat.post(connection, slot, Beat.FAIL, describe(problem))
        night_rows.fail_sweep(
            connection, job=NIGHT_JOB, slot=slot, now=self._clock(), tries=_SCAN_TRIES, cause=cause
        )

    def _tell_failed(self, connection: Connection, slot: datetime, problem: Problem, _: Reason) -> None:
        self._outbox.tell_operators(
            connection,
            kind=NoticeKind.NIGHT_FAILED,
            dedupe_key=f"night-not-scanned:{slot.isoformat()}",
            data={"night": slot, "problems": [problem]},
        )

    def record(self) -> Preview:
        """A scan by hand, and what it saw: findings are recorded and resolved; nothing is rotated or sent."""
        now = self._clock()
        due, found = list[SeenItem](), list[Finding]()
        self._scan(now, night=None, see_due=due.extend, see_found=found.extend)
        with self._database.read() as connection:
            return self._scans.sum_up(connection, now, due, found)

    def open_nights(self) -> list[datetime]:
        """Nights that were scanned and are not closed."""
        with self._database.read() as connection:
            return night_rows.list_unclosed(connection)

    def scanned_at(self, slot: datetime) -> datetime:
        """When its scan was over; now, if it is not."""
        with self._database.read() as connection:
            return night_rows.get_night(connection, slot).scanned_at or self._clock()

    def is_checking(self, slot: datetime) -> bool:
        """Whether credentials wait for their turn in this night."""
        with self._database.write() as connection:
            night = night_rows.get_night(connection, slot)
            since = night.scanned_at or self._clock()
            return self._credential_checks.is_waiting(connection, slot, since=since)

    def close(self, slot: datetime) -> str | None:
        """Ends the night when no rotation moves any more that was there when it had scanned, and what it asks
        of credentials is answered: outcome, digests. None: not yet.

        Whatever is unfinished, failed or overdue by then counts, whichever night it comes from.
        """
        with self._database.write() as connection:
            scanned_at = night_rows.lock_unclosed(connection, slot)
            if scanned_at is None or any(rotation_rows.walk_moving(connection, begun_by=scanned_at)):
                return None
            if self._credential_checks.is_waiting(connection, slot, since=scanned_at):
                return None
            problems = self._problems.of_night(connection, slot)
            self._digests.post(connection, slot)
            this = night_rows.get_night(connection, slot)
            before = night_rows.last_night(connection, before=this.started_at, closed=True)
            if _is_news(this, before, problems):
                self._outbox.tell_operators(
                    connection,
                    kind=NoticeKind.NIGHT_FAILED,
                    dedupe_key=f"night-failed:{slot.isoformat()}",
                    data={"night": slot, "problems": problems},
                )
            checked = self._credential_checks.count(connection, slot, since=this.started_at)
            night_rows.add_counts(connection, slot, checked)
            self._end(connection, slot, problems, done_at=self._clock())
        self._anchors.anchor()
        return NightOutcome.FAILED if problems else NightOutcome.GOOD

    def review(self, slot: datetime) -> None:
        """A night that ended well, and whose notices then did not go out, has not ended well."""
        with self._database.write() as connection:
            night = night_rows.get_night(connection, slot)
            problems = self._problems.of_night(connection, slot)
            if night.outcome == NightOutcome.GOOD and problems:
                self._heartbeat.take_back(connection, slot)
                self._end(connection, slot, problems, done_at=night.done_at or self._clock())

    def _end(
        self, connection: Connection, slot: datetime, problems: list[Problem], *, done_at: datetime
    ) -> None:
        text = "\n".join(map(describe, problems)) or f"the night of {slot:%Y-%m-%d %H:%M} UTC ended well"
        self._heartbeat.post(connection, slot, Beat.FAIL if problems else Beat.SUCCESS, text)
        night_rows.end_night(connection, slot, done_at=done_at, problems=problems)

    # The scan that writes

    def _scan(
        self,
        now: datetime,
        *,
        night: datetime | None,
        unreadable: Sequence[Finding] = (),
        see_due: Callable[[list[SeenItem]], None] = lambda _: None,
        see_found: Callable[[list[Finding]], None] = lambda _: None,
    ) -> tuple[list[str], Counts]:
        """`unreadable`: what was found before it. A row that cannot be read is counted once, however often it
        is met. `see_due` and `see_found` are told of each page.
        """
        opened: list[str] = []
        due = found = 0
        damaged = _Damaged()
        with self._database.read() as reading:
            for page in self._scans.walk_due(reading, now, night=night):
                due += len(page)
                see_due(page)
                with self._database.write() as connection:
                    of_due = (seen.finding for seen in page if seen.finding is not None)
                    found += _record_whole(connection, of_due, now, damaged)
                    if night is not None:
                        opened += self._open_rotations(connection, page, night, damaged)
            for findings_page in self._scans.walk_found(reading, now, unreadable=unreadable):
                see_found(findings_page)
                with self._database.write() as connection:
                    found += _record_whole(connection, findings_page, now, damaged)
        # What a night finds beside its scan, a scan by hand did not look for.
        kinds = SCANNED_KINDS if night is not None else SCANNED_KINDS - {FindingKind.UNREADABLE}
        with self._database.write() as connection:
            for finding in damaged.findings:
                finding_rows.record(connection, finding, now)
                if finding.item_id is not None:
                    finding_rows.touch(connection, finding.item_id, now)
            finding_rows.resolve_unseen(connection, kinds, before=now, now=now)
            self._wording.look_again(connection)
        found += len(damaged.findings)
        counts = Counts(due=due, rotations=len(opened), findings=found, unreadable=len(damaged.findings))
        return opened, counts

    def _open_rotations(
        self, connection: Connection, page: Sequence[SeenItem], night: datetime, damaged: "_Damaged"
    ) -> list[str]:
        """Of the items of a page, which are read together; the ids of those that were opened."""
        decided = [(seen, seen.decision) for seen in page if seen.decision is not None]
        to_open = [(seen, decision) for seen, decision in decided if decision.action in _OPENS]
        found = self._vault.get_all(connection, [seen.item_id for seen, _ in to_open])
        return [
            rotation_id
            for seen, decision in to_open
            for rotation_id in self._open_rotation(
                connection, seen, decision, found[seen.item_id], night=night, damaged=damaged
            )
        ]

    def _open_rotation(
        self,
        connection: Connection,
        seen: SeenItem,
        decision: Decision,
        item: Item | NotFoundError | UnreadableError,
        *,
        night: datetime,
        damaged: "_Damaged",
    ) -> list[str]:
        try:
            if not isinstance(item, Item):
                raise item
            rotation = self._opening.open(
                connection,
                item,
                state=_first_state(decision, self._clock()),
                reason=decision.why,
                asked_by=ACTOR,
                night=night,
                begins_at=decision.begins_at,
            )
        except (NotFoundError, RefusedError):  # opened by hand, changed or deleted since the page was read
            return []
        except TamperedError as error:
            self._row_verification.record(connection, error)
            return []
        except UnreadableError as error:
            damaged.add(find_unreadable(seen.item_id, error.problem, item_id=seen.item_id, item=seen.name))
            return []
        return [rotation.id]


def _record_whole(connection: Connection, page: Iterable[Finding], now: datetime, damaged: "_Damaged") -> int:
    """How many findings there are of what can be read; what cannot be is for later."""
    found = []
    for finding in page:
        if finding.kind is FindingKind.UNREADABLE:
            damaged.add(finding)
        else:
            found.append(finding)
    finding_rows.record_all(connection, found, now)
    return len(found)


def _is_news(night: Night, before: Night | None, problems: list[Problem]) -> bool:
    """Whether operators are told: of each night that ends badly, and of one soon after it if they learn of it.

    What a workflow names and cannot use is told in digests, which go on to the operators in their own time.
    """
    soon = before is not None and night.started_at - before.started_at < _SAME_NIGHT
    known = before.subjects if before is not None and soon else set()
    return any(one.subject not in known for one in problems if one.kind not in NO_NEWS)


class _Damaged:
    """What cannot be read, one finding for each row: the first that was made of it."""

    def __init__(self) -> None:
        self._by_subject: dict[str, Finding] = {}

    def add(self, finding: Finding) -> None:
        self._by_subject.setdefault(finding.subject, finding)

    @property
    def findings(self) -> list[Finding]:
        return list(self._by_subject.values())


def _first_state(decision: Decision, now: datetime) -> State:
    if decision.action is PlannedAction.REQUEST:
        return State.REQUESTED
    if decision.begins_at is not None and decision.begins_at > now:
        return State.SCHEDULED
    return State.QUEUED
