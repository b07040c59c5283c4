"""Accounts at target systems are no principals: those ask us. A comparison is resolved, as a finding is.

The digests of rows keep the names of before.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"

_KEPT = ("item_id", "name", "mac")


def upgrade() -> None:
    op.create_table(
        "item_accounts",
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=600), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_accounts_item_id")),
        sa.PrimaryKeyConstraint("item_id", "name", name=op.f("pk_item_accounts")),
    )
    before = sa.table("item_principals", *map(sa.column, _KEPT))
    accounts = sa.table("item_accounts", *map(sa.column, _KEPT))
    op.execute(accounts.insert().from_select(_KEPT, sa.select(*before.columns)))
    op.drop_table("item_principals")
    op.create_index("ix_item_accounts_name", "item_accounts", ["name"])
    for name in ("at", "by"):
        op.execute(f"ALTER TABLE comparisons RENAME COLUMN settled_{name} TO resolved_{name}")
    _rename_in_findings()


def _rename_in_findings() -> None:
    """What is no JSON there is left as it is, to be told as damage."""
    raw = sa.table("findings", sa.column("id"), sa.column("kind"), sa.column("detail"))
    new = sa.table("findings", sa.column("id"), sa.column("detail", sa.JSON()))
    connection = op.get_bind()
    found = sa.select(raw.c.id, sa.cast(raw.c.detail, sa.Text)).where(raw.c.kind == "shared")
    for finding_id, text in connection.execute(found).all():
        made = _rename(text)
        if made is not None:
            connection.execute(sa.update(new).where(new.c.id == finding_id).values(detail=made))


def _rename(text: object) -> dict[str, object] | None:
    """None: there is nothing to rename."""
    try:
        detail = json.loads(str(text))
    except (ValueError, RecursionError):
        return None
    if not isinstance(detail, dict) or detail.get("code") != "same-principal":
        return None
    named = {"account" if name == "principal" else name: value for name, value in detail.items()}
    return named | {"code": "same-account"}
