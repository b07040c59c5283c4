"""The audit log: a gapless, hash-chained record of every change, written with the change.

hash(n) = HMAC-SHA256(audit key, hash(n-1) || canonical row n). Writers take turns on the head row.
No audit row, no change: `append` runs in the transaction of the change that it records. Somebody
who can write the database cannot forge a row without the keyring, and an anchor (a head, signed,
kept elsewhere) shows a log that was cut back together with its head.
"""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypedDict, Unpack

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import BigInteger, Connection, LargeBinary, Row, bindparam, func, insert, select, update

from vaultcore.canonical import write_canonical
from vaultcore.database import DECISIVE
from vaultcore.errors import AuditError, InvalidInputError, UnreadableError
from vaultcore.known_items import knows
from vaultcore.paging import walk_keyset
from vaultcore.stored import UNREADABLE, Unread, read_apart, unreadable_fields
from vaultcore.tables import audit, audit_head
from vaultcore.written_last import keep_until_commit, write_kept

_GENESIS = bytes(32)
_PROBLEMS_MAX = 20
_PAGE = 1000
_DECISIVE = frozenset(
    {
        "item.create",
        "item.delete",
        "item.import",
        "item.update",
        "row.accept",
        "version.fill",
        "version.activate",
        "version.reactivate",
        "version.destroy",
        "vault.move",
        "vault.restore",
    }
)
"""What a database that is put back must not have forgotten: after each of them the head is anchored."""


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


class AuditFields(TypedDict):
    """Of an `AuditRow` that has no number yet."""

    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Verification:
    """`problems` are sentences, each naming a row; none means that the chain is whole."""

    rows: int
    problems: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.problems


class AuditLog:
    """Appends and verifies. `key` makes the chain, `signing_key` the anchors."""

    def __init__(self, key: bytes, signing_key: Ed25519PrivateKey) -> None:
        self._key = key
        self._signing_key = signing_key
        self._guess = _Guess()

    def append(
        self,
        connection: Connection,
        *,
        at: datetime,
        actor: str,
        action: str,
        subject: str,
        **details: str | float | bool | list[str] | None,
    ) -> None:
        """One row, in the caller's transaction. Details are ids, names and numbers, never values."""
        self.append_all(connection, at=at, actor=actor, action=action, subjects={subject: details})

    def take_turn(self, connection: Connection) -> None:
        """Waits for who writes now, and makes others wait until this transaction ends: what is asked of the
        vault from now on, nobody else changes meanwhile.
        """
        connection.execute(select(audit_head.c.seq).with_for_update())

    def append_all(
        self,
        connection: Connection,
        *,
        at: datetime,
        actor: str,
        action: str,
        subjects: Mapping[str, Mapping[str, Any]],
    ) -> None:
        """A row for each of several subjects with which the same was done, and its details; as `append`."""
        if not subjects:
            return
        kept = keep_until_commit(connection, lambda: self._begin(connection))
        rows = kept if isinstance(kept, _NewRows) else self._begin(connection)
        for subject, details in subjects.items():
            rows.add(at=at, actor=actor, action=action, subject=subject, details=details)
        if kept is None:
            rows.flush(connection)

    def _begin(self, connection: Connection) -> "_NewRows":
        return _NewRows(self._key, connection, self._guess)

    def verify(self, connection: Connection, anchors: tuple["Anchor", ...] = ()) -> Verification:
        """Walks the whole chain; says of each edited, missing, moved or cut-off row where it is."""
        write_kept(connection)
        problems: list[str] = []
        expected, previous = 1, _GENESIS
        due = {anchor.seq: anchor for anchor in anchors}
        for seq, row, stored in _rows(connection):
            chained = None if row is None else self._chain(previous, row)
            if seq != expected:
                problems.append(_missing(expected, seq - 1))
            elif chained is None or stored is None or not hmac.compare_digest(chained, stored):
                problems.append(f"row {seq} was edited, or put in another's place")
            anchor = due.pop(seq, None)
            if anchor is not None and anchor.hash != stored:
                problems.append(f"row {seq} is not the one that the anchor was made of")
            expected, previous = seq + 1, stored or chained or _GENESIS
        last = expected - 1
        head = connection.execute(select(audit_head)).one_or_none()
        if head is None:
            problems.append("the head row is missing")
        elif unreadable_fields(head):
            problems.append(f"the head row cannot be read ({', '.join(unreadable_fields(head))})")
        elif head.seq > last:
            problems.append(f"{_missing(expected, head.seq)}: the log was cut off")
        elif head.seq < last:
            problems.append(f"{_added(head.seq + 1, last)} added behind the head's back")
        elif head.hash != previous:
            problems.append("the head does not belong to the last row")
        problems += [f"{_missing(expected, seq)}: the anchor knows a longer log" for seq in due if seq > last]
        return Verification(rows=last, problems=tuple(problems[:_PROBLEMS_MAX]))

    def walk(self, connection: Connection, first: int, last: int) -> Iterator["ChainedRow"]:
        """The rows from one number to another, in order, each held against the one before it."""
        write_kept(connection)
        before = connection.execute(select(audit.c.hash).where(audit.c.seq == first - 1)).scalar_one_or_none()
        previous = before if isinstance(before, bytes) else _GENESIS
        for seq, row, stored in _rows(connection, first=first, last=last):
            chained = None if row is None else self._chain(previous, row)
            holds = chained is not None and stored is not None and hmac.compare_digest(chained, stored)
            yield ChainedRow(seq=seq, row=row, hash=stored, holds=holds)
            previous = stored or chained or _GENESIS

    def holds(self, connection: Connection, anchor: "Anchor") -> bool:
        """Whether the log still has the very row that the anchor was made of: by one look, not by a walk."""
        if anchor.seq == 0:
            return True
        found = connection.execute(select(audit.c.hash).where(audit.c.seq == anchor.seq)).scalar_one_or_none()
        return isinstance(found, bytes) and hmac.compare_digest(found, anchor.hash)

    def make_anchor(self, connection: Connection, at: datetime) -> "Anchor":
        write_kept(connection)
        head = connection.execute(select(audit_head)).one_or_none()
        if head is None or unreadable_fields(head):
            raise AuditError
        return Anchor(seq=head.seq, hash=head.hash, at=at)

    def sign(self, anchor: "Anchor") -> str:
        """The anchor as one line of JSON, signed with Ed25519, to be kept in another place."""
        body = anchor.body()
        signature = self._signing_key.sign(_canonical(body))
        return json.dumps({**body, "signature": b64encode(signature).decode()}, sort_keys=True)

    def read_anchor(self, line: str, *, source: str) -> "Anchor":
        """The anchor of a signed line; `InvalidInputError` if it is not one that we signed."""
        try:
            body = json.loads(line)
            signature = b64decode(body.pop("signature"))
            anchor = Anchor(
                seq=body["seq"],
                hash=bytes.fromhex(body["hash"]),
                at=datetime.fromisoformat(body["at"]),
            )
            self._signing_key.public_key().verify(signature, _canonical(body))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidSignature):
            raise InvalidInputError(f"{source} holds no anchor that this vault's keyring signed") from None
        return anchor

    def _chain(self, previous: bytes, row: AuditRow) -> bytes:
        return _chain(self._key, previous, row)


_TURN = select(audit_head).with_for_update()
_APPEND = insert(audit)
_BEFORE, _HASH = bindparam("before", type_=BigInteger), bindparam("before_hash", type_=LargeBinary)
_MOVE_HEAD = (
    update(audit_head)
    .where(
        audit_head.c.seq == _BEFORE,
        audit_head.c.hash == _HASH,
        select(func.coalesce(func.max(audit.c.seq), 0)).scalar_subquery() == _BEFORE,
    )
    .values(seq=bindparam("last", type_=BigInteger), hash=bindparam("made"))
)
"""On from where it is thought to stand, if it stands there, on the last row of the log."""


class LogHead(NamedTuple):
    """Where the log ends."""

    seq: int
    hash: bytes


def _read_head(connection: Connection) -> LogHead:
    """From now on others wait."""
    head = connection.execute(_TURN).one_or_none()
    if head is None or unreadable_fields(head):
        raise AuditError
    return LogHead(seq=head.seq, hash=head.hash)


class _Guess:
    """Where the head stands if nobody else has written since: to be held against the head itself."""

    head: LogHead | None = None


class _NewRows:
    """What a transaction appends, written at its end in one go. From the first row on, others wait; but in a
    unit of work, which may take its time, from its end on: there the head is the last row that is taken. On
    SQLite they wait since the transaction began. Then the head is asked for only where it is not where it was
    left.
    """

    def __init__(self, key: bytes, connection: Connection, guess: _Guess) -> None:
        self._key = key
        self._guess = guess
        waits = connection.dialect.name != "sqlite" and not knows(connection)
        self._head = _read_head(connection) if waits else None
        self.decides = False
        self.rows: list[AuditFields] = []

    def add(self, **of_row: Unpack[AuditFields]) -> None:
        self.rows.append(of_row)
        self.decides |= of_row["action"] in _DECISIVE

    def add_later(self, later: "_NewRows") -> None:
        self.rows += later.rows
        self.decides |= later.decides

    def flush(self, connection: Connection) -> None:
        """`AuditError` where the log was cut off, or has rows behind the head's back."""
        if not self.rows:
            return
        guessed = self._head or self._guess.head
        head = None if guessed is None else self._write(connection, guessed)
        if head is None and self._head is None:
            head = self._write(connection, _read_head(connection))
        if head is None:
            raise AuditError
        self._guess.head = head
        if self._head is not None:
            self._head = head
        if self.decides:
            connection.info[DECISIVE] = head
        self.rows = []

    def _write(self, connection: Connection, head: LogHead) -> LogHead | None:
        """After that head. None: it does not stand there."""
        seq, digest = head
        chained = []
        for fields in self.rows:
            seq += 1
            row = AuditRow(seq=seq, **fields)
            digest = _chain(self._key, digest, row)
            chained.append(vars(row) | {"hash": digest})
        moved = {"before": head.seq, "before_hash": head.hash, "last": seq, "made": digest}
        if connection.execute(_MOVE_HEAD, moved).rowcount != 1:
            return None
        connection.execute(_APPEND, chained)
        return LogHead(seq=seq, hash=digest)


def _chain(key: bytes, previous: bytes, row: AuditRow) -> bytes:
    body = {**vars(row), "at": _stamp(row.at)}
    return hmac.digest(key, previous + _canonical(body), "sha256")


@dataclass(frozen=True, kw_only=True)
class ChainedRow:
    """`row` and `hash` are None where they cannot be read; `holds`: it is as it was written, where it was."""

    seq: int
    row: AuditRow | None
    hash: bytes | None
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What the log's head was at a time."""

    seq: int
    hash: bytes
    at: datetime

    def body(self) -> dict[str, Any]:
        return {"seq": self.seq, "hash": self.hash.hex(), "at": _stamp(self.at)}


def start_chain(connection: Connection) -> None:
    """The head of an empty log: once, when the vault is made."""
    connection.execute(insert(audit_head).values(id=1, seq=0, hash=_GENESIS))


def _rows(
    connection: Connection, *, first: int = 1, last: int | None = None
) -> Iterator[tuple[int, AuditRow | None, bytes | None]]:
    """The log, or a part of it, in order: number, row, stored hash. In pages: memory does not grow with it.

    Row and hash are None where they cannot even be read, which an edit behind the vault's back can bring about.
    """
    wanted = select(audit).where(audit.c.seq >= first)
    if last is not None:
        wanted = wanted.where(audit.c.seq <= last)
    for page in walk_keyset(connection, wanted, (audit.c.seq,), size=_PAGE):
        for stored in page:
            row = read_apart(stored, audit_row)
            chained = None if stored.hash is UNREADABLE else stored.hash
            yield stored.seq, None if isinstance(row, Unread) else row, chained


def audit_row(row: Row[*tuple[Any, ...]]) -> AuditRow:
    """`UnreadableError` where it was edited so that it cannot even be read."""
    made = AuditRow(
        seq=row.seq, at=row.at, actor=row.actor, action=row.action, subject=row.subject, details=row.details
    )
    if UNREADABLE in vars(made).values():
        raise UnreadableError(f"row {row.seq} of the audit log", "edited")
    return made


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"


def _added(first: int, last: int) -> str:
    return f"row {first} was" if first == last else f"rows {first} to {last} were"


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _canonical(body: Mapping[str, Any]) -> bytes:
    return write_canonical(body).encode()
