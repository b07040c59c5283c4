"""A night by hand is known as one, and each keeps what was wrong when it had ended."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("sweeps", sa.Column("by_hand", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("sweeps", sa.Column("problems", sa.JSON(), server_default="[]", nullable=False))
