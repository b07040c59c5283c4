"""The declared copies of one item are found without a walk over those of all."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    declared = sa.text("copy_of IS NOT NULL")
    op.create_index("ix_items_copies", "items", ["copy_of"], sqlite_where=declared, postgresql_where=declared)
