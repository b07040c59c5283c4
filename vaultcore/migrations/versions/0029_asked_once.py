"""What runs began with, sealed, for who runs them again; and requests that are answered once."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.create_table(
        "run_payloads",
        sa.Column("run_id", sa.String(length=40), nullable=False),
        sa.Column("kept_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_run_payloads_run_id")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run_payloads")),
    )
    op.create_index(op.f("ix_run_payloads_ends_at"), "run_payloads", ["ends_at"], unique=False)
    op.create_table(
        "requests",
        sa.Column("actor", sa.String(length=150), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=True),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("actor", "key", name=op.f("pk_requests")),
    )
    op.create_index(op.f("ix_requests_asked_at"), "requests", ["asked_at"], unique=False)
