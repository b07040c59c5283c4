"""An emergency that is due is found before all else, however much is."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    where = sa.text("emergency AND finished_at IS NULL")
    op.create_index(
        "ix_rotations_emergency", "rotations", ["next_at"], sqlite_where=where, postgresql_where=where
    )
