"""Keyed digests of what a restore left to be compared, and of what an item changes on the other side.

The digests themselves need the keyring: `nightkey init` makes them once, after this.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

_KEPT = ("comparisons", "item_principals")


def upgrade() -> None:
    for table in _KEPT:
        op.add_column(table, sa.Column("mac", sa.LargeBinary(length=32), nullable=True))
