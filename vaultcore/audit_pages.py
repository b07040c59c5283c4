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

_HASH_LENGTH: Final = 32
_TIME_LENGTH: Final = len("2026-03-01 02:00:00.000000")
_DAY_LENGTH: Final = len("2026-03-01")
_NOT_OURS: Final = (TypeError, ValueError, AttributeError, RecursionError)
"""What comes of a value that is none of its column."""


class StoredTexts(NamedTuple):
    """What is stored in each row, column by column. Times are UTC, as SQLite has them."""

    times: Sequence[Any]
    actors: Sequence[Any]
    actions: Sequence[Any]
    subjects: Sequence[Any]
    details: Sequence[Any]


class StoredPage(NamedTuple):
    """Rows one after another, from the number of the first."""

    first: int
    texts: StoredTexts
    hashes: Sequence[Any]

    @property
    def last(self) -> int:
        return self.first + len(self.hashes) - 1


EMPTY_PAGE: Final = StoredPage(0, StoredTexts((), (), (), (), ()), ())


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
    if set(map(len, page.hashes)) != {_HASH_LENGTH}:
        return False
    before = (previous, *page.hashes[:-1])
    made = keyed.make_each(map(add, before, write_bodies(page.first, page.texts)))
    if hmac.compare_digest(b"".join(made), b"".join(page.hashes)):
        return True
    for place, (one, stored) in enumerate(zip(made, page.hashes, strict=True)):
        if not hmac.compare_digest(one, stored):
            texts = StoredTexts(*([column[place]] for column in page.texts))
            anew = texts._replace(details=[write_canonical(json.loads(texts.details[0]))])
            (body,) = write_bodies(page.first + place, anew)
            if not hmac.compare_digest(keyed.make(before[place] + body), stored):
                return False
    return True


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
