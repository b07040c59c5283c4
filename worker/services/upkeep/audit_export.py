"""The record of a period, signed: for an auditor, who checks it without this vault."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Connection

from vaultcore.audit import AuditLog
from vaultcore.audit_exports import (
    FORM,
    CheckedExport,
    ExportedRow,
    check_lines,
    key_id,
    sign_lines,
    write_lines,
    write_public,
)
from vaultcore.database import Database
from vaultcore.errors import InvalidInputError, UnreadableError
from worker.domain.lateness import Timeliness, judge_lateness
from worker.rows import audit_exports as export_rows
from worker.wording.plain import to_plain
from worker.wording.record import describe_past, describe_recorded

_BATCH: Final = 500
_PROBLEMS_MAX: Final = 20


class AuditExport:
    """`key` signs; its public half is for whoever checks."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditLog,
        key: Ed25519PrivateKey,
        deployment_id: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._audit = audit
        self._key = key
        self._deployment_id = deployment_id
        self._clock = clock

    @property
    def public_key(self) -> Ed25519PublicKey:
        return self._key.public_key()

    def describe_key(self) -> dict[str, str]:
        """The key by which exports are checked, to be published."""
        return {"id": key_id(self.public_key), "algorithm": "Ed25519", "pem": write_public(self.public_key)}

    def write(self, begin: datetime, end: datetime | None, *, actor: str) -> Iterator[str]:
        """The lines of an export of what was between these times; no end: until now. That somebody took it is
        recorded first. All of it is one state of the database, and no more than a page of it is held at once.

        `InvalidInputError` for a period that ends before it begins.
        """
        now = self._clock()
        until = now if end is None or end > now else end
        if begin >= until:
            raise InvalidInputError(
                "the period ends before it begins: give --from a time that lies before --to"
            )
        with self._database.write() as connection:
            self._audit.append(
                connection,
                at=now,
                actor=actor,
                action="audit.export",
                subject=self._deployment_id,
                **{"from": begin.isoformat(), "to": until.isoformat()},
            )
        return self._write(begin, until, actor=actor, now=now)

    def check(self, lines: Iterable[bytes]) -> CheckedExport:
        """Whether this vault's keyring signed it, and the log still has each of its rows."""
        missing: list[str] = []
        batch: list[ExportedRow] = []

        def compare() -> None:
            with self._database.read() as connection:
                known = export_rows.hashes_of(connection, [row.seq for row in batch])
            for row in batch:
                stored = known.get(row.seq)
                if len(missing) < _PROBLEMS_MAX and (stored is None or stored.hex() != row.hash):
                    missing.append(f"the log has no such row {row.seq} any more")
            batch.clear()

        def look(row: ExportedRow) -> None:
            batch.append(row)
            if len(batch) == _BATCH:
                compare()

        checked = check_lines(lines, self.public_key, look)
        compare()
        if not checked.holds or not missing:
            return checked
        return CheckedExport(**{**vars(checked), "problems": tuple(missing)})

    # Inside

    def _write(self, begin: datetime, end: datetime, *, actor: str, now: datetime) -> Iterator[str]:
        with self._database.read() as connection:
            told = _Tally()
            head = {
                "form": FORM,
                "vault": self._deployment_id,
                "from": begin,
                "to": end,
                "made_at": now,
                "made_by": actor,
                "key": key_id(self.public_key),
            }
            lists = (
                ("rotations", self._rotations(connection, begin, end, told)),
                ("record", self._record(connection, begin, end, told)),
            )
            yield from sign_lines(
                write_lines(to_plain(head), lists, lambda: self._sum_up(connection, told, now)), self._key
            )

    def _rotations(
        self, connection: Connection, begin: datetime, end: datetime, told: "_Tally"
    ) -> Iterator[dict[str, Any]]:
        for past in export_rows.walk_past(connection, begin, end):
            told.counts["rotations"] += 1
            if isinstance(past, UnreadableError):
                told.complain(str(past))
                yield {"unreadable": str(past)}
                continue
            if past.edited is not None:
                told.complain(str(past.edited))
            judged = judge_lateness(past.rotation, expires_at=past.expires_at, until=end)
            told.counts[judged.timeliness] += 1
            told.counts["waived"] += bool(past.waivers)
            yield describe_past(past, judged)

    def _record(
        self, connection: Connection, begin: datetime, end: datetime, told: "_Tally"
    ) -> Iterator[dict[str, Any]]:
        span = export_rows.find_span(connection, begin, end)
        for chained in () if span is None else self._audit.walk(connection, *span):
            told.counts["record"] += 1
            told.span = (told.span[0] if told.span else chained.seq, chained.seq)
            if not chained.holds:
                told.complain(f"row {chained.seq} was edited, or put in another's place")
            hashed = {"seq": chained.seq, "hash": None if chained.hash is None else chained.hash.hex()}
            row = {} if chained.row is None else describe_recorded(chained.row, None)
            row.pop("name", None)
            yield to_plain(row | hashed)

    def _sum_up(self, connection: Connection, told: "_Tally", now: datetime) -> dict[str, Any]:
        """`head`: where the log ended then, signed as an anchor is."""
        counts = told.counts
        return {
            "rotations": counts["rotations"],
            "record": counts["record"],
            "first_row": told.span[0] if told.span else None,
            "last_row": told.span[1] if told.span else None,
            "timeliness": {one.value: counts[one] for one in Timeliness},
            "waived": counts["waived"],
            "problems": told.problems,
            "head": json.loads(self._audit.sign(self._audit.make_anchor(connection, now))),
        }


class _Tally:
    """What is known of an export once its lists were written."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.span: tuple[int, int] | None = None
        self.problems: list[str] = []

    def complain(self, problem: str) -> None:
        if len(self.problems) < _PROBLEMS_MAX:
            self.problems.append(problem)
