"""Whether credentials still work: what was asked of each last, and who asks at which target now."""

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.create_table(
        "credential_checks",
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=True),
        sa.Column("outages", sa.Integer(), server_default="0", nullable=False),
        sa.Column("night", sa.DateTime(timezone=True), nullable=True),
        sa.Column("target", sa.String(length=300), nullable=True),
        sa.Column("waits", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("begun", sa.Integer(), server_default="0", nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_credential_checks")),
    )
    op.create_index("ix_credential_checks_next_at", "credential_checks", ["next_at", "item_id"], unique=False)
    op.create_index(
        "ix_credential_checks_waits",
        "credential_checks",
        ["target"],
        unique=False,
        sqlite_where=sa.text("waits"),
        postgresql_where=sa.text("waits"),
    )
    op.create_index(
        "ix_credential_checks_refused",
        "credential_checks",
        ["item_id"],
        unique=False,
        sqlite_where=sa.text("outcome = 'refused'"),
        postgresql_where=sa.text("outcome = 'refused'"),
    )
    op.create_index("ix_credential_checks_night", "credential_checks", ["night"], unique=False)
    op.create_table(
        "check_turns",
        sa.Column("target", sa.String(length=300), nullable=False),
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=40), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_check_turns")),
    )
