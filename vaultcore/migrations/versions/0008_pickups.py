"""Pickups that are kept for who began to collect them, until the key was used; keys that are seen in use."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("versions", sa.Column("used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("versions", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("claims") as claims:
        claims.alter_column("rotation_id", existing_type=sa.String(length=40), nullable=True)
        claims.add_column(sa.Column("taken_by", sa.String(length=100), nullable=True))
        claims.add_column(sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True))
        claims.add_column(sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    # what was collected before was gone with that
    op.execute("UPDATE claims SET taken_at = claimed_at, ended_at = claimed_at WHERE claimed_at IS NOT NULL")
    op.create_index("ix_claims_version", "claims", ["item_id", "number"])
    op.create_index(
        "ix_claims_ending",
        "claims",
        ["claimed_at"],
        sqlite_where=sa.text("claimed_at IS NOT NULL AND ended_at IS NULL"),
        postgresql_where=sa.text("claimed_at IS NOT NULL AND ended_at IS NULL"),
    )
