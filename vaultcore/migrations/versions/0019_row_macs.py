"""Keyed digests of the rows that decide, and how far a night has come with checking them.

The digests themselves need the keyring: `nightkey init` makes them once, after this.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0017"

_KEPT = (
    "deployment",
    "owners",
    "routes",
    "items",
    "item_owners",
    "versions",
    "item_references",
    "workflows",
    "rotations",
    "checks",
    "waivers",
)


def upgrade() -> None:
    for table in _KEPT:
        op.add_column(table, sa.Column("mac", sa.LargeBinary(length=32), nullable=True))
    op.create_table(
        "row_checks",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("table_name", sa.String(length=40), nullable=True),
        sa.Column("key", sa.JSON(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("whole_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_row_checks")),
    )
