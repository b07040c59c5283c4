"""Who is at a target system, and who waits there, is found by index."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"

_HELD = sa.text("lease_until IS NOT NULL")
_OPEN = sa.text("finished_at IS NULL")


def upgrade() -> None:
    op.create_index(
        "ix_rotations_held",
        "rotations",
        ["target", "lease_until"],
        unique=False,
        sqlite_where=_HELD,
        postgresql_where=_HELD,
    )
    op.create_index(
        "ix_rotations_due_at_target",
        "rotations",
        ["target", "next_at"],
        unique=False,
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
