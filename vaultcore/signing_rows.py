"""A vault of before gets its digests, once: all rows that decide, as they are then.

That it was done is said by the vault's own row, which has a digest and the generation of the tables that were
signed, and by the audit log, which names them. A vault whose log says so, and whose own row does not, was
edited: nothing of it is signed again. A later release that adds tables, or columns to those that decide, begins
a new generation: these are signed once, and nothing else is.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, Table, and_, bindparam, select, update

from vaultcore.audit import AuditLog
from vaultcore.damage import is_sound
from vaultcore.errors import RefusedError
from vaultcore.mac_writing import AS_IS
from vaultcore.own_row import OwnRow, read_own_row
from vaultcore.paging import select_page, walk_pages
from vaultcore.row_macs import ADDED, BEFORE, GENERATION, MAC, RowMacs, columns_of, is_kept, name_in_digest
from vaultcore.tables import audit as audit_table
from vaultcore.tables import deployment, metadata

SIGNED = "vault.sign-rows"
SIGNED_UP_TO = 5
"""The generation of this release. The first was signed by releases that stored none."""
TAKEN_AWAY = (
    "the digest of the vault's own row (table deployment) was taken away or changed behind the vault's back"
)
_PAGE = 500
_Undo = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def kept_tables() -> list[Table]:
    """Those whose rows have digests, in an order that stays."""
    return [table for table in metadata.sorted_tables if is_kept(table)]


def page_after(
    connection: Connection, table: Table, last: Sequence[Any] | None, *, size: int, columns: Sequence[Any] = ()
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Rows of such a table by primary key, after that one, with the columns that their digest is of."""
    query = _pages_of(table, connection.dialect.name, tuple(columns), size)
    if last is not None:
        query = select_page(query.order_by(None), list(table.primary_key), last, size=size)
    return connection.execute(query).all()


@cache
def _pages_of(table: Table, dialect: str, columns: tuple[Any, ...], size: int) -> Select[*tuple[Any, ...]]:
    """The first of them: made once, since that takes longer than the answer."""
    keys = list(table.primary_key)
    query = select(*(table.c[name] for name in columns_of(table)), table.c[MAC], *columns).where(
        *(is_sound(key, dialect) for key in keys)
    )
    return select_page(query, keys, None, size=size)


def is_signed(own: OwnRow) -> bool:
    """Whether the vault's own row, which is ours, says that all of this release's tables were."""
    return _generation(own) >= SIGNED_UP_TO


def was_signed(connection: Connection, own: OwnRow) -> bool:
    """Whether the log says that what the vault's own row leaves to be signed was signed before."""
    generation = 0 if own.mac is None else _generation(own)
    return _log_names(connection, _names_since(generation), generation)


class Signed(NamedTuple):
    """How many rows of each table got their digests, and how many did not, since none of us wrote them so."""

    counts: dict[str, int]
    passed: int


def sign_once(connection: Connection, macs: RowMacs, audit: AuditLog, *, at: datetime, actor: str) -> Signed:
    """Which rows were signed: none where that was done before.

    `RefusedError` where the log says that it was done, or is not whole.
    """
    own = read_own_row(connection)
    if own is None:
        raise RefusedError("the database does not say which vault it is (table deployment): nothing is signed")
    before = _generation(own) if own.is_ours(macs) else 0
    if before >= SIGNED_UP_TO:
        return Signed(counts={}, passed=0)
    verdict = audit.verify(connection)
    if not verdict.whole:
        raise RefusedError(
            "the rows that decide are not signed, since the audit log is not whole "
            f"({verdict.problems[0]}): restore the vault from a backup"
        )
    if _log_names(connection, _names_since(before), before):
        raise RefusedError(f"{TAKEN_AWAY}: nothing is signed again; restore the vault from a backup")
    connection.execute(update(deployment).values(signed=SIGNED_UP_TO), execution_options=AS_IS)
    counts, passed = {}, 0
    for table in kept_tables():
        added = table.info.get(ADDED, {})
        since = {name for generation, names in added.items() if generation > before for name in names}
        rewritten = [undo for generation, undo in table.info.get(BEFORE, {}).items() if generation > before]
        if table is deployment or _generation_of(table) > before:
            counts[name_in_digest(table)], _ = _sign_table(connection, macs, table)
        elif since or rewritten:
            held = _Held(macs, table, since, rewritten)
            counts[name_in_digest(table)], left = _sign_table(connection, macs, table, held)
            passed += left
    audit.append(
        connection, at=at, actor=actor, action=SIGNED, subject=own.id, generation=SIGNED_UP_TO, **counts
    )
    return Signed(counts=counts, passed=passed)


def sign_row(connection: Connection, macs: RowMacs, table: Table, row: Row[*tuple[Any, ...]]) -> bool:
    """Its digest, as it is; False: it holds what none of us wrote, and gets none."""
    made = _make(macs, table, row)
    if made is None:
        return False
    _write(connection, table, [made])
    return True


def _generation(own: OwnRow) -> int:
    return own.signed if isinstance(own.signed, int) else 1


def _generation_of(table: Table) -> int:
    return int(table.info.get(GENERATION, 1))


def _names_since(generation: int) -> set[str]:
    """Of the tables that a vault with this generation leaves to be signed."""
    return {name_in_digest(table) for table in kept_tables() if _generation_of(table) > generation}


def _log_names(connection: Connection, tables: Collection[str], generation: int) -> bool:
    """Whether the log says of any of these tables that they were signed, or of rows of a later generation."""
    signed = connection.execute(select(audit_table.c.details).where(audit_table.c.action == SIGNED)).scalars()
    return any(
        isinstance(details, Mapping)
        and (not details.keys().isdisjoint(tables) or _is_later(details.get("generation"), generation))
        for details in signed
    )


def _is_later(logged: object, generation: int) -> bool:
    return isinstance(logged, int) and logged > generation


def _sign_table(
    connection: Connection, macs: RowMacs, table: Table, held: "_Held | None" = None
) -> tuple[int, int]:
    """All its rows; with `held` those alone whose digest of before holds. How many were, and were not."""
    count = seen = 0
    pages = walk_pages(
        lambda last: page_after(connection, table, last, size=_PAGE),
        lambda row: tuple(getattr(row, column.name) for column in table.primary_key),
        size=_PAGE,
    )
    for rows in pages:
        made = [
            one
            for row in rows
            if (held is None or held.holds(row)) and (one := _make(macs, table, row)) is not None
        ]
        if made:
            _write(connection, table, made)
        count, seen = count + len(made), seen + len(rows)
    return count, seen - count


class _Held:
    """Whether a row's digest of before is right: without the columns that decide since now, since to a digest
    one that is null is not there; and with those that were rewritten as they were (`undo` says how).
    """

    def __init__(self, macs: RowMacs, table: Table, but: Collection[str], rewritten: Collection[_Undo]) -> None:
        self._macs = macs
        self._table = table
        self._but = but
        self._rewritten = rewritten

    def holds(self, row: Row[*tuple[Any, ...]]) -> bool:
        before = {**row._mapping, **dict.fromkeys(self._but)}  # noqa: SLF001  # SQLAlchemy's public way
        for undo in self._rewritten:
            before |= undo(before)
        return self._macs.holds(self._table, before)


def _make(macs: RowMacs, table: Table, row: Row[*tuple[Any, ...]]) -> dict[str, Any] | None:
    stored = dict(row._mapping)  # noqa: SLF001  # as above
    try:
        mac = macs.make(table, stored)
    except TypeError:  # told as unreadable
        return None
    return {f"its_{column.name}": stored[column.name] for column in table.primary_key} | {"made": mac}


def _write(connection: Connection, table: Table, made: list[dict[str, Any]]) -> None:
    of_row = and_(*(column == bindparam(f"its_{column.name}") for column in table.primary_key))
    connection.execute(
        update(table).where(of_row).values({MAC: bindparam("made")}), made, execution_options=AS_IS
    )
