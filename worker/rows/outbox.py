"""Notices as rows, for who writes them: posted once, routed, withdrawn. It decides nothing, commits nothing."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, bindparam, or_, select, update

from vaultcore.mac_writing import update_each
from vaultcore.paging import without_index
from vaultcore.row_macs import check_mac, is_ours
from vaultcore.tables import owners
from vaultcore.upserts import upsert_for
from worker.domain.notices import Message
from worker.rows.notices import IS_UNROUTED
from worker.rows.tables import notices

_MARK_ROUTED: Final = update(notices).where(notices.c.id == bindparam("notice")).values(routed=True)


class Posted(NamedTuple):
    """A notice, as far as it matters for who gets it. `is_ours`: one of us wrote it so."""

    id: str
    owner_id: str
    urgent: bool
    is_ours: bool


def add(connection: Connection, notice_id: str, **values: Any) -> str | None:  # noqa: ANN401  # columns
    """Its id; None: there is one of that key."""
    return notice_id if add_each(connection, [{"id": notice_id, **values}]) else None


def add_each(connection: Connection, new: Sequence[Mapping[str, Any]]) -> set[str]:
    """Those of these ids that were added: of the others' keys there are some."""
    if not new:
        return set()
    statement = _add(connection.dialect.name)
    return set(connection.execute(statement, list(new)).scalars())


@cache
def _add(dialect: str) -> Any:  # noqa: ANN401  # two dialects, one API
    return upsert_for(dialect, notices).on_conflict_do_nothing().returning(notices.c.id)


def is_forged(connection: Connection, dedupe_key: str) -> bool:
    """Whether none of us wrote the notice of that key so."""
    row = connection.execute(select(notices).where(notices.c.dedupe_key == dedupe_key)).one_or_none()
    return row is not None and not is_ours(connection, notices, row)


def find(connection: Connection, notice_id: str) -> Posted | None:
    """As it is stored, whoever wrote it."""
    row = connection.execute(select(notices).where(notices.c.id == notice_id)).one_or_none()
    return None if row is None else _posted(connection, row)


def find_whole(connection: Connection, notice_id: str) -> Posted | None:
    """`TamperedError` if none of us wrote it so."""
    row = connection.execute(select(notices).where(notices.c.id == notice_id)).one_or_none()
    if row is None:
        return None
    check_mac(connection, notices, row, f"notice {notice_id}")
    return Posted(row.id, row.owner_id, row.urgent, is_ours=True)


def list_about(connection: Connection, about: str) -> list[str]:
    """The ids of the notices about it."""
    return list(connection.execute(select(notices.c.id).where(notices.c.about == about)).scalars())


def list_unrouted_owners(connection: Connection, others: Collection[str]) -> list[str]:
    """The ids of owners, and of these `others`, who have notices that were given no route."""
    owner_id: ColumnElement[str] = notices.c.owner_id
    if connection.dialect.name == "sqlite":  # which would go through the notices of each owner
        owner_id = without_index(owner_id)
    somebodys = or_(owner_id.in_(select(owners.c.id)), owner_id.in_(others))
    unrouted = select(notices.c.owner_id).where(IS_UNROUTED, somebodys).distinct()
    return list(connection.execute(unrouted).scalars())


def list_unrouted(connection: Connection, owner_id: str, *, limit: int) -> list[Posted]:
    """The first of the owner's notices that were given no route, whoever wrote them."""
    rows = connection.execute(
        select(notices).where(IS_UNROUTED, notices.c.owner_id == owner_id).order_by(notices.c.id).limit(limit)
    ).all()
    return [_posted(connection, row) for row in rows]


def mark_routed(connection: Connection, notice_id: str) -> None:
    """It needs no route any more."""
    connection.execute(_MARK_ROUTED, {"notice": notice_id})


def keep_texts(connection: Connection, texts: Mapping[str, Message]) -> None:
    """What digests say, as they leave."""
    if texts:
        changes = {one: {"subject": text.subject, "body": text.body} for one, text in texts.items()}
        update_each(connection, notices, changes)


def _posted(connection: Connection, row: Row[*tuple[Any, ...]]) -> Posted:
    return Posted(row.id, row.owner_id, row.urgent, is_ours(connection, notices, row))
