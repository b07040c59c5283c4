"""A sweep finds by index whether a night, a run or a heartbeat has something due."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"

_INDEXES = (
    ("ix_sweeps_open", "sweeps", ["job", "slot"], "done_at IS NULL"),
    ("ix_heartbeats_next", "heartbeats", ["next_at"], "state = 'waiting'"),
    ("ix_runs_pending", "runs", ["created_at"], "status = 'pending' AND completed_at IS NULL"),
    ("ix_runs_begun", "runs", ["started_at"], "completed_at IS NULL"),
)


def upgrade() -> None:
    for name, table, columns, those in _INDEXES:
        where = sa.text(those)
        op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)
