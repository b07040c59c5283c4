"""Checks that were shown able to fail, what has shown a new value to work, and whether there is a way back."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "checks",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=250), nullable=False),
        sa.Column("tells_apart", sa.Boolean(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_checks")),
    )
    op.add_column("rotations", sa.Column("shown_by", sa.String(length=250), nullable=True))
    for name in ("one_way", "old_dead"):
        op.add_column("rotations", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))
