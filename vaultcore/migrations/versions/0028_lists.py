"""What lists find and sort by: columns of items that follow from names, policies and owners, and indexes."""

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from vaultcore.names import fold

revision = "0028"
down_revision = "0027"

_PAGE = 500
_OWNERS_MAX = 20
"""So many owners of an item are kept in an index."""
_BY_CHARACTER = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_LISTED = ("sought", "owned_by", "mode", "rotator", "hygiene", "expires_at", "due_at", "hold_until")
_MODES = ("auto", "approve", "notify")
_items = sa.table(
    "items",
    *(sa.column(name) for name in ("id", "name", "sought", "mode", "rotator", "owned_by", "first_owner")),
    sa.column("policy", sa.Text()),
)


def upgrade() -> None:
    op.add_column("items", sa.Column("sought", _BY_CHARACTER, nullable=True))
    op.add_column("items", sa.Column("mode", sa.String(length=10), nullable=True))
    op.add_column("items", sa.Column("rotator", sa.String(length=60), nullable=True))
    op.add_column("items", sa.Column("first_owner", _BY_CHARACTER, nullable=True))
    op.add_column("items", sa.Column("owned_by", sa.Text(), nullable=True))
    _fill()
    for name, key in (
        ("name", "sought"),
        ("expires_at", "expires_at"),
        ("created_at", "created_at"),
        ("updated_at", "updated_at"),
        ("owner", "first_owner"),
    ):
        _index(f"items_by_{name}", "items", (key, "id", *_LISTED))
    _index("audit_at", "audit", ("at", "seq"))
    for name in ("subject", "actor", "action"):
        _index(f"audit_{name}", "audit", (name, "at", "seq"))
    _index("rotations_by_created_at", "rotations", ("created_at", "id", "item_id", "state", "finished_at"))
    _index("rotations_by_item", "rotations", ("item", "id", "item_id", "state", "created_at", "finished_at"))
    for name in ("opened_at", "kind", "item"):
        parts = (name, "id", "kind", "item_id", "workflow")
        _index(f"findings_by_{name}", "findings", parts, where="resolved_at IS NULL")
    _index("notices_by_created_at", "notices", ("created_at", "id", "owner_id"))
    _index("notices_owner", "notices", ("owner_id", "created_at", "id"))
    _index("runs_by_created_at", "runs", ("created_at", "id", "status", "purpose"))
    _index("runs_of_workflow", "runs", ("workflow_id", "created_at", "id", "status", "purpose"))


def _index(name: str, table: str, columns: Sequence[str], *, where: str | None = None) -> None:
    partial: Any = {} if where is None else {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}
    op.create_index(f"ix_{name}", table, list(dict.fromkeys(columns)), unique=False, **partial)


def _fill() -> None:
    """A page at a time: a vault may have a million items. What cannot be read of one stays empty."""
    connection, last = op.get_bind(), ""
    change = (
        sa.update(_items)
        .where(_items.c.id == sa.bindparam("row"))
        .values({name: sa.bindparam(f"its_{name}") for name in ("sought", "mode", "rotator", "owned_by")})
    )
    page = sa.select(_items.c.id, _items.c.name, sa.cast(_items.c.policy, sa.Text()).label("policy"))
    owned = sa.table("item_owners", sa.column("item_id"), sa.column("owner_id"))
    while True:
        rows = connection.execute(page.where(_items.c.id > last).order_by(_items.c.id).limit(_PAGE)).all()
        if not rows:
            break
        owners: dict[str, list[str]] = {row.id: [] for row in rows}
        for row in connection.execute(sa.select(owned).where(owned.c.item_id.in_(owners))):
            owners[row.item_id].append(row.owner_id)
        connection.execute(
            change,
            [
                {"row": row.id, "its_owned_by": _join(owners[row.id])} | _derive(row.name, row.policy)
                for row in rows
            ],
        )
        last = rows[-1].id
    collation = "BINARY" if connection.dialect.name == "sqlite" else '"C"'
    first = sa.func.min(sa.text(f"owners.name COLLATE {collation}"))
    of_item = sa.select(first).select_from(
        sa.text("item_owners JOIN owners ON owners.id = item_owners.owner_id")
    )
    of_item = of_item.where(sa.text("item_owners.item_id = items.id"))
    connection.execute(sa.update(_items).values(first_owner=of_item.scalar_subquery()))


def _join(owner_ids: list[str]) -> str | None:
    return " ".join(sorted(owner_ids)) if len(owner_ids) <= _OWNERS_MAX else None


def _derive(name: Any, policy: Any) -> dict[str, str | None]:  # noqa: ANN401  # whatever is stored
    try:
        stored = json.loads(policy)
    except (TypeError, ValueError, RecursionError):
        stored = None
    parts = stored if isinstance(stored, dict) else {}
    mode, rotator = parts.get("mode"), parts.get("rotator")
    return {
        "its_sought": fold(name) if isinstance(name, str) else None,
        "its_mode": mode if mode in _MODES else None,
        "its_rotator": rotator if isinstance(rotator, str) and rotator else None,
    }
