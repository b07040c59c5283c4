"""How the audit log's rows hang together: hash(n) = HMAC-SHA256(audit key, hash(n-1) || canonical row n).

Whether rows that are stored hang together so: `vaultcore.audit_pages`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from vaultcore.audit_pages import StoredPage, StoredTexts, page_holds, write_bodies
from vaultcore.audit_rows import AuditRow, Stored
from vaultcore.canonical import write_canonical
from vaultcore.crypto.keyed_hash import KeyedHash

GENESIS: Final = bytes(32)


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

    def extend(self, seq: int, previous: bytes, rows: Sequence[NewRow]) -> list[Stored]:
        """The rows that come after that one, as they are stored; at least one."""
        ats, actors, actions, subjects, given = zip(*rows, strict=True)
        if any(at.tzinfo is None for at in ats):
            raise TypeError("a stored time must know its time zone")
        times = [stamp(at)[:26].replace("T", " ") for at in ats]
        texts = StoredTexts(times, actors, actions, subjects, [*map(write_canonical, given)])
        hashes = []
        for body in write_bodies(seq + 1, texts):
            previous = self._keyed.make(previous + body)
            hashes.append(previous)
        return list(zip(range(seq + 1, seq + 1 + len(rows)), *texts, hashes, strict=True))

    def holds(self, previous: bytes, page: StoredPage) -> bool:
        """Whether the page is what was written after the row with that hash; see `page_holds`."""
        return page_holds(self._keyed, previous, page)


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
