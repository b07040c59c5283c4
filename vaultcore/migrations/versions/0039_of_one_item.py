"""What is open for one item, and its declared copies, are found without a walk over those of all."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    _create("ix_findings_item", "findings", "item_id", where="resolved_at IS NULL")
    _create("ix_items_copies", "items", "copy_of", where="copy_of IS NOT NULL")


def _create(name: str, table: str, column: str, *, where: str) -> None:
    op.create_index(name, table, [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
