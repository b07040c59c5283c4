"""Maskers that are kept for a while: to make one takes longer than to search a line of text with it.

They are kept while whoever drives a rotation says so, which asks again and again about the same few values; and
no longer, for they hold them.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from vaultcore.secret import Secret
from worker.workflows.masking import Masker


@dataclass(frozen=True, eq=False)
class _Maskers:
    lock: threading.Lock = field(default_factory=threading.Lock)
    maskers: dict[frozenset[str], Masker] = field(default_factory=dict)


_kept: ContextVar[_Maskers | None] = ContextVar("maskers", default=None)


@contextmanager
def maskers_kept() -> Iterator[None]:
    """Inside, a masker of the same values is made once."""
    token = _kept.set(_Maskers())
    try:
        yield
    finally:
        _kept.reset(token)


def find_masker(values: Iterable[Secret]) -> Masker:
    """One that hides these values. It may be another caller's, too, in another thread: whoever would have it
    hide more takes a branch of it.
    """
    kept, hidden = _kept.get(), list(values)
    if kept is None:
        return Masker(hidden)
    key = frozenset(value.expose() for value in hidden)
    with kept.lock:
        if key not in kept.maskers:
            made = Masker(hidden)
            made.prepare()  # from here on it is only read
            kept.maskers[key] = made
        return kept.maskers[key]
