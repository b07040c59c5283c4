"""A night's rotations are found by what has become of them, and at which target system."""

from alembic import op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.drop_index("ix_rotations_night", "rotations")
    op.create_index("ix_rotations_night", "rotations", ["night", "state", "target", "id"], unique=False)
