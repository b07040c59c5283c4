"""What is open, has ended lately, is to be told or collected is found without a walk over what is over."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"

_OPEN = ["state", "id", "emergency", "failing_since", "item_id", "finished_at"]
_INDEXES = (
    ("ix_rotations_open", "rotations", _OPEN, "finished_at IS NULL"),
    ("ix_rotations_ended", "rotations", ["finished_at", "state"], "finished_at IS NOT NULL"),
    ("ix_rotations_told", "rotations", ["told_night"], "told_night IS NOT NULL"),
    ("ix_rotations_untold", "rotations", ["state"], "told_night IS NULL AND night IS NOT NULL"),
    ("ix_rotations_leases_lost", "rotations", ["leases_lost"], "leases_lost > 0"),
    ("ix_pickups_waiting", "pickups", ["id"], "arrived_at IS NULL AND ended_at IS NULL"),
)


def upgrade() -> None:
    for name, table, columns, condition in _INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.create_index("ix_tellings_topic", "tellings", ["topic"])
