"""A vault of before gets its digests, once: all rows that decide, as they are then.

That it was done is said by the digest of the vault's own row, and by the audit log. A vault whose log says so,
and whose own row has none, was edited: nothing of it is signed again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, bindparam, select, tuple_, update

from vaultcore.audit import AuditLog
from vaultcore.damage import is_sound
from vaultcore.errors import RefusedError
from vaultcore.mac_writing import AS_IS
from vaultcore.paging import walk_pages
from vaultcore.row_macs import MAC, RowMacs, columns_of, is_kept
from vaultcore.tables import audit as audit_table
from vaultcore.tables import deployment, metadata

SIGNED = "vault.sign-rows"
TAKEN_AWAY = (
    "the digest of the vault's own row (table deployment) was taken away or changed behind the vault's back"
)
_PAGE = 500


def kept_tables() -> list[Table]:
    """Those whose rows have digests, in an order that stays."""
    return [table for table in metadata.sorted_tables if is_kept(table)]


def page_after(
    connection: Connection, table: Table, last: Sequence[Any] | None, *, size: int, columns: Sequence[Any] = ()
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Rows of such a table by primary key, after that one, with the columns that their digest is of."""
    keys = list(table.primary_key)
    query = (
        select(*(table.c[name] for name in columns_of(table)), table.c[MAC], *columns)
        .where(*(is_sound(key, connection.dialect.name) for key in keys))
        .order_by(*keys)
    )
    if last is not None:
        query = query.where(keys[0] > last[0] if len(keys) == 1 else tuple_(*keys) > tuple_(*last))
    return connection.execute(query.limit(size)).all()


def was_signed(connection: Connection) -> bool:
    """Whether the log says that it was done."""
    signed = select(audit_table.c.seq).where(audit_table.c.action == SIGNED).limit(1)
    return connection.execute(signed).first() is not None


def sign_once(
    connection: Connection, macs: RowMacs, audit: AuditLog, *, at: datetime, actor: str
) -> dict[str, int]:
    """How many rows of each table were signed: none where that was done before.

    `RefusedError` where the log says that it was done, or is not whole.
    """
    own = connection.execute(select(deployment.c.id, deployment.c.keyring_check, deployment.c.mac)).one()
    if macs.holds(deployment, dict(own._mapping)):  # noqa: SLF001  # SQLAlchemy's public way
        return {}
    verdict = audit.verify(connection)
    if not verdict.whole:
        raise RefusedError(
            "the rows that decide are not signed, since the audit log is not whole "
            f"({verdict.problems[0]}): restore the vault from a backup"
        )
    if was_signed(connection):
        raise RefusedError(f"{TAKEN_AWAY}: nothing is signed again; restore the vault from a backup")
    counts = {table.name: _sign_table(connection, macs, table) for table in kept_tables()}
    audit.append(connection, at=at, actor=actor, action=SIGNED, subject=own.id, **counts)
    return counts


def sign_row(connection: Connection, macs: RowMacs, table: Table, row: Row[*tuple[Any, ...]]) -> bool:
    """Its digest, as it is; False: it holds what none of us wrote, and gets none."""
    made = _make(macs, table, row)
    if made is None:
        return False
    _write(connection, table, [made])
    return True


def _sign_table(connection: Connection, macs: RowMacs, table: Table) -> int:
    count = 0
    pages = walk_pages(
        lambda last: page_after(connection, table, last, size=_PAGE),
        lambda row: tuple(getattr(row, column.name) for column in table.primary_key),
        size=_PAGE,
    )
    for rows in pages:
        made = [one for row in rows if (one := _make(macs, table, row)) is not None]
        if made:
            _write(connection, table, made)
        count += len(made)
    return count


def _make(macs: RowMacs, table: Table, row: Row[*tuple[Any, ...]]) -> dict[str, Any] | None:
    stored = dict(row._mapping)  # noqa: SLF001  # SQLAlchemy's public way
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
