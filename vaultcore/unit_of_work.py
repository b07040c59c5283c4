"""Several reads and writes of one thread in one transaction, committed before anything leaves.

Inside `Database.unit()` whatever this thread reads or writes joins one transaction. It is begun when it is
first needed and ends when its holder says `commit`: before a call to the outside, or at the end. So what only
touches the database costs one commit, however many services take part in it.

A write that fails undoes the whole transaction, as if it had never begun: nothing has left since it did.
"""

from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Delete, Engine, Insert, Table, Update, event
from sqlalchemy.exc import DBAPIError

from vaultcore.errors import raise_alone

T = TypeVar("T")
_REMEMBERED = "remembered"
Remembered = dict[str, dict[Hashable, Any]]
"""What was read, by the tables that it was read from."""


class UnitOfWork:
    """One thread's. `begin` opens a transaction; `before_commit` is called in it before it is committed, and
    `after` with whether it was, once it is over.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[Connection]],
        *,
        before_commit: Callable[[Connection], None],
        after: Callable[[bool], None],
    ) -> None:
        self._begin = begin
        self._before_commit = before_commit
        self._after = after
        self._transaction: AbstractContextManager[Connection] | None = None
        self._connection: Connection | None = None
        self._blocks = 0
        self._wrote = False
        self._remembered: Remembered = {}
        self.one_by_one = False
        """Each write is committed by itself, as outside of a unit: one that fails undoes nothing else."""

    @property
    def has_written(self) -> bool:
        """Whether there is something to commit."""
        return self._wrote

    def commit(self) -> None:
        """What was written stands now, and others see it. Nothing was read or written: nothing happens."""
        if self._blocks:
            raise RuntimeError("a call to the outside was made in the middle of a write")
        if self._connection is None:
            return
        try:
            self._before_commit(self._connection)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def leave(self) -> None:
        """Ends the transaction where it has only read; what it wrote is committed."""
        if self._wrote or self._blocks:
            self.commit()
        elif self._connection is not None:
            self.undo()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A block of it. Whatever it raises undoes the transaction."""
        connection = self._join()
        self._wrote = True
        self._blocks += 1
        failed: BaseException | None = None
        try:
            yield connection
        except BaseException as error:  # noqa: BLE001  # raised again below, as what the database makes of it
            failed = error
        finally:
            self._blocks -= 1
        if failed is not None:
            self._fail(failed)
        if self.one_by_one and not self._blocks:
            self.commit()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A block that writes nothing: what it raises undoes the transaction only if the database raised it."""
        connection = self._join()
        failed: BaseException | None = None
        try:
            yield connection
        except (DBAPIError, UnicodeEncodeError) as error:
            failed = error
        if failed is not None:
            self._fail(failed)

    def _join(self) -> Connection:
        if self._connection is None:
            transaction = self._begin()
            self._connection = transaction.__enter__()
            self._transaction = transaction
            self._remembered = {}
            self._connection.info[_REMEMBERED] = self._remembered
        return self._connection

    def _fail(self, error: BaseException) -> None:
        raised: BaseException | None = None
        try:
            self._end(error)
        except BaseException as made:  # noqa: BLE001  # what the database makes of it, or the very same
            raised = made
        raise_alone(raised or error)

    def undo(self) -> None:
        """As if the transaction had never begun."""
        undone = _UndoneError()
        try:
            self._end(undone)
        except _UndoneError:
            return

    def _end(self, error: BaseException | None) -> None:
        transaction, connection = self._transaction, self._connection
        self._transaction = self._connection = None
        self._wrote = False
        self._remembered = {}
        if transaction is None or connection is None:
            return
        connection.info.pop(_REMEMBERED, None)
        kept = False
        try:
            if error is None:
                transaction.__exit__(None, None, None)
                kept = True
            else:
                transaction.__exit__(type(error), error, error.__traceback__)
        finally:
            self._after(kept)


def remember(connection: Connection, key: Hashable, tables: Collection[str], read: Callable[[], T]) -> T:
    """What `read` reads from these tables: once in a unit's transaction, until it writes to one of them."""
    remembered: Remembered | None = connection.info.get(_REMEMBERED)
    if remembered is None:
        return read()
    known = [remembered.get(table, {}) for table in tables]
    if all(key in of_table for of_table in known):
        found: T = known[0][key]
        return found
    made = read()
    for table in tables:
        remembered.setdefault(table, {})[key] = made
    return made


class _UndoneError(Exception):
    """Ends a transaction that is not to be kept."""


def forget_what_changes(engine: Engine) -> None:
    """From now on a write of the engine ends what was remembered of its table in the same transaction."""

    def before(connection: Connection, statement: Any, *_: Any) -> None:  # noqa: ANN401  # the library's
        remembered: Remembered | None = connection.info.get(_REMEMBERED)
        if (
            remembered
            and isinstance(statement, (Insert, Update, Delete))
            and isinstance(statement.table, Table)
        ):
            remembered.pop(statement.table.name, None)

    event.listen(engine, "before_execute", before)
