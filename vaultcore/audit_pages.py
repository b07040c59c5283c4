"""A page of the audit log as it is stored, and whether it is what was written.

A row's details are stored as they are hashed, so that most rows are checked without being read: what was
hashed is put together from what is stored. It can come about in one way alone. Each text is quoted and escaped,
and the details, which are taken as they are, begin where all before them ends, and end where all after them
begins. So in a row whose hash agrees, each column is what was hashed. Older rows have their details in another
order: those are read, and written anew. A page that agrees in neither way is left to whoever reads it as
readers do.

It is checked column by column: what is asked of all texts at once costs a row next to nothing.
"""

import hmac
import json
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quote
from operator import add
from typing import Any, Final, NamedTuple

from vaultcore.canonical import write_canonical
from vaultcore.crypto.keyed_hash import KeyedHash

HASH_LENGTH: Final = 32
BETWEEN: Final = "\x1f"
"""JSON never holds it. A text that does makes one more than there are rows, so that its page does not hold."""
_TIME_LENGTH: Final = len("2026-03-01 02:00:00.000000")
_DAY_LENGTH: Final = len("2026-03-01")
_NOT_OURS: Final = (TypeError, ValueError, AttributeError, RecursionError)
"""What comes of a value that is none of its column."""


class StoredTexts(NamedTuple):
    """What is stored in each row, column by column: a sequence, or one text that has `BETWEEN` any two of them.
    Times are UTC, as SQLite has them.
    """

    times: Any
    actors: Any
    actions: Any
    subjects: Any
    details: Any


class StoredPage(NamedTuple):
    """Rows one after another, and the number of the first. Their hashes are a sequence, or all in one value."""

    first: int
    number: int
    texts: StoredTexts
    hashes: Any

    @property
    def last(self) -> int:
        return self.first + self.number - 1

    def hash_of(self, seq: int) -> Any:  # noqa: ANN401  # what is stored
        place = seq - self.first
        if isinstance(self.hashes, bytes):
            return self.hashes[place * HASH_LENGTH : (place + 1) * HASH_LENGTH]
        return self.hashes[place]


EMPTY_PAGE: Final = StoredPage(0, 0, StoredTexts((), (), (), (), ()), ())


def page_holds(keyed: KeyedHash, previous: bytes, page: StoredPage) -> bool:
    """Whether each of its rows is what was written after the one before it; the first, after the row with the
    hash `previous`. False: they are not, or it takes a reader to know.
    """
    try:
        return _holds(keyed, previous, page)
    except _NOT_OURS:
        return False


def write_bodies(first: int, texts: StoredTexts) -> list[bytes]:
    """The canonical rows from that number on. `ValueError`: the times have another form than ours."""
    times, actors, actions, subjects, details = texts
    columns = (_escape(actions), _escape(actors), _escape(_write_stamps(times)), details, _escape(subjects))
    return [
        (
            f'{{"action":"{action}","actor":"{actor}","at":"{at}","details":{said},"seq":{seq},'
            f'"subject":"{subject}"}}'
        ).encode()
        for seq, (action, actor, at, said, subject) in enumerate(zip(*columns, strict=True), start=first)
    ]


def _holds(keyed: KeyedHash, previous: bytes, page: StoredPage) -> bool:
    texts, hashes = StoredTexts(*map(_split, page.texts)), _split_hashes(page.hashes)
    if set(map(len, hashes)) != {HASH_LENGTH} or {page.number} != set(map(len, (*texts, hashes))):
        return False
    before = (previous, *hashes[:-1])
    made = keyed.make_each(map(add, before, write_bodies(page.first, texts)))
    if hmac.compare_digest(b"".join(made), b"".join(hashes)):
        return True
    for place, (one, stored) in enumerate(zip(made, hashes, strict=True)):
        if not hmac.compare_digest(one, stored):
            row = StoredTexts(*([column[place]] for column in texts))
            anew = row._replace(details=[write_canonical(json.loads(row.details[0]))])
            (body,) = write_bodies(page.first + place, anew)
            if not hmac.compare_digest(keyed.make(before[place] + body), stored):
                return False
    return True


def _split(column: Any) -> Sequence[Any]:  # noqa: ANN401  # of `StoredTexts`
    """More than there are rows: a text has in it what stands between two."""
    each: Sequence[Any] = column.split(BETWEEN) if isinstance(column, str) else column
    return each


def _split_hashes(hashes: Any) -> Sequence[Any]:  # noqa: ANN401  # of `StoredPage`
    each: Sequence[Any] = hashes
    if isinstance(hashes, bytes):
        each = [hashes[begin : begin + HASH_LENGTH] for begin in range(0, len(hashes), HASH_LENGTH)]
    return each


def _write_stamps(times: Sequence[str]) -> list[str]:
    """`ValueError` for those in another form than ours."""
    joined = "+00:00\n".join(times)
    step = _TIME_LENGTH + len("+00:00\n")
    between = joined[_DAY_LENGTH::step]
    if set(map(len, times)) != {_TIME_LENGTH} or between != " " * len(times):
        raise ValueError
    stamps = f"{joined}+00:00".replace(" ", "T").split("\n")
    if len(stamps) != len(times):
        raise ValueError
    return stamps


def _escape(texts: Sequence[str]) -> Sequence[str]:
    """As JSON has them between its quotes, in ASCII. What most texts are takes no look at each."""
    joined = "".join(texts)
    if joined.isascii() and joined.isprintable() and '"' not in joined and "\\" not in joined:
        return texts
    return [quote(text)[1:-1] for text in texts]
