"""What a vault is moved from: held still, and examined before anything of it is copied. It is only read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Table

from vaultcore import postgres_copy
from vaultcore.database import Database
from vaultcore.errors import RefusedError
from vaultcore.raw_rows import RawRow, find_unfit, key_of_row, show_key, walk_rows
from worker.domain.findings import Finding
from worker.domain.moves import Hindrance, Obstacle
from worker.domain.signs import SignOfLife
from worker.rows import moves as move_rows
from worker.rows import signs as sign_rows
from worker.services.upkeep.anchors import Anchors
from worker.services.upkeep.row_verification import RowVerification
from worker.services.upkeep.signs_of_life import may_live


@contextmanager
def hold_still(database: Database) -> Iterator[Connection]:
    """Until the block ends nobody writes to the vault, whoever they are, and neither do we.

    `RefusedError` where somebody is connected to its server, `LockedError` where somebody writes,
    `ConfigurationError` where a pooler hides who is.
    """
    with database.write() as connection:
        if not database.is_sqlite:
            postgres_copy.refuse_pooler(database, connection)
            others = postgres_copy.count_other_sessions(connection)
            if others:
                raise RefusedError(
                    f"somebody else is connected to {database.where}: stop what works on it (`nightkey up`, "
                    "`serve`, other commands), then repeat this"
                )
            move_rows.keep_open(connection)
            move_rows.lock_tables(connection)
            yield connection
            return
        with move_rows.only_read(connection):
            yield connection


@contextmanager
def see_still(database: Database) -> Iterator[Connection]:
    """One state of the vault, which others work on meanwhile."""
    with database.read() as connection:
        if not database.is_sqlite:
            move_rows.keep_open(connection)
        yield connection


class MoveExamination:
    """What stands in the way of moving the vault as it is. `to_sqlite`: the target takes what SQLite takes.
    `page_size`: how many rows are read at once.
    """

    def __init__(
        self,
        *,
        anchors: Anchors,
        row_verification: RowVerification,
        to_sqlite: bool,
        page_size: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._anchors = anchors
        self._row_verification = row_verification
        self._to_sqlite = to_sqlite
        self._size = page_size
        self._clock = clock

    def find_workers(self, connection: Connection) -> list[Obstacle]:
        """Who may be at work on the vault, on this machine or another."""
        now = self._clock()
        return [_at_work(sign) for sign in sign_rows.list_signs(connection) if may_live(sign, now)]

    def find_obstacles(self, connection: Connection, tell: Callable[[Table, int], None]) -> list[Obstacle]:
        """What is wrong with the vault. `tell` hears of each table, and how many of its rows were looked at."""
        found = [
            Obstacle(kind=Hindrance.LOG, subject="audit", detail=problem)
            for problem in self._anchors.verify().problems
        ]
        found += [explain_edited(one) for one in self._row_verification.check_all().wrong]
        for table in move_rows.list_moved():
            damaged = list(_find_damage(connection, table))
            found += damaged
            if not damaged and not self._to_sqlite:
                for page in walk_rows(connection, table, size=self._size):
                    found += _find_unfit(table, page)
                    tell(table, len(page))
        return found


def explain_edited(finding: Finding) -> Obstacle:
    """A row that `audit verify --rows` names."""
    return Obstacle(
        kind=Hindrance.EDITED, subject=finding.subject, detail=finding.detail, command=finding.command
    )


def _find_damage(connection: Connection, table: Table) -> Iterator[Obstacle]:
    for damage in move_rows.find_damage(connection, table):
        yield Obstacle(kind=Hindrance.UNREADABLE, subject=f"{table.name} {damage.key}", fields=damage.fields)


def _find_unfit(table: Table, page: Sequence[RawRow]) -> Iterator[Obstacle]:
    for row in page:
        fields = find_unfit(table, row)
        if fields:
            subject = f"{table.name} {show_key(key_of_row(table, row))}"
            yield Obstacle(kind=Hindrance.UNFIT, subject=subject, fields=fields)


def _at_work(sign: SignOfLife) -> Obstacle:
    return Obstacle(
        kind=Hindrance.AT_WORK,
        subject=f"{sign.kind.value} {sign.pid} on {sign.host}",
        detail=f"{sign.seen_at:%Y-%m-%d %H:%M:%S} UTC",
    )
