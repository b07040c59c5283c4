"""Keyed digests of the rows that decide: who edits one behind the vault's back cannot make its digest.

A table names its deciding columns in `info["decides"]` and has a column `mac`. The digest is

    HMAC-SHA256(a key of the keyring's own, canonical table name, primary key and deciding columns)

Types are told apart, and an absent value from an empty one. A column that is null is not part of it, so that
a new column that is null in the rows of before changes no digest. The key is derived from a root of the
keyring, and those have no generations: a new key-encryption key changes no digest either.

What this does not tell: a whole row that is put back as it was once, with the digest of then, and one that is
taken away. Pure, but for `attach` and `macs_of`, by which a connection knows whose digests count.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from json.encoder import encode_basestring_ascii as quote
from typing import Any, Final

from sqlalchemy import Column, Connection, Engine, Row, Table

from vaultcore.canonical import write_canonical
from vaultcore.crypto.keyed_hash import KeyedHash
from vaultcore.errors import TamperedError

LABEL: Final = "row mac"
"""The use of the key, for the keyring. Never another: all rows would have to be signed anew."""
MAC: Final = "mac"
DECIDES: Final = "decides"
GENERATION: Final = "generation"
ADDED: Final = "added"
DIGESTED_AS: Final = "digested_as"
BEFORE: Final = "before"
_OPTION: Final = "nightkey_row_macs"


class RowMacs:
    """Makes and checks the digests of rows. `key` is 32 bytes, for this use alone."""

    def __init__(self, key: bytes) -> None:
        self._keyed = KeyedHash(key)

    def __repr__(self) -> str:
        return "<RowMacs>"

    def make(self, table: Table, row: Mapping[str, Any]) -> bytes:
        """The digest of a row, by the names of its columns; those that are not there are null."""
        return self._keyed.make(_canonical(table, row.get))

    def holds(self, table: Table, row: Mapping[str, Any], *, prefix: str = "") -> bool:
        """Whether the row is as one of us wrote it. `prefix` stands before the names of its columns."""
        stored = row[prefix + MAC]
        if not isinstance(stored, bytes):
            return False
        try:
            return hmac.compare_digest(stored, self._keyed.make(_canonical(table, row.__getitem__, prefix)))
        except TypeError:  # a value that none of us wrote
            return False


@cache
def columns_of(table: Table) -> tuple[str, ...]:
    """What the digest is of: primary key and deciding columns."""
    return (*(column.name for column in table.primary_key), *table.info[DECIDES])


def key_of(table: Table, row: Mapping[str, Any], *, prefix: str = "") -> str:
    """The row's primary key, to be shown: no part of it but the last holds a blank."""
    parts = [row[prefix + column.name] for column in table.primary_key]
    return " ".join(part.isoformat() if isinstance(part, datetime) else str(part) for part in parts)


def name_in_digest(named: Table | Column[Any]) -> str:
    """The name of a table or column when its rows were first signed, whatever it is called now."""
    return str(named.info.get(DIGESTED_AS, named.name))


def is_kept(table: Table) -> bool:
    """Whether rows of the table have digests."""
    return DECIDES in table.info


def attach(engine: Engine, macs: RowMacs) -> None:
    """From now on, connections of the engine know whose digests count."""
    engine.update_execution_options(**{_OPTION: macs})


def macs_of(connection: Connection) -> RowMacs | None:
    """None on a database that was opened without a keyring: to make or to migrate a vault."""
    found = connection.get_execution_options().get(_OPTION)
    return found if isinstance(found, RowMacs) else None


def digested(connection: Connection, table: Table, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The key and deciding columns of a row that was checked, with the digest that it has by them."""
    macs = macs_of(connection)
    return row if macs is None else {**row, MAC: macs.make(table, row)}


def check_mac(
    connection: Connection,
    table: Table,
    row: Row[*tuple[Any, ...]] | Mapping[str, Any],
    what: str,
    *,
    prefix: str = "",
) -> None:
    """Before a row is acted upon: `TamperedError`, naming it, if none of us wrote it as it is."""
    error = find_edited(connection, table, row, what, prefix=prefix)
    if error is not None:
        raise error


def find_edited(
    connection: Connection,
    table: Table,
    row: Row[*tuple[Any, ...]] | Mapping[str, Any],
    what: str,
    *,
    prefix: str = "",
) -> TamperedError | None:
    """What stands in a list in the place of a row that none of us wrote as it is; None: one of us did."""
    if is_ours(connection, table, row, prefix=prefix):
        return None
    return TamperedError(what, table=table.name, key=key_of(table, _mapping(row), prefix=prefix))


def is_ours(
    connection: Connection,
    table: Table,
    row: Row[*tuple[Any, ...]] | Mapping[str, Any],
    *,
    prefix: str = "",
) -> bool:
    """Whether one of us wrote the row as it is."""
    macs = macs_of(connection)
    return macs is None or macs.holds(table, _mapping(row), prefix=prefix)


def _mapping(row: Row[*tuple[Any, ...]] | Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(row._mapping) if isinstance(row, Row) else row  # noqa: SLF001  # SQLAlchemy's public way


def _canonical(table: Table, read: Callable[[str], Any], prefix: str = "") -> bytes:
    """`[table, [[column, type, value], …]]`, in one form alone (`vaultcore.canonical`)."""
    begins, columns = _layout(table, prefix)
    fields = []
    for opens, name in columns:
        value = read(name)
        if value is not None:
            letter, text = _encode(value)
            fields.append(f'{opens}"{letter}",{quote(text)}]')
    return f"{begins}{','.join(fields)}]]".encode()


@cache
def _layout(table: Table, prefix: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """How the text begins, and of each column that a digest is of, in the order of their names in it, how its
    part begins and what it is called in a row.
    """
    named = sorted((name_in_digest(table.c[name]), prefix + name) for name in columns_of(table))
    return f"[{quote(name_in_digest(table))},[", tuple((f"[{quote(name)},", called) for name, called in named)


def _encode(value: object) -> tuple[str, str]:
    """A letter for the type, and the value as text."""
    known = _ENCODERS.get(type(value))
    if known is None:
        known = next((one for kind, one in _ENCODERS.items() if isinstance(value, kind)), None)
    if known is None:
        raise TypeError(f"no digest is made of a {type(value).__name__}")
    letter, show = known
    return letter, show(value)


def _show_time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds")


def _show_json(value: object) -> str:
    stored = value and json.loads(json.dumps(value))  # as it comes back: names are texts, tuples are lists
    return write_canonical(stored)


_ENCODERS: Final[Mapping[type, tuple[str, Callable[[Any], str]]]] = {
    bool: ("b", lambda value: str(int(value))),
    int: ("i", lambda value: str(int(value))),
    str: ("s", str),
    bytes: ("x", bytes.hex),
    datetime: ("t", _show_time),
    dict: ("j", _show_json),
    list: ("j", _show_json),
}
"""By type; a subclass is what it is a subclass of, `bool` before `int`."""
