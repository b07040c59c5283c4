"""Keyed digests of what is sent, collected, proven by runs and done for who leaves.

The digests themselves need the keyring: `nightkey init` makes them once, after this. `signed` then says so.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

_KEPT = (
    "runs",
    "run_versions",
    "departures",
    "departure_items",
    "heartbeats",
    "claims",
    "notices",
    "deliveries",
)


def upgrade() -> None:
    for table in _KEPT:
        op.add_column(table, sa.Column("mac", sa.LargeBinary(length=32), nullable=True))
    op.add_column("deployment", sa.Column("signed", sa.Integer(), nullable=True))
