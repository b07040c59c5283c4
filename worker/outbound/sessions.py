"""Sessions that stay open for a while, so that one login serves many calls to the same target.

They are kept while whoever drives says so (`sessions_kept`), for the same principal at the same target alone,
few of them, and not for long. One that is at work belongs to who took it: nobody shares it at the same time.
"""

import hashlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar, cast
from weakref import WeakSet

from worker.outbound.network import ask_permission

AGE_MAX_SECONDS = 60.0
"""Then it is opened anew: names may lead elsewhere by now, and a login may have been taken away."""
AT_ONE_TARGET_MAX = 8
"""As many as a worker drives side by side."""
MAX = 16
_SECRET = secrets.token_bytes(32)


class KeptSession(Protocol):
    """`opened_at` by the monotonic clock. It is closed when nobody has used it for `idle_seconds`."""

    @property
    def opened_at(self) -> float: ...
    @property
    def idle_seconds(self) -> float: ...
    def is_usable(self) -> bool:
        """Whether all that was asked on it was answered, and nothing came since: not even its end."""

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class SessionKey:
    """Whose session it is, and where. `way` is the way out that let it pass, with its guard and what it trusts;
    `terms` are how it was opened; `credential` is a digest that `digest_credential` made.
    """

    kind: str
    way: object
    host: str
    port: int
    terms: tuple[str, ...] = ()
    principal: str
    credential: bytes = field(repr=False)

    @property
    def place(self) -> tuple[str, object, str, int]:
        return self.kind, self.way, self.host, self.port


def digest_credential(*parts: bytes) -> bytes:
    """By which two are told to be the same, in this process alone."""
    made = hashlib.blake2b(key=_SECRET)
    for part in parts:
        made.update(len(part).to_bytes(8) + part)
    return made.digest()


@dataclass(frozen=True, eq=False)
class _Idle:
    key: SessionKey
    session: KeptSession
    until: float


class _Forgotten(NamedTuple):
    """`moment` by the store's own count, `at` by the monotonic clock."""

    moment: int
    at: float


_NEVER = _Forgotten(0, 0.0)
T = TypeVar("T", bound=KeptSession)


class SessionStore:
    """Those that nobody uses just now, so many at most. It is one process's: a fork takes none, closes none."""

    def __init__(self, *, at_one_target: int = AT_ONE_TARGET_MAX, in_all: int = MAX) -> None:
        self._at_one_target = at_one_target
        self._in_all = in_all
        self._idle: list[_Idle] = []
        """The one that was used last stands last."""
        self._changed = threading.Condition()
        self._closing: threading.Thread | None = None
        self._is_over = False
        self._moment = 0
        self._forgotten: dict[tuple[str, str], _Forgotten] = {}
        """When a principal's were, last; the latest stands last."""
        self._pid = os.getpid()

    @property
    def is_ours(self) -> bool:
        return self._pid == os.getpid()

    def take(self, key: SessionKey) -> KeptSession | None:
        """One that can be used, and is the caller's from now on."""
        while (found := self._find(key)) is not None:
            if time.monotonic() < found.until and _is_usable(found.session):
                return found.session
            _close(found.session)
        return None

    def mark(self) -> int:
        """For `keep`, by which it knows who was forgotten meanwhile."""
        with self._changed:
            return self._moment

    def keep(self, key: SessionKey, session: KeptSession, *, since: int) -> None:
        """It is whole and of no use to its caller any more; closed at once where it may not stay."""
        now = time.monotonic()
        until = min(now + session.idle_seconds, session.opened_at + AGE_MAX_SECONDS)
        surplus = [session]
        if now < until and _is_usable(session):
            with self._changed:
                forgotten = self._forgotten.get((key.kind, key.principal), _NEVER)
                if not self._is_over and forgotten.moment <= since:
                    self._idle.append(_Idle(key, session, until))
                    surplus = self._make_room(key)
                    self._begin_closing()
        for one in surplus:
            _close(one)

    def forget(self, kind: str, principal: str) -> None:
        """Sessions of this principal end, at every target; those that are at work, when they are given back."""
        with self._changed:
            self._moment += 1
            self._forgotten.pop((kind, principal), None)
            self._forgotten[kind, principal] = _Forgotten(self._moment, time.monotonic())
            self._drop_old()
        self._drop(lambda one: (one.key.kind, one.key.principal) == (kind, principal))

    def _drop_old(self) -> None:
        """Sessions from before are too old to be kept by now, whoever's they are."""
        now = time.monotonic()
        for key, forgotten in list(islice(self._forgotten.items(), 2)):
            if now - forgotten.at > AGE_MAX_SECONDS:
                del self._forgotten[key]

    def close(self) -> None:
        if not self.is_ours:
            return
        with self._changed:
            self._is_over = True
        self._drop(lambda _: True)

    def _find(self, key: SessionKey) -> _Idle | None:
        with self._changed:
            for one in reversed(self._idle):
                if one.key == key:
                    self._idle.remove(one)
                    return one
        return None

    def _make_room(self, key: SessionKey) -> list[KeptSession]:
        there = [one for one in self._idle if one.key.place == key.place]
        surplus = there[: max(len(there) - self._at_one_target, 0)]
        surplus = surplus or self._idle[: max(len(self._idle) - self._in_all, 0)]
        self._idle = [one for one in self._idle if one not in surplus]
        return [one.session for one in surplus]

    def _drop(self, is_meant: Callable[[_Idle], bool]) -> None:
        with self._changed:
            dropped = [one for one in self._idle if is_meant(one)]
            self._idle = [one for one in self._idle if not is_meant(one)]
            self._changed.notify()
        for one in dropped:
            _close(one.session)

    def _begin_closing(self) -> None:
        """One thread for all of them, as long as there is one."""
        if self._closing is None:
            self._closing = threading.Thread(target=self._close_idle, name="idle-sessions", daemon=True)
            self._closing.start()
        else:
            self._changed.notify()

    def _close_idle(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                over = [one for one in self._idle if one.until <= now]
                self._idle = [one for one in self._idle if one.until > now]
                if not over and not self._idle:
                    self._closing = None
                    return
                if not over:
                    self._changed.wait(min(one.until for one in self._idle) - now)
            for one in over:
                _close(one.session)


_current: ContextVar[SessionStore | None] = ContextVar("sessions", default=None)
_stores: WeakSet[SessionStore] = WeakSet()
_stores_lock = threading.Lock()


def open_store(*, at_one_target: int = AT_ONE_TARGET_MAX, in_all: int = MAX) -> SessionStore:
    """For who keeps sessions from one block of `sessions_kept` to the next: they end once idle or old."""
    store = SessionStore(at_one_target=at_one_target, in_all=in_all)
    with _stores_lock:
        _stores.add(store)
    return store


@contextmanager
def sessions_kept(store: SessionStore | None = None) -> Iterator[None]:
    """Inside, sessions stay open from one call to the next; at its end none is, unless it is the `store` that
    keeps them. In another such block it is a part of that one.
    """
    if current_store() is not None:
        yield
        return
    kept = store if store is not None and store.is_ours else open_store()
    token = _current.set(kept)
    try:
        yield
    finally:
        _current.reset(token)
        if kept is not store:
            kept.close()


@contextmanager
def nothing_shared() -> Iterator[None]:
    """Inside, each call is one of its own, as if nobody kept sessions: whoever asks whether a value works wants
    to hear it of a new login, and of whichever machine answers this time.
    """
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def current_store() -> SessionStore | None:
    """None: a session ends with its call."""
    store = _current.get()
    return store if store is not None and store.is_ours else None


def forget_sessions_of(kind: str, principal: str) -> None:
    """Their credential is another by now, or none: none of this process's sessions outlives it."""
    with _stores_lock:
        stores = [store for store in _stores if store.is_ours]
    for store in stores:
        store.forget(kind, principal)


@contextmanager
def share(key: SessionKey, connect: Callable[[], T], begin: Callable[[T], None]) -> Iterator[T]:
    """A session that was kept, which `begin` makes ready, or what `connect` opens. That asks for permission as
    every call does; for one that is open already it is asked for here.

    It stays open if all went well, and somebody keeps sessions.
    """
    store = current_store()
    since = 0 if store is None else store.mark()
    kept = None if store is None else cast("T | None", store.take(key))
    session = connect() if kept is None else kept
    try:
        if kept is not None:
            ask_permission()
            begin(kept)
        yield session
    except BaseException:
        _close(session)
        raise
    if store is None:
        session.close()
    else:
        store.keep(key, session, since=since)


def _is_usable(session: KeptSession) -> bool:
    with suppress(Exception):
        return session.is_usable()
    return False


def _close(session: KeptSession) -> None:
    """Whether or not the other side hears of it."""
    with suppress(Exception):
        session.close()
