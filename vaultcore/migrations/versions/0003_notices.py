"""Owners who hear in time, once, and can act: and a heartbeat, so that silence itself is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "heartbeats",
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("beat", sa.String(length=10), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("slot", "beat", name=op.f("pk_heartbeats")),
    )
    op.add_column("claims", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("findings", sa.Column("quiet_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("findings", sa.Column("quiet_level", sa.Integer(), nullable=True))
    op.add_column("findings", sa.Column("quiet_by", sa.String(length=100), nullable=True))
    op.add_column("findings", sa.Column("quiet_why", sa.Text(), nullable=True))
