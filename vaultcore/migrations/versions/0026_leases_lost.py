"""How often a worker's lease on a rotation lapsed while it was at it, and another went on."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("rotations", sa.Column("leases_lost", sa.Integer(), server_default="0", nullable=False))
