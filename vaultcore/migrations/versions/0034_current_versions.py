"""A reference knows the number of its item's current version, so that what is stale is found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"

_SUSPECT = sa.text("item_id IS NULL OR coalesce(pinned, last_version) <> current_version")


def upgrade() -> None:
    op.add_column("item_references", sa.Column("current_version", sa.Integer(), nullable=True))
    op.execute(
        "UPDATE item_references SET current_version = (SELECT versions.number FROM versions "
        "WHERE versions.item_id = item_references.item_id AND versions.stage = 'current')"
    )
    op.create_index(
        "ix_item_references_suspect",
        "item_references",
        ["consumer_id", "node_id", "written"],
        unique=False,
        sqlite_where=_SUSPECT,
        postgresql_where=_SUSPECT,
    )
    op.create_index(
        "ix_item_references_idle",
        "item_references",
        ["idle_at", "consumer_id", "node_id", "written"],
        unique=False,
        sqlite_where=sa.text("idle_at IS NOT NULL"),
        postgresql_where=sa.text("idle_at IS NOT NULL"),
    )
