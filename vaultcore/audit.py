"""The audit log: a gapless, hash-chained record of every change, written with the change.

hash(n) = HMAC-SHA256(audit key, hash(n-1) || canonical row n). Writers take turns on the head row.
No audit row, no change: `append` runs in the transaction of the change that it records. Somebody
who can write the database cannot forge a row without the keyring, and an anchor (a head, signed,
kept elsewhere) shows a log that was cut back together with its head.
"""

import hmac
import json
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Row, bindparam, insert, select

from vaultcore.audit_chain import GENESIS, AuditChain, NewRow, stamp
from vaultcore.audit_rows import AuditRow, LogHead, append_stored, audit_row, read_stored
from vaultcore.audit_verification import AuditWalk, Verification
from vaultcore.canonical import write_canonical
from vaultcore.engines import DECISIVE
from vaultcore.errors import AuditError, InvalidInputError
from vaultcore.known_items import knows
from vaultcore.paging import select_page, walk_keyset
from vaultcore.stored import UNREADABLE, Unread, read_apart, unreadable_fields
from vaultcore.tables import audit, audit_head
from vaultcore.written_last import keep_until_commit, write_kept

if TYPE_CHECKING:  # few commands verify
    from vaultcore.audit_processes import AskedPage, PageChecks

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


class AuditLog:
    """Appends and verifies. `key` makes the chain, `signing_key` the anchors."""

    def __init__(self, key: bytes, signing_key: Ed25519PrivateKey) -> None:
        self._key = key
        self._chain = AuditChain(key)
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
        self._append(connection, [NewRow(at, actor, action, subject, details)])

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
        self._append(
            connection, [NewRow(at, actor, action, subject, details) for subject, details in subjects.items()]
        )

    def _append(self, connection: Connection, rows: list[NewRow]) -> None:
        if not rows:
            return
        kept = keep_until_commit(connection, lambda: self._begin(connection))
        new = kept if isinstance(kept, _NewRows) else self._begin(connection)
        new.add(rows)
        if kept is None:
            new.flush(connection)

    def _begin(self, connection: Connection) -> "_NewRows":
        return _NewRows(self._chain, connection, self._guess)

    def verify(
        self, connection: Connection, anchors: tuple["Anchor", ...] = (), *, processes: int = 0
    ) -> Verification:
        """Walks the whole chain; says of each edited, missing, moved or cut-off row where it is. `processes`:
        how many others may help with a long log. What is found is the same.
        """
        from vaultcore.audit_processes import PageChecks  # noqa: PLC0415  # as above

        write_kept(connection)
        walk = AuditWalk(self._chain, {anchor.seq: anchor.hash for anchor in anchors})
        with PageChecks(self._chain, self._key, processes) as checks:
            _walk_pages(connection, walk, checks)
            lost = checks.lost
        head = connection.execute(select(audit_head)).one_or_none()
        problems = tuple(walk.conclude(head)[:_PROBLEMS_MAX])
        return Verification(rows=walk.last, problems=problems, lost=lost)

    def walk(self, connection: Connection, first: int, last: int) -> Iterator["ChainedRow"]:
        """The rows from one number to another, in order, each held against the one before it."""
        write_kept(connection)
        before = connection.execute(select(audit.c.hash).where(audit.c.seq == first - 1)).scalar_one_or_none()
        previous = before if isinstance(before, bytes) else GENESIS
        for seq, row, stored in _rows(connection, first=first, last=last):
            chained = None if row is None else self._chain.hash(previous, row)
            holds = chained is not None and stored is not None and hmac.compare_digest(chained, stored)
            yield ChainedRow(seq=seq, row=row, hash=stored, holds=holds)
            previous = stored or chained or GENESIS

    def holds(self, connection: Connection, anchor: "Anchor") -> bool:
        """Whether the log still has the very row that the anchor was made of: by one look, not by a walk."""
        if anchor.seq == 0:
            return True
        found = connection.execute(_HASH_OF, {"seq": anchor.seq}).scalar_one_or_none()
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


_HASH_OF = select(audit.c.hash).where(audit.c.seq == bindparam("seq"))
_TURN = select(audit_head).with_for_update()


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

    def __init__(self, chain: AuditChain, connection: Connection, guess: _Guess) -> None:
        self._chain = chain
        self._guess = guess
        waits = connection.dialect.name != "sqlite" and not knows(connection)
        self._head = _read_head(connection) if waits else None
        self.decides = False
        self.rows: list[NewRow] = []

    def add(self, rows: list[NewRow]) -> None:
        """Some with which the same was done."""
        self.rows += rows
        self.decides |= rows[0].action in _DECISIVE

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
        made = self._chain.extend(head.seq, head.hash, self.rows)
        return append_stored(connection, head, made)


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
        return {"seq": self.seq, "hash": self.hash.hex(), "at": stamp(self.at)}


_Read = tuple[int, AuditRow | None, bytes | None]
"""Number, row, stored hash. Row and hash are None where they cannot even be read, which an edit behind the
vault's back can bring about.
"""


def start_chain(connection: Connection) -> None:
    """The head of an empty log: once, when the vault is made."""
    connection.execute(insert(audit_head).values(id=1, seq=0, hash=GENESIS))


def _rows(connection: Connection, *, first: int, last: int) -> Iterator[_Read]:
    """A part of the log, in order. In pages: memory does not grow with it."""
    wanted = select(audit).where(audit.c.seq >= first, audit.c.seq <= last)
    for page in walk_keyset(connection, wanted, (audit.c.seq,), size=_PAGE):
        yield from map(_read, page)


def _walk_pages(connection: Connection, walk: AuditWalk, checks: "PageChecks") -> None:
    """Reads on while pages are checked. One that is not known to hold is taken row by row."""
    ahead: deque[AskedPage] = deque()
    after, previous, is_last = 0, GENESIS, False
    while not is_last:
        page = read_stored(connection, after, size=_PAGE)
        if page is not None:
            is_last = page.number < _PAGE
            if page.number:
                ahead.append(checks.ask(previous, page))
                after, previous = page.last, page.hash_of(page.last)
        while ahead and (page is None or is_last or not checks.may_read_on(ahead)):
            asked = ahead.popleft()
            if checks.conclude(asked, walk.previous):
                walk.take_whole(asked.page)
            else:
                walk.take_each(_read_page(connection, after=walk.last))
        if page is None:
            rows = _read_page(connection, after=walk.last)
            walk.take_each(rows)
            is_last = len(rows) < _PAGE
            after, previous = walk.last, walk.previous


def _read_page(connection: Connection, *, after: int) -> list[_Read]:
    page = select_page(select(audit), (audit.c.seq,), (after,), size=_PAGE)
    return [_read(row) for row in connection.execute(page)]


def _read(stored: Row[*tuple[Any, ...]]) -> _Read:
    row = read_apart(stored, audit_row)
    return (
        stored.seq,
        None if isinstance(row, Unread) else row,
        None if stored.hash is UNREADABLE else stored.hash,
    )


def _canonical(body: Mapping[str, Any]) -> bytes:
    return write_canonical(body).encode()
