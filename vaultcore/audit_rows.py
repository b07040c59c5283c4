"""The audit log's rows as the database has them: read and appended many at a time, past SQLAlchemy's types.

A row that is read so is what the driver gives: its details are the text that is stored, its time is the text
that SQLite keeps. What a row says is read by `audit_row`, from a select of the table.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from vaultcore.audit_pages import EMPTY_PAGE, HASH_LENGTH, StoredPage, StoredTexts
from vaultcore.errors import UnreadableError
from vaultcore.stored import UNREADABLE, prepare_sqlite
from vaultcore.tables import EARLIEST

Stored = tuple[Any, ...]
"""Number, time, actor, action, subject, details and hash, in this order."""

_COLUMNS: Final = "seq, at, actor, action, subject, details, hash"
_READ_SQLITE: Final = f"SELECT {_COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608  # no value in it
_LONG: Final = 65_536
_READ_POSTGRESQL: Final = f"""
SELECT count(*),
       string_agg(to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), chr(31)),
       string_agg(actor, chr(31)), string_agg(action, chr(31)), string_agg(subject, chr(31)),
       string_agg(said, chr(31)), string_agg(substr(hash, 1, {HASH_LENGTH + 1}), CAST('' AS bytea)),
       bool_and(seq = place + %s AND octet_length(hash) = {HASH_LENGTH} AND length(said) <= {_LONG}
                AND at >= '2000-01-01 00:00:00+00' AND at < '10000-01-01 00:00:00+00'
                AND num_nulls(at, actor, action, subject, said, hash) = 0)
FROM (SELECT seq, at, actor, action, subject, left(CAST(details AS text), {_LONG} + 1) AS said, hash,
             row_number() OVER (ORDER BY seq) AS place
      FROM audit WHERE seq > %s ORDER BY seq LIMIT %s) AS page
"""  # noqa: S608  # no value in it
"""A text for each column, since a value for each is most of the work; and whether the rows can be told apart by
that: one that lacks a value would be passed over. A year before Christ would be written as one of ours, and one
beyond 9999 has no form of ours. What is too long for all to be one text is cut off, and read row by row.
"""
_EARLIEST: Final = str(EARLIEST)
_ADD_SQLITE: Final = f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  # no value in it
_IF_IT_STANDS: Final = "seq = {0} AND hash = {0} AND (SELECT coalesce(max(seq), 0) FROM audit) = {0}"
_MOVE_HEAD: Final = "UPDATE audit_head SET seq = {0}, hash = {0} WHERE " + _IF_IT_STANDS  # noqa: S608  # as above
_MOVE_SQLITE: Final = _MOVE_HEAD.format("?")
_APPEND_POSTGRESQL: Final = f"""
WITH moved AS ({_MOVE_HEAD.format("%s")} RETURNING id)
INSERT INTO audit ({_COLUMNS})
SELECT new.seq, at, actor, action, subject, details, decode(new.hash, 'hex')
FROM moved,
     unnest(CAST(%s AS bigint[]), CAST(%s AS timestamptz[]), CAST(%s AS text[]), CAST(%s AS text[]),
            CAST(%s AS text[]), CAST(%s AS json[]), CAST(%s AS text[])) AS new ({_COLUMNS})
"""  # noqa: S608  # no value in it
"""An array for each column, so that it is one statement for any number of rows, together with the head."""


class LogHead(NamedTuple):
    """Where the log ends."""

    seq: int
    hash: bytes


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


def audit_row(row: Row[*tuple[Any, ...]]) -> AuditRow:
    """`UnreadableError` where it was edited so that it cannot even be read."""
    made = AuditRow(
        seq=row.seq, at=row.at, actor=row.actor, action=row.action, subject=row.subject, details=row.details
    )
    if UNREADABLE in vars(made).values():
        raise UnreadableError(f"row {row.seq} of the audit log", "edited")
    return made


def read_stored(connection: Connection, after: int, *, size: int) -> StoredPage | None:
    """The rows after that number, in order, `size` of them at most. None: they do not follow it one by one, or
    one holds what its column does not.
    """
    if connection.dialect.name != "sqlite":
        ((number, *texts, hashes, sound),) = _fetch(connection, _READ_POSTGRESQL, (after, after, size))
        if not number:
            return EMPTY_PAGE
        return StoredPage(after + 1, number, StoredTexts(*texts), hashes) if sound else None
    with _plain_text(connection):
        try:
            return make_page(after, _fetch(connection, _READ_SQLITE, (after, size)))
        except connection.dialect.loaded_dbapi.Error:  # a text that is no UTF-8
            return None


def make_page(after: int, rows: Sequence[Stored]) -> StoredPage | None:
    """The same of rows that are at hand, as SQLite has them."""
    if not rows:
        return EMPTY_PAGE
    seqs, times, actors, actions, subjects, details, hashes = zip(*rows, strict=True)
    try:
        sound = seqs == tuple(range(after + 1, after + 1 + len(rows))) and min(times) >= _EARLIEST
    except TypeError:
        return None
    texts = StoredTexts(times, actors, actions, subjects, details)
    return StoredPage(after + 1, len(rows), texts, hashes) if sound else None


def append_stored(connection: Connection, before: LogHead, rows: Sequence[Stored]) -> LogHead | None:
    """Rows whose times are UTC, as SQLite has them, behind the head that was `before`; where it is now. None:
    it does not stand there, or not on the last row of the log, and nothing was written.
    """
    after = LogHead(seq=rows[-1][0], hash=rows[-1][-1])
    moved = (after.seq, after.hash, before.seq, before.hash, before.seq)
    if connection.dialect.name == "sqlite":
        if connection.exec_driver_sql(_MOVE_SQLITE, moved).rowcount != 1:
            return None
        connection.exec_driver_sql(_ADD_SQLITE, list(rows))
        return after
    seqs, times, actors, actions, subjects, details, hashes = zip(*rows, strict=True)
    given = (
        "{" + ",".join(map(str, seqs)) + "}",
        '{"' + '+00","'.join(times) + '+00"}',
        *map(_array, (actors, actions, subjects, details)),
        "{" + ",".join([one.hex() for one in hashes]) + "}",
    )
    added = connection.exec_driver_sql(_APPEND_POSTGRESQL, (*moved, *given)).rowcount
    return after if added == len(rows) else None


def _fetch(connection: Connection, statement: str, given: tuple[int, ...]) -> list[Stored]:
    """Without a `Row` for each."""
    result = connection.exec_driver_sql(statement, given)
    try:
        cursor = result.cursor
        assert cursor is not None  # noqa: S101  # a select has one
        return list(cursor.fetchall())
    finally:
        result.close()


@contextmanager
def _plain_text(connection: Connection) -> Iterator[None]:
    """The driver reads text by itself, which is quicker, and gives up where it is no UTF-8."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  # it is open
    driver.text_factory = str
    try:
        yield
    finally:
        prepare_sqlite(driver)


def _array(texts: Sequence[str]) -> str:
    """As PostgreSQL writes an array of them. A text of it holds no NUL; the driver refuses one that does."""
    joined = "\0".join(texts)
    if joined.count("\0") >= len(texts):
        return joined
    return '{"' + joined.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","') + '"}'
