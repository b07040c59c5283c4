"""Tables and columns under the field's words; the digests of their rows keep the names of before."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

_COLUMNS = (
    ("rotations", "counterpart", "target"),
    ("rotations", "hurried", "emergency"),
    ("rotations", "settling_since", "propagating_since"),
    ("departures", "hurried", "emergency"),
    ("notices", "claim_id", "pickup_id"),
)
_KEPT = (
    "id",
    "item_id",
    "number",
    "rotation_id",
    "created_at",
    "expires_at",
    "taken_by",
    "taken_at",
    "ended_at",
    "mac",
)


def upgrade() -> None:
    for table, old, new in _COLUMNS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    op.create_table(
        "pickups",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rotation_id", sa.String(length=40), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("taken_by", sa.String(length=100), nullable=True),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pickups")),
    )
    claims = sa.table("claims", *map(sa.column, (*_KEPT, "claimed_at")))
    pickups = sa.table("pickups", *map(sa.column, (*_KEPT, "arrived_at")))
    op.execute(pickups.insert().from_select([*_KEPT, "arrived_at"], sa.select(*claims.columns)))
    op.drop_table("claims")
    arrived = sa.text("arrived_at IS NOT NULL AND ended_at IS NULL")
    op.create_index("ix_pickups_rotation_id", "pickups", ["rotation_id"])
    op.create_index("ix_pickups_version", "pickups", ["item_id", "number"])
    op.create_index(
        "ix_pickups_ending", "pickups", ["arrived_at"], sqlite_where=arrived, postgresql_where=arrived
    )
