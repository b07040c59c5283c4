"""Findings that a person knows of: acknowledged, or put off until a time. Both end when things get worse."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, NotFoundError
from worker.domain.whys import check_why
from worker.rows.quiet_findings import NamedFinding, find_open, quieten


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """`until` None: until it gets worse."""

    id: str
    kind: str
    subject: str
    until: datetime | None


class Acknowledgements:
    """Each is one transaction with its audit row, by who and why."""

    def __init__(self, *, database: Database, audit: AuditLog, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def acknowledge(self, finding_id: str, *, why: str, actor: str) -> Quiet:
        """Nobody is told of it any more unless it gets worse."""
        return self._quiet(finding_id, None, "acknowledge", why, actor)

    def snooze(self, finding_id: str, until: datetime, *, why: str, actor: str) -> Quiet:
        """Nobody is told of it before then unless it gets worse; then its owner hears of it again."""
        if until <= self._clock():
            raise InvalidInputError("--until must lie in the future")
        return self._quiet(finding_id, until, "snooze", why, actor)

    def _quiet(self, finding_id: str, until: datetime | None, what: str, why: str, actor: str) -> Quiet:
        check_why(why)
        now = self._clock()
        with self._database.write() as connection:
            finding = _find(connection, finding_id)
            quieten(connection, finding, until=until, by=actor, why=why)
            self._audit.append(
                connection,
                at=now,
                actor=actor,
                action=f"finding.{what}",
                subject=finding.id,
                kind=finding.kind,
                about=finding.about,
                why=why,
                **({} if until is None else {"until": until.isoformat()}),
            )
        return Quiet(id=finding.id, kind=finding.kind, subject=finding.about, until=until)


def _find(connection: Connection, finding_id: str) -> NamedFinding:
    finding = find_open(connection, finding_id)
    if finding is None:
        raise NotFoundError(f"no open finding {finding_id[:60]!r}: `nightkey finding list` shows them all")
    return finding
