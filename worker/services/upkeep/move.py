"""A vault moves to another database: copied, compared row by row, and handed over. The old one stays as it is.

How far a move has come stands at the target, beside what was copied. Who was killed goes on there; and if the
vault was written to since, all is copied anew. Until the end no release takes the target for a vault, and from
then on the anchors of the home know the moved one: so only one of the two rotates.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Table

from vaultcore.audit import AuditLog, ChainedRow
from vaultcore.audit_verification import Verification
from vaultcore.crypto.keyring import Keyring
from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.owners import Owners
from vaultcore.row_checks import RowChecks
from vaultcore.row_macs import LABEL, RowMacs
from vaultcore.schema import check_schema
from vaultcore.versions import Versions
from worker.domain.moves import (
    Hindrance,
    Moved,
    MoveProgress,
    Obstacle,
    Phase,
    PlannedMove,
    RowDifference,
    Stance,
)
from worker.locks import join_vault, take_vault
from worker.rows import moves as move_rows
from worker.services.upkeep.anchors import Anchors
from worker.services.upkeep.move_copy import RowCopy
from worker.services.upkeep.move_source import MoveExamination, explain_edited, hold_still, see_still
from worker.services.upkeep.move_target import MOVED, MoveTarget
from worker.services.upkeep.row_verification import RowVerification
from worker.wording.moves import explain_obstacles

Tell = Callable[[MoveProgress], None]


@dataclass(kw_only=True)
class _Course:
    """One move on its way. `source` sees one state of the vault's `database`."""

    database: Database
    source: Connection
    target: MoveTarget
    stance: Stance
    counts: dict[str, int]
    tell: Tell
    began: float = field(default_factory=time.monotonic)
    copied: int = 0
    written_since: tuple[RowDifference, ...] = ()

    def teller(self, phase: Phase) -> Callable[[Table, int], None]:
        """What hears of each page of a phase."""
        done = 0

        def hear(table: Table, more: int) -> None:
            nonlocal done
            done += more
            self.tell(self.progress(phase, table=table.name, done=done))

        return hear

    def report(self) -> Moved:
        """As far as it is known before anything was compared."""
        return Moved(
            source=self.database.where,
            target=self.target.database.where,
            stance=self.stance,
            counts=self.counts,
            copied=self.copied,
            seconds=time.monotonic() - self.began,
            written_since=self.written_since,
        )

    def progress(self, phase: Phase, *, table: str = "", done: int = 0) -> MoveProgress:
        return MoveProgress(phase=phase, table=table, done=done, total=sum(self.counts.values()))


class Moves:
    """`address` is the vault's database. `anchors_file` lies in `home`, whose lock is taken. `page_size`: how
    many rows are read and copied at once.
    """

    def __init__(
        self,
        *,
        home: Path,
        address: str,
        keyring: Keyring,
        deployment_id: str,
        anchors_file: Path,
        page_size: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._home = home
        self._address = address
        self._keyring = keyring
        self._deployment_id = deployment_id
        self._anchors_file = anchors_file
        self._page_size = page_size
        self._audit = AuditLog(keyring.audit_key, keyring.signing_key)
        self._macs = RowMacs(keyring.derive(LABEL))
        self._clock = clock

    def plan(self, address: URL | str, tell: Tell) -> PlannedMove:
        """What would be copied, and what stands in the way. Nothing is written, and others may be at work."""
        lock = self._find_lock()
        with self._open(address, tell, alone=False) as course:
            obstacles: tuple[Obstacle, ...] = ()
            if course.stance is not Stance.MOVED:
                obstacles = (*lock, *self._find_workers(course), *self._examine(course))
            return PlannedMove(
                source=course.database.where,
                target=course.target.database.where,
                stance=course.stance,
                counts=course.counts,
                obstacles=obstacles,
            )

    def rehearse(self, address: URL | str, tell: Tell) -> Moved:
        """Copies what is not copied yet, and compares all of it, while others may be at work. The vault stays
        where it is. `RefusedError` where it could not be moved.
        """
        with self._open(address, tell, alone=False) as course:
            if course.stance is Stance.MOVED:
                return self._find_moved(course)
            self._refuse_obstacles(self._examine(course))
            self._copy(course)
            return self._compare(course, anchors=None)

    def move(self, address: URL | str, tell: Tell, *, actor: str) -> Moved:
        """The same while nobody works on the vault. If each row is the same in both, the vault is at the target
        from then on; if not, the next one copies all of it anew.

        `RefusedError` where something stands in the way.
        """
        with self._open(address, tell, alone=True) as course:
            if course.stance is Stance.MOVED:
                return self._find_moved(course)
            self._refuse_obstacles([*self._find_workers(course), *self._examine(course)])
            self._copy(course)
            anchors = self._make_anchors(course.target.database)
            moved = self._compare(course, anchors=anchors)
            if not moved.is_whole:
                return moved
            course.target.hand_over(self._audit, source=course.database.where, actor=actor)
            anchors.anchor()
            return replace(moved, is_handed_over=True)

    # Inside

    @contextmanager
    def _open(self, address: URL | str, tell: Tell, *, alone: bool) -> Iterator[_Course]:
        source = Database(self._address)
        target = MoveTarget(address, deployment_id=self._deployment_id, clock=self._clock)
        try:
            target.refuse_source(source)
            for database in (source, target.database):
                database.keep_macs(self._macs)
            lock, see = (take_vault, hold_still) if alone else (join_vault, see_still)
            with lock(self._home), see(source) as connection:
                yield _Course(
                    database=source,
                    source=connection,
                    target=target,
                    stance=target.look(),
                    counts=move_rows.count_each(connection),
                    tell=tell,
                )
        finally:
            source.dispose()
            target.database.dispose()

    def _find_lock(self) -> list[Obstacle]:
        problem = ""
        try:
            with take_vault(self._home):
                pass
        except RefusedError as error:
            problem = str(error)
        return [Obstacle(kind=Hindrance.LOCKED, subject=str(self._home), detail=problem)] if problem else []

    def _find_workers(self, course: _Course) -> list[Obstacle]:
        return self._make_examination(course).find_workers(course.source)

    def _examine(self, course: _Course) -> list[Obstacle]:
        course.tell(course.progress(Phase.EXAMINING))
        self._make_anchors(course.database).refuse_older()
        return self._make_examination(course).find_obstacles(course.source, course.teller(Phase.EXAMINING))

    def _refuse_obstacles(self, found: Sequence[Obstacle]) -> None:
        if found:
            raise RefusedError(explain_obstacles(found))

    def _copy(self, course: _Course) -> None:
        target, rows = course.target, RowCopy(course.source, page_size=self._page_size)
        course.tell(course.progress(Phase.PREPARING))
        target.prepare()
        if course.stance is Stance.BEGUN:
            with target.database.read() as connection:
                course.written_since = rows.compare_copied(connection, course.teller(Phase.COMPARING))
            if course.written_since:
                target.empty()
        course.copied = rows.copy(target.database, course.teller(Phase.COPYING))

    def _compare(self, course: _Course, *, anchors: Anchors | None) -> Moved:
        """Each row; the log, with its `anchors`, or without those that were made meanwhile; and the digests and
        sealed records of what decides.
        """
        target = course.target.database
        with target.read() as connection:
            rows = RowCopy(course.source, page_size=self._page_size)
            differing = rows.compare_all(connection, course.teller(Phase.COMPARING))
        course.tell(course.progress(Phase.CHECKING))
        verdict = self._verify_log(target) if anchors is None else anchors.verify()
        checked = self._make_row_verification(target).check_all()
        log = [Obstacle(kind=Hindrance.LOG, subject="audit", detail=one) for one in verdict.problems]
        return replace(
            course.report(),
            differing=differing,
            checked=checked.rows,
            edited=(*log, *(explain_edited(one) for one in checked.wrong)),
            audit_rows=verdict.rows,
        )

    def _verify_log(self, database: Database) -> Verification:
        with database.read() as connection:
            return self._audit.verify(connection)

    def _find_moved(self, course: _Course) -> Moved:
        """It was handed over before, and perhaps nobody heard of it: the anchors know it from now on."""
        target = course.target.database
        check_schema(target)
        head = self._audit.make_anchor(course.source, self._clock())
        with target.read() as connection:
            handed_over = next(self._audit.walk(connection, head.seq + 1, head.seq + 1), None)
            holds = self._audit.holds(connection, head) and _tells_of_move(handed_over)
            audit_rows = self._audit.make_anchor(connection, self._clock()).seq
        anchors = self._make_anchors(target)
        if not holds or anchors.explain_older() is not None:
            raise RefusedError(
                f"{target.where} has this vault already, and the one here was written to since: to go on with "
                "that one, set database_url and run `nightkey restore --adopt`; to move this one, make that "
                "database anew"
            )
        anchors.anchor()
        return replace(course.report(), audit_rows=audit_rows, is_handed_over=True)

    def _make_examination(self, course: _Course) -> MoveExamination:
        return MoveExamination(
            anchors=self._make_anchors(course.database),
            row_verification=self._make_row_verification(course.database),
            to_sqlite=course.target.database.is_sqlite,
            page_size=self._page_size,
            clock=self._clock,
        )

    def _make_anchors(self, database: Database) -> Anchors:
        return Anchors(database=database, audit=self._audit, file=self._anchors_file, clock=self._clock)

    def _make_row_verification(self, database: Database) -> RowVerification:
        vault, keyring, audit, clock = self._deployment_id, self._keyring, self._audit, self._clock
        return RowVerification(
            database=database,
            checks=RowChecks(
                versions=Versions(deployment_id=vault, keyring=keyring, audit=audit, clock=clock),
                owners=Owners(deployment_id=vault, keyring=keyring, audit=audit, clock=clock),
            ),
            macs=self._macs,
            audit=self._audit,
            budget=0,
            clock=self._clock,
        )


def _tells_of_move(found: ChainedRow | None) -> bool:
    return found is not None and found.holds and found.row is not None and found.row.action == MOVED
