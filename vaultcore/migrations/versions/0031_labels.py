"""Labels of items, and all of an item's as one column in the indexes of lists."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"

_LISTED = ("sought", "owned_by", "labelled", "mode", "rotator", "hygiene", "expires_at", "due_at", "hold_until")
_ORDERS = (
    ("name", "sought"),
    ("expires_at", "expires_at"),
    ("created_at", "created_at"),
    ("updated_at", "updated_at"),
    ("owner", "first_owner"),
)


def upgrade() -> None:
    op.create_table(
        "item_labels",
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=63), nullable=False),
        sa.Column("value", sa.String(length=100), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=True),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_labels_item_id")),
        sa.PrimaryKeyConstraint("item_id", "key", name=op.f("pk_item_labels")),
    )
    op.create_index(
        op.f("ix_item_labels_key_value_item_id"), "item_labels", ["key", "value", "item_id"], unique=False
    )
    op.add_column("items", sa.Column("labelled", sa.Text(), server_default="", nullable=True))
    for name, key in _ORDERS:
        op.drop_index(f"ix_items_by_{name}", table_name="items")
        parts = list(dict.fromkeys((key, "id", *_LISTED)))
        op.create_index(f"ix_items_by_{name}", "items", parts, unique=False)
