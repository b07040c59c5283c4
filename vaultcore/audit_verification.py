"""What a walk over the audit log has found: each row that was edited, is missing, was moved or cut off."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from vaultcore.audit_chain import GENESIS, AuditChain
from vaultcore.audit_pages import StoredPage
from vaultcore.audit_rows import AuditRow
from vaultcore.stored import unreadable_fields


@dataclass(frozen=True, kw_only=True)
class Verification:
    """`problems` are sentences, each naming a row; none means that the chain is whole. `lost`: how many of the
    processes that helped have ended early; what they had not answered for was checked by this one.
    """

    rows: int
    problems: tuple[str, ...]
    lost: int = 0

    @property
    def whole(self) -> bool:
        return not self.problems


class AuditWalk:
    """Is given the log's rows in order, in pages. `anchored`: by number, the hash that a row had. `last`: the
    number of the last row, and `previous` its hash.
    """

    def __init__(self, chain: AuditChain, anchored: Mapping[int, bytes]) -> None:
        self._chain = chain
        self._due = dict(anchored)
        self.previous = GENESIS
        self.last = 0
        self.problems: list[str] = []

    def take_whole(self, page: StoredPage) -> None:
        """A page that comes next, and is known to hold."""
        for seq in sorted(self._due.keys() & set(range(page.first, page.last + 1))):
            self._compare(seq, page.hash_of(seq))
        self.last, self.previous = page.last, page.hash_of(page.last)

    def take_each(self, rows: Iterable[tuple[int, AuditRow | None, bytes | None]]) -> None:
        """Row and hash are None where they cannot be read."""
        for seq, row, stored in rows:
            chained = None if row is None else self._chain.hash(self.previous, row)
            if seq != self.last + 1:
                self.problems.append(_missing(self.last + 1, seq - 1))
            elif chained is None or stored is None or not hmac.compare_digest(chained, stored):
                self.problems.append(f"row {seq} was edited, or put in another's place")
            self._compare(seq, stored)
            self.last, self.previous = seq, stored or chained or GENESIS

    def conclude(self, head: Row[*tuple[Any, ...]] | None) -> list[str]:
        """All problems, with those of the head and of anchors of a longer log."""
        last, said = self.last, list(self.problems)
        if head is None:
            said.append("the head row is missing")
        elif unreadable_fields(head):
            said.append(f"the head row cannot be read ({', '.join(unreadable_fields(head))})")
        elif head.seq > last:
            said.append(f"{_missing(last + 1, head.seq)}: the log was cut off")
        elif head.seq < last:
            said.append(f"{_added(head.seq + 1, last)} added behind the head's back")
        elif head.hash != self.previous:
            said.append("the head does not belong to the last row")
        return said + [
            f"{_missing(last + 1, seq)}: the anchor knows a longer log" for seq in self._due if seq > last
        ]

    def _compare(self, seq: int, stored: bytes | None) -> None:
        anchored = self._due.pop(seq, None)
        if anchored is not None and anchored != stored:
            self.problems.append(f"row {seq} is not the one that the anchor was made of")


def _missing(first: int, last: int) -> str:
    return f"row {first} is missing" if first == last else f"rows {first} to {last} are missing"


def _added(first: int, last: int) -> str:
    return f"row {first} was" if first == last else f"rows {first} to {last} were"
