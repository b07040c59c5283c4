"""Which workflows name an item in their documents: kept by a process, and looked after for what has changed.

To read every document before each old value goes would cost by what is stored, and not by what moves. So each
is read once, and again where the digest of its row is another. What is kept says where to look: a workflow that
is found by it is read anew, and one that is not is taken not to name the item.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple

from sqlalchemy import Connection

from vaultcore.database import Database
from vaultcore.model import Item
from vaultcore.names import spellings
from vaultcore.stored import Unread, read_apart
from worker.rows import workflows as workflow_rows
from worker.rows.workflows import StoredWorkflow, read_workflow

_LOOKS_EVERY = timedelta(minutes=1)
_HOLDS_AT_MOST = timedelta(minutes=10)
"""However long a look took: it may have waited for a lock that somebody keeps."""
_OF_ITS_TIME = 30
"""A look is taken for at most one part in so many of a process's time: it takes longer where there are more."""


class _NamedItems(NamedTuple):
    """What a document names: by which names and ids an item may be meant. `mac`: the digest of its row."""

    mac: bytes
    names: tuple[str, ...]


class DocumentUses:
    """Kept by one process, for all of its threads."""

    def __init__(self, *, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._looked_at: datetime | None = None
        self._began = 0.0
        """The same moment by a clock that nobody sets."""
        self._holds_for = _LOOKS_EVERY
        self._documents: dict[str, _NamedItems] = {}
        self._naming: dict[str, tuple[str, ...]] = {}
        self._edited: frozenset[str] = frozenset()

    def look_ahead(self, database: Database) -> None:
        """Before a transaction that may ask `find_naming`: it need not wait while many documents are read."""
        if not self._holds():
            with database.apart(), database.read() as connection:
                self._look(connection)

    def find_naming(self, connection: Connection, item: Item) -> frozenset[str]:
        """The ids of workflows that are active and name the item, and of those that none of us wrote so: as
        they were up to a minute ago, in a vault of many thousands up to some minutes. One that was edited after
        it was read here is told by what it named then: its digest is still the one of that.
        """
        edited, naming = self._look(connection)
        names = {item.name, item.id.lower()}
        return edited.union(*(naming.get(name, ()) for name in names))

    def _holds(self) -> bool:
        if self._looked_at is None or time.monotonic() - self._began >= self._holds_for.total_seconds():
            return False
        return timedelta() <= self._clock() - self._looked_at < self._holds_for

    def _look(self, connection: Connection) -> tuple[frozenset[str], Mapping[str, Sequence[str]]]:
        """Those that none of us wrote so, and by each name those that name it."""
        with self._lock:
            if self._holds():
                return self._edited, self._naming
            began, looked_at = time.monotonic(), self._clock()
            documents, edited = dict[str, _NamedItems](), set[str]()
            for digests in workflow_rows.walk_digests(connection):
                known = {one: self._documents[one] for one in digests.keys() & self._documents.keys()}
                as_before = {one: was for one, was in known.items() if was.mac == digests[one]}
                documents |= as_before
                others = digests.keys() - as_before.keys()
                for stored, is_ours in workflow_rows.list_stored(connection, others):
                    if not is_ours or stored.mac is None:
                        edited.add(stored.id)
                    elif (names := _find_names(stored)) is not None:
                        documents[stored.id] = _NamedItems(stored.mac, names)
            self._documents, self._edited = documents, frozenset(edited)
            self._naming = _invert(documents)
            self._looked_at, self._began = looked_at, began
            takes = timedelta(seconds=_OF_ITS_TIME * (time.monotonic() - began))
            self._holds_for = min(max(_LOOKS_EVERY, takes), _HOLDS_AT_MOST)
            return self._edited, self._naming


def _find_names(stored: StoredWorkflow) -> tuple[str, ...] | None:
    """None where it cannot be read: it cannot run, and the scan makes a finding of it. What is wrong may stand
    beside what its digest is of, and be put right without a new one: so it is read again at the next look.
    """
    if stored.active is not True:
        return ()
    workflow = read_apart(stored, read_workflow)
    if isinstance(workflow, Unread):
        return None
    uses = workflow.definition.uses(here=workflow.runs_here)
    written = {use.use.written for use in uses if not use.mentioned}
    return tuple({name for one in written for name in (*spellings(one), one.lower())})


def _invert(documents: dict[str, _NamedItems]) -> dict[str, tuple[str, ...]]:
    naming: dict[str, list[str]] = {}
    for workflow_id, document in documents.items():
        for name in document.names:
            naming.setdefault(name, []).append(workflow_id)
    return {name: tuple(workflow_ids) for name, workflow_ids in naming.items()}
