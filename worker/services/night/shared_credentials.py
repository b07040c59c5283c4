"""Items that hold one credential, and copies whose original moved on, as findings."""

from collections.abc import Iterator

from sqlalchemy import Connection

from worker.domain.findings import Finding
from worker.domain.sharing import find_shared, find_stale_copy
from worker.rows import shared_credentials as shared_rows


def walk_shared(connection: Connection, *, page_size: int) -> Iterator[list[Finding]]:
    """By value first, then by what is changed on the other side, which says more."""
    for holders in shared_rows.walk_holders(connection, page_size=page_size):
        yield [one for group in holders for one in find_shared(group, None)]
    for changers in shared_rows.walk_changers(connection, page_size=page_size):
        yield [one for name, group in changers.items() for one in find_shared(group, name)]


def walk_stale_copies(connection: Connection, *, page_size: int) -> Iterator[list[Finding]]:
    """Declared copies that have another value than their original, whichever was given first."""
    for page in shared_rows.walk_stale_copies(connection, page_size=page_size):
        yield [find_stale_copy(one) for one in page]
