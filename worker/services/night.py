"""One night: claimed once, scanned, closed when its rotations have come to rest, told in digests."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, update

from vaultcore.database import Database
from vaultcore.errors import NotFoundError, RefusedError
from vaultcore.vault import Vault
from worker import finding_rows, store
from worker.domain.findings import Finding, FindingKind
from worker.domain.limits import STOPPED, Caps, Room
from worker.domain.plan import Action, Decision
from worker.domain.saga import State, is_moving
from worker.domain.windows import Window
from worker.services.anchoring import Anchoring
from worker.services.chasing import Chasing
from worker.services.digesting import Digesting
from worker.services.due import SeenItem, walk_due
from worker.services.heartbeat import Beat, Heartbeat
from worker.services.notifying import Notifying
from worker.services.opening import Opening
from worker.services.retiring import Retiring
from worker.services.scanning import SCANNED_KINDS, walk_items, walk_stale
from worker.store import NIGHT_JOB
from worker.tables import findings, sweeps

ACTOR = "night"
_SCAN_LEASE = timedelta(minutes=15)
"""How long a scan may take before another process begins it again."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a scan at a time finds and what would be done; nothing of it was written."""

    at: datetime
    due: list[SeenItem]
    findings: list[Finding]


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
        retiring: Retiring,
        notifying: Notifying,
        digesting: Digesting,
        anchoring: Anchoring,
        heartbeat: Heartbeat,
        chasing: Chasing,
        caps: Caps,
        freezes: Sequence[Window],
        page_size: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._opening = opening
        self._retiring = retiring
        self._notifying = notifying
        self._digesting = digesting
        self._anchoring = anchoring
        self._heartbeat = heartbeat
        self._chasing = chasing
        self._caps = caps
        self._freezes = tuple(freezes)
        self._page_size = page_size
        self._clock = clock

    def preview(self, at: datetime) -> Preview:
        """The same walk and the same decisions as tonight's, at a time, writing nothing."""
        with self._database.read() as connection:
            due = [seen for page in self._walk_due(connection, at, night=None) for seen in page]
            found = [seen.finding for seen in due if seen.finding is not None]
            for page in walk_stale(connection, at, page_size=self._page_size):
                found += page
            for page in walk_items(connection, page_size=self._page_size):
                found += page
        return Preview(at=at, due=due, findings=found)

    def begin(self, slot: datetime) -> list[str] | None:
        """Does the slot's scan, once: opens rotations and findings. Which rotations; None: done already."""
        now = self._clock()
        with self._database.write() as connection:
            if not store.claim_sweep(connection, job=NIGHT_JOB, slot=slot, now=now, lease=_SCAN_LEASE):
                return None
            self._heartbeat.post(connection, slot, Beat.START, f"the night of {slot:%Y-%m-%d %H:%M} UTC begins")
        retired = self._retiring.retire_replaced(actor=ACTOR, page_size=self._page_size)
        self._chasing.chase()
        opened, counts = self._scan(now, night=slot)
        with self._database.write() as connection:
            connection.execute(
                update(sweeps)
                .where(sweeps.c.job == NIGHT_JOB, sweeps.c.slot == slot)
                .values(scanned_at=self._clock(), counts={**asdict(counts), "retired": retired})
            )
        return opened

    def record(self) -> Counts:
        """A scan by hand: findings are opened, updated and resolved; nothing is rotated or sent."""
        return self._scan(self._clock(), night=None)[1]

    def open_nights(self) -> list[datetime]:
        """Nights that were scanned and are not closed."""
        with self._database.read() as connection:
            return list(
                connection.execute(
                    select(sweeps.c.slot)
                    .where(
                        sweeps.c.job == NIGHT_JOB,
                        sweeps.c.scanned_at.is_not(None),
                        sweeps.c.done_at.is_(None),
                    )
                    .order_by(sweeps.c.slot)
                ).scalars()
            )

    def close(self, slot: datetime) -> str | None:
        """Ends the night when none of its rotations moves any more: outcome, digests. None: not yet."""
        with self._database.write() as connection:
            night = connection.execute(
                select(sweeps)
                .where(
                    sweeps.c.job == NIGHT_JOB,
                    sweeps.c.slot == slot,
                    sweeps.c.done_at.is_(None),
                    sweeps.c.scanned_at.is_not(None),
                )
                .with_for_update()
            ).one_or_none()
            rotated = store.rotations_of_night(connection, slot)
            if night is None or any(is_moving(one.state, tuple(one.waits_for)) for one in rotated):
                return None
            problems = self.problems_of(connection, slot)
            self._digesting.post(connection, slot)
            if problems:
                self._notifying.tell_operators(
                    connection,
                    kind="night-failed",
                    dedupe_key=f"night-failed:{slot.isoformat()}",
                    data={"night": slot, "problems": problems},
                )
            self._heartbeat.post(
                connection,
                slot,
                Beat.FAIL if problems else Beat.SUCCESS,
                "\n".join(problems) or f"the night of {slot:%Y-%m-%d %H:%M} UTC ended well",
            )
            outcome = "failed" if problems else "good"
            connection.execute(
                update(sweeps)
                .where(sweeps.c.job == NIGHT_JOB, sweeps.c.slot == slot)
                .values(done_at=self._clock(), outcome=outcome)
            )
        self._anchoring.anchor()
        return outcome

    # The scan that writes

    def _scan(self, now: datetime, *, night: datetime | None) -> tuple[list[str], Counts]:
        opened: list[str] = []
        due = found = unreadable = 0
        with self._database.read() as reading:
            for page in self._walk_due(reading, now, night=night):
                due += len(page)
                unreadable += sum(seen.decision is None for seen in page)
                with self._database.write() as connection:
                    for seen in page:
                        found += self._record_item(connection, seen, now)
                        if night is not None:
                            opened += self._open_rotation(connection, seen, night)
            for walk in (
                walk_stale(reading, now, page_size=self._page_size),
                walk_items(reading, page_size=self._page_size),
            ):
                for findings_page in walk:
                    found += len(findings_page)
                    with self._database.write() as connection:
                        for finding in findings_page:
                            finding_rows.record(connection, finding, now)
        with self._database.write() as connection:
            finding_rows.resolve_unseen(connection, SCANNED_KINDS, before=now, now=now)
        return opened, Counts(due=due, rotations=len(opened), findings=found, unreadable=unreadable)

    def _record_item(self, connection: Connection, seen: SeenItem, now: datetime) -> int:
        if seen.decision is None:
            finding_rows.touch(connection, seen.item_id, now)
        if seen.finding is None:
            return 0
        finding_rows.record(connection, seen.finding, now)
        return 1

    def _open_rotation(self, connection: Connection, seen: SeenItem, night: datetime) -> list[str]:
        if seen.decision is None or seen.decision.action not in (Action.ROTATE, Action.REQUEST):
            return []
        try:
            item = self._vault.get(connection, seen.item_id)
            rotation = self._opening.open(
                connection,
                item,
                state=_first_state(seen.decision, self._clock()),
                reason=seen.decision.why,
                asked_by=ACTOR,
                night=night,
                begins_at=seen.decision.begins_at,
            )
        except (NotFoundError, RefusedError):  # opened by hand, changed or deleted since the page was read
            return []
        return [rotation.id]

    def _walk_due(
        self, connection: Connection, now: datetime, *, night: datetime | None
    ) -> Iterator[list[SeenItem]]:
        """With what is left of the night's caps, if it was scanned in part already."""
        room = Room(caps=self._caps)
        for rotation in [] if night is None else store.rotations_of_night(connection, night):
            room = room.take(rotation.counterpart)
        return walk_due(connection, now, page_size=self._page_size, room=room, freezes=self._freezes)

    def describe(self, connection: Connection, slot: datetime) -> dict[str, int]:
        """The counts of a night that was scanned."""
        counts: dict[str, int] = connection.execute(
            select(sweeps.c.counts).where(sweeps.c.job == NIGHT_JOB, sweeps.c.slot == slot)
        ).scalar_one()
        return counts

    def problems_of(self, connection: Connection, slot: datetime) -> list[str]:
        """What did not succeed in a night, as sentences."""
        problems = []
        for one in store.rotations_of_night(connection, slot):
            if one.state in (State.ROLLED_BACK, State.STUCK):
                problems.append(f"{one.item} was not replaced: {one.last_error} ({one.id})")
            elif one.outages and one.waits_for:
                tries = f"next try {one.next_at:%Y-%m-%d %H:%M} UTC" if one.next_at else "being tried"
                problems.append(f"{one.item} is not replaced yet, {tries}: {one.last_error} ({one.id})")
            elif one.state is State.CANCELLED and (one.last_cause is not None or one.last_error == STOPPED):
                problems.append(f"{one.item} was not begun: {one.last_error} ({one.id})")
        unreadable = connection.execute(
            select(findings.c.item, findings.c.detail).where(
                findings.c.kind == FindingKind.UNREADABLE.value, findings.c.resolved_at.is_(None)
            )
        )
        problems += [f"{row.item}: {row.detail}" for row in unreadable]
        return problems


def _first_state(decision: Decision, now: datetime) -> State:
    if decision.action is Action.REQUEST:
        return State.REQUESTED
    if decision.begins_at is not None and decision.begins_at > now:
        return State.SCHEDULED
    return State.QUEUED
