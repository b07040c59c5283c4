"""How the audit log's rows hang together: hash(n) = HMAC-SHA256(audit key, hash(n-1) || canonical row n).

A row's details are stored as they are hashed, so that most rows are checked without being read: what was
hashed is put together from what is stored. It can come about in one way alone. Each text is quoted and escaped,
and the details, which are taken as they are, begin where all before them ends, and end where all after them
begins. So in a row whose hash agrees, each column is what was hashed. Older rows have their details in another
order: those are read, and written anew. A row that agrees in neither way is left to whoever reads it as readers
do.
"""

import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quote
from typing import Any, Final, NamedTuple

from vaultcore.audit_rows import AuditRow, Stored
from vaultcore.canonical import write_canonical
from vaultcore.crypto.keyed_hash import KeyedHash
from vaultcore.tables import EARLIEST

GENESIS: Final = bytes(32)
_CANONICAL: Final = '{"action":%s,"actor":%s,"at":%s,"details":%s,"seq":%d,"subject":%s}'
_EARLIEST: Final = str(EARLIEST)
_NOT_OURS: Final = (TypeError, ValueError, AttributeError, RecursionError)
"""What comes of a value that is none of its column."""


class NewRow(NamedTuple):
    """An `AuditRow` that has no number yet."""

    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


class AuditChain:
    """Makes hashes, and holds rows against them."""

    def __init__(self, key: bytes) -> None:
        self._keyed = KeyedHash(key)

    def hash(self, previous: bytes, row: AuditRow) -> bytes:
        """Of a row as readers have it."""
        body = write_canonical(vars(row) | {"at": stamp(row.at)})
        return self._keyed.make(previous + body.encode())

    def extend(self, seq: int, previous: bytes, rows: Iterable[NewRow]) -> list[Stored]:
        """The rows that come after that one, as they are stored."""
        made: list[Stored] = []
        for at, actor, action, subject, details in rows:
            if at.tzinfo is None:
                raise TypeError("a stored time must know its time zone")
            seq += 1
            stamped, written = stamp(at), write_canonical(details)
            body = _CANONICAL % (quote(action), quote(actor), quote(stamped), written, seq, quote(subject))
            previous = self._keyed.make(previous + body.encode())
            time = stamped[:26].replace("T", " ")
            made.append((seq, time, actor, action, subject, written, previous))
        return made

    def holds(self, previous: bytes, rows: Sequence[Stored]) -> bool:
        """Whether each of these rows is what was written after the one before it; the first, after `previous`.
        False: they do not, or it takes a reader to know.
        """
        begin, agree = self._keyed.begin, hmac.compare_digest
        try:
            for seq, at, actor, action, subject, details, stored in rows:
                time = quote(at.replace(" ", "T", 1) + "+00:00")
                body = _CANONICAL % (quote(action), quote(actor), time, details, seq, quote(subject))
                hashed = begin()
                hashed.update(previous + body.encode())
                if at < _EARLIEST or at[10:11] != " ":
                    return False
                if not agree(hashed.finalize(), stored):
                    anew = write_canonical(json.loads(details))
                    body = _CANONICAL % (quote(action), quote(actor), time, anew, seq, quote(subject))
                    if not agree(self._keyed.make(previous + body.encode()), stored):
                        return False
                previous = stored
        except _NOT_OURS:
            return False
        return True


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
