"""How long versions live that rotations made, which items hold one credential, and which is another's copy."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("versions", sa.Column("issued_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("versions", sa.Column("likeness", sa.LargeBinary(length=32), nullable=True))
    op.create_index("ix_versions_likeness", "versions", ["likeness", "stage"])
    op.add_column("items", sa.Column("life_seconds", sa.BigInteger(), nullable=True))
    op.add_column("items", sa.Column("copy_of", sa.String(length=40), nullable=True))
    op.create_index(
        "ix_items_copy_of",
        "items",
        ["id", "copy_of"],
        sqlite_where=sa.text("copy_of IS NOT NULL"),
        postgresql_where=sa.text("copy_of IS NOT NULL"),
    )
    op.create_table(
        "item_principals",
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=600), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_principals_item_id")),
        sa.PrimaryKeyConstraint("item_id", "name", name=op.f("pk_item_principals")),
    )
    op.create_index("ix_item_principals_name", "item_principals", ["name"])
    _name_what_is_changed()


def _name_what_is_changed() -> None:
    """What the items of this release's rotators change; those of others are named when their policy changes."""
    bind = op.get_bind()
    found = sa.table("items", sa.column("id"), sa.column("policy"))
    named = sa.table("item_principals", sa.column("item_id"), sa.column("name"))
    rows = [
        {"item_id": row.id, "name": name}
        for row in bind.execute(sa.select(found.c.id, sa.cast(found.c.policy, sa.Text).label("policy")))
        for name in _names_of(row.policy)
    ]
    for start in range(0, len(rows), 500):
        bind.execute(sa.insert(named), rows[start : start + 500])


def _names_of(policy: object) -> list[str]:
    try:
        read = json.loads(str(policy))
        settings: Mapping[str, Any] = read["settings"]
        if read["rotator"] == "postgres-role":
            port, names = settings.get("port", 5432), [f"role {role}" for role in settings["roles"]]
        elif read["rotator"] == "ssh-password":
            port, names = settings.get("port", 22), [f"user {settings['username']}"]
        else:
            return []
        return sorted({f"{settings['host'].lower()}:{port} {name}"[:600] for name in names})
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return []  # what is stored there is damaged, and told by the scan
