"""Several reads and writes of one thread in one transaction, committed before anything leaves.

Inside `Database.unit()` whatever this thread reads or writes joins one transaction. It is begun when it is
first needed and ends when its holder says `leave`: before whatever takes its time, or at the end. So what only
touches the database costs one commit, however many services take part in it.

A write that fails undoes the whole transaction, as if it had never begun: nothing has left since it did.
"""

from collections.abc import Callable, Collection, Hashable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Delete, Engine, Executable, Insert, SelectBase, Table, Update, event
from sqlalchemy.exc import DBAPIError

from vaultcore.errors import raise_alone
from vaultcore.known_items import KnownItems, begin_knowing, end_knowing, forget_changed

T = TypeVar("T")
_REMEMBERED = "remembered"
_UNIT = "unit of work"
Remembered = dict[str, dict[Hashable, Any]]
"""What was read, by the tables that it was read from."""


class Holder(Protocol):
    """Whose unit it is."""

    @property
    def adds(self) -> Collection[str]:
        """Tables to which rows are added that nobody else has or waits for."""

    @property
    def is_ahead(self) -> bool:
        """Whether it has something to store that it has not written yet."""

    def begin(self, connection: Connection) -> None:
        """Called once in a transaction, before the first block that writes; in one that appends, before it
        changes or locks a row, or adds one to another table than those. What it raises, the block raises.
        """

    def store(self, connection: Connection) -> None:
        """Called in a transaction that is about to be committed. What it raises undoes that."""

    def end(self, *, kept: bool) -> None:
        """A transaction that wrote is over: it was committed, or undone. It must not raise."""


class UnitOfWork:
    """One thread's. `begin` opens a transaction, which may be shared, `alone` one that is not."""

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[Connection]],
        holder: Holder,
        *,
        alone: Callable[[], AbstractContextManager[Connection]],
    ) -> None:
        self._begin = begin
        self._alone = alone
        self._shares = begin != alone
        self._holder = holder
        self._transaction: AbstractContextManager[Connection] | None = None
        self._connection: Connection | None = None
        self._info: dict[Any, Any] = {}
        self._known: KnownItems | None = None
        """At the end of the last transaction."""
        self._blocks = 0
        self._wrote = False
        self._has_begun = False
        """Whether its holder was told so in this transaction."""
        self.one_by_one = False
        """Each write is committed by itself, as outside of a unit: one that fails undoes nothing else, and what
        other threads write does not make it fail.
        """

    def leave(self) -> None:
        """What was written stands now, and others see it; so does what its holder stores. Nothing is open."""
        if self._blocks:
            raise RuntimeError("a write was to be left in the middle, for a call to the outside")
        if self._holder.is_ahead and not self._wrote:
            with self.append():
                pass
        if self._wrote:
            self._commit()
        elif self._shares and not self.one_by_one:
            self._end(None)  # what was read of others stands by then, too
        else:
            self.undo()

    def undo(self) -> None:
        """As if the transaction had never begun."""
        if self._connection is not None:
            try:
                self._end(_NotKeptError())
            except _NotKeptError:
                return

    def write(self) -> AbstractContextManager[Connection]:
        """A block of it. Whatever it raises undoes the transaction."""
        return _Writing(self)

    def append(self) -> AbstractContextManager[Connection]:
        """A block that decides by nothing that others may change meanwhile: its holder is told when need be."""
        return _Appending(self)

    def read(self) -> AbstractContextManager[Connection]:
        """A block that writes nothing: what it raises undoes the transaction only if the database raised it."""
        return _Reading(self)

    def begin_before(self, connection: Connection, statement: Executable | str) -> None:
        """The statement is about to be executed in its transaction."""
        if not self._has_begun and _takes_rows(statement, self._holder.adds):
            self._begin_holding(connection)

    def _begin_holding(self, connection: Connection) -> None:
        self._has_begun = True
        self._holder.begin(connection)

    def _begin_appending(self) -> Connection:
        connection = self._join()
        self._blocks += 1
        self._wrote = True
        return connection

    def _begin_writing(self) -> Connection:
        connection = self._begin_appending()
        if not self._has_begun:
            try:
                self._begin_holding(connection)
            except BaseException as error:
                self._end_writing(error)
                raise
        return connection

    def _end_writing(self, error: BaseException | None) -> None:
        """Raises what the database makes of an error, if that is another one: else it goes on by itself."""
        self._blocks -= 1
        if error is not None:
            self._fail(error)
        elif self.one_by_one and not self._blocks:
            self._commit()

    def _join(self) -> Connection:
        if self._connection is None:
            transaction = self._alone() if self.one_by_one else self._begin()
            self._connection = transaction.__enter__()
            self._transaction = transaction
            self._info = self._connection.info  # a connection that is lost gives it no more
            self._info[_UNIT], self._info[_REMEMBERED] = self, {}
            begin_knowing(self._info, self._known)
        return self._connection

    def _commit(self) -> None:
        if self._connection is None:
            return
        self._has_begun = True  # it stores under its own condition
        try:
            self._holder.store(self._connection)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def _fail(self, error: BaseException) -> None:
        """As `_end_writing`. An error that were raised here once more would hold on to its own frames, and to
        whatever value is in them.
        """
        error.__context__ = None
        made: BaseException | None = None
        try:
            self._end(error)
        except BaseException as raised:  # noqa: BLE001  # raised again below
            made = raised
        try:
            if made is not None and made is not error:
                raise_alone(made)
        finally:
            del made, error

    def _end(self, error: BaseException | None) -> None:
        transaction, wrote = self._transaction, self._wrote
        self._transaction = self._connection = None
        self._wrote = self._has_begun = False
        self._info.pop(_UNIT, None)
        self._info.pop(_REMEMBERED, None)
        known = end_knowing(self._info)
        self._known = None
        if transaction is None:
            return
        kept = False
        try:
            if error is None:
                transaction.__exit__(None, None, None)
                kept = True
            else:
                transaction.__exit__(type(error), error, error.__traceback__)
        finally:
            if kept or not wrote:
                self._known = known
            if wrote:
                self._holder.end(kept=kept)


class _Block:
    """There are many, and a class is entered in a third of the time that a generator takes."""

    __slots__ = ("_unit",)

    def __init__(self, unit: UnitOfWork) -> None:
        self._unit = unit


class _Appending(_Block):
    __slots__ = ()

    def __enter__(self) -> Connection:
        return self._unit._begin_appending()  # noqa: SLF001  # a part of it

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unit._end_writing(error)  # noqa: SLF001  # as above


class _Writing(_Appending):
    __slots__ = ()

    def __enter__(self) -> Connection:
        return self._unit._begin_writing()  # noqa: SLF001  # as above


class _Reading(_Block):
    __slots__ = ()

    def __enter__(self) -> Connection:
        return self._unit._join()  # noqa: SLF001  # a part of it

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (DBAPIError, UnicodeEncodeError)):
            self._unit._fail(error)  # noqa: SLF001  # as above


class _NotKeptError(Exception):
    """Ends a transaction that is not to be kept."""


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


def watch_writes(engine: Engine) -> None:
    """From now on a write of the engine is told to the unit that it is of, and ends what was remembered of its
    table in the same transaction.
    """

    def before(
        connection: Connection,
        statement: Executable,
        _many: object,
        _one: object,
        options: Mapping[str, Any],
    ) -> None:
        unit: UnitOfWork | None = connection.info.get(_UNIT)
        if unit is None:
            return
        unit.begin_before(connection, statement)
        table = _written_by(statement)
        if table is not None:
            remembered: Remembered = connection.info[_REMEMBERED]
            remembered.pop(table, None)
            forget_changed(connection, table, options)

    event.listen(engine, "before_execute", before)


def _written_by(statement: Executable) -> str | None:
    """The name of the table."""
    if isinstance(statement, (Insert, Update, Delete)) and isinstance(statement.table, Table):
        return statement.table.name
    return None


def _takes_rows(statement: Executable | str, adds: Collection[str]) -> bool:
    """Whether others may have them, or wait for them. What the driver is given as it is belongs to the
    transaction itself; what any other text does nobody knows.
    """
    if isinstance(statement, str):
        return False
    if isinstance(statement, SelectBase):
        return getattr(statement, "_for_update_arg", None) is not None  # what `with_for_update` leaves
    return not (isinstance(statement, Insert) and _written_by(statement) in adds)
