"""Transactions that several threads share: what their units of work write is committed together.

A thread has the turn while it writes its part. When it would commit, it gives the turn on to whoever waits for
it, and waits until all of the transaction stands; who finds nobody waiting commits for all. So nobody waits for
a thread that does something else, and whoever writes alone commits at once.

A part that fails is undone alone, and the others stand. If the transaction itself fails, each of them hears so:
by `GaveWayError` where it was lost to somebody else, or to one of them.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from sqlalchemy import Connection, NestedTransaction
from sqlalchemy.exc import SQLAlchemyError

from vaultcore.errors import ConflictError, GaveWayError, raise_alone
from vaultcore.written_last import put_back, set_aside


class SharedCommits:
    """For the threads of one process. `begin` opens a transaction; `told` turns what the driver raises in a
    part of it into an error of ours.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[Connection]],
        told: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._begin = begin
        self._told = told
        self._changed = threading.Condition(threading.RLock())
        self._is_taken = False
        """The turn."""
        self._waiting = 0
        """For the turn."""
        self._open: _SharedTransaction | None = None

    @contextmanager
    def join(self) -> Iterator[Connection]:
        """One part. When the block has ended, it stands; what the block raises undoes it."""
        transaction = self._take_turn()
        failed: BaseException | None = None
        try:
            with self._told(), transaction.part(self._begin) as connection:
                yield connection
        except BaseException as error:  # noqa: BLE001  # raised again below
            failed = error
        self._give_turn(transaction)
        if failed is not None:
            raise_alone(failed)
        self._wait_for(transaction)

    def _take_turn(self) -> "_SharedTransaction":
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._is_taken)
            except BaseException:
                self._waiting -= 1
                self._leave_queue()
                raise
            self._waiting -= 1
            self._is_taken = True
            self._open = self._open or _SharedTransaction()
            return self._open

    def _leave_queue(self) -> None:
        """Of a thread that is told to stop: others may have left it to it to commit for all."""
        if self._open is not None and not (self._is_taken or self._waiting):
            self._is_taken = True
            self._give_turn(self._open)

    def _give_turn(self, transaction: "_SharedTransaction") -> None:
        """To the next; where there is none, or it cannot go on, the transaction ends."""
        with self._changed:
            if self._waiting and not transaction.is_broken:
                self._is_taken = False
                self._changed.notify_all()
                return
            self._open = None
        try:
            transaction.end()
        finally:
            with self._changed:
                self._is_taken = False
                self._changed.notify_all()

    def _wait_for(self, transaction: "_SharedTransaction") -> None:
        with self._changed:
            self._changed.wait_for(lambda: transaction.is_over)
        if isinstance(transaction.error, ConflictError):
            raise_alone(GaveWayError("a transaction that was shared was undone: repeat it in one of its own"))
        if transaction.error is not None:
            raise_alone(transaction.error)


class _SharedTransaction:
    """Of whoever has the turn; `is_over` and `error` are for all."""

    def __init__(self) -> None:
        self.is_over = False
        self.error: Exception | None = None
        """Why nothing of it stands."""
        self._connection: Connection | None = None
        self._transaction: AbstractContextManager[Connection] | None = None
        self._broken: BaseException | None = None

    @property
    def is_broken(self) -> bool:
        return self._broken is not None

    @contextmanager
    def part(self, begin: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
        connection = self._enter(begin)
        info = connection.info  # one that is lost gives it no more
        before = set_aside(info)
        nested: NestedTransaction | None = None
        try:
            nested = connection.begin_nested()
            yield connection
            nested.commit()
        except BaseException as error:
            set_aside(info)
            self._undo(nested, error)
            raise
        finally:
            put_back(info, before)

    def end(self) -> None:
        """Commits it, or undoes all of it where it is broken."""
        broken = self._broken
        try:
            if self._transaction is not None:
                self._transaction.__exit__(None if broken is None else type(broken), broken, None)
        except Exception as error:  # noqa: BLE001  # for whoever waits
            self.error = error
        except BaseException:
            self.error = _make_conflict()
            raise
        finally:
            if broken is not None:  # what it is belongs to the part that raised it
                self.error = _make_conflict()
            self.is_over = True

    def _enter(self, begin: Callable[[], AbstractContextManager[Connection]]) -> Connection:
        if self._connection is None:
            transaction = begin()
            self._connection = transaction.__enter__()
            self._transaction = transaction
        return self._connection

    def _undo(self, nested: NestedTransaction | None, error: BaseException) -> None:
        """The part alone; where that cannot be, all of it: one that was released stands as the others do, and
        the database may have undone everything.
        """
        self._broken = error
        if nested is not None and nested.is_active and not nested.connection.invalidated:
            with suppress(SQLAlchemyError):
                nested.rollback()
                self._broken = None


def _make_conflict() -> ConflictError:
    return ConflictError("a transaction that was shared was undone: look again, then repeat it")
