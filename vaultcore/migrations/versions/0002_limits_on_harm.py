"""Rotations that wait, hurry and are approved; consumers that move first or are waived; departures."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _add(
        "rotations",
        sa.Column("counterpart", sa.String(length=250), nullable=True),
        sa.Column("stuck_in", sa.String(length=20), nullable=True),
        sa.Column("approved_by", sa.String(length=100), nullable=True),
        sa.Column("request_digest", sa.String(length=64), nullable=True),
        sa.Column("hurried", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("gated", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("candidates", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("issuing", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("late_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outages", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("polls", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("settling_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("canary_id", sa.String(length=40), nullable=True),
        sa.Column("widened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("overlap_until", sa.DateTime(timezone=True), nullable=True),
    )
    op.execute("UPDATE rotations SET told_at = created_at")  # the digests of their nights are out
    _add("item_references", sa.Column("held_by", sa.String(length=40), nullable=True))
    _add("runs", sa.Column("external_id", sa.String(length=200), nullable=True))
    op.create_index(
        "uq_runs_external",
        "runs",
        ["external_id"],
        unique=True,
        sqlite_where=sa.text("external_id IS NOT NULL"),
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_table(
        "waivers",
        sa.Column("rotation_id", sa.String(length=40), nullable=False),
        sa.Column("workflow_id", sa.String(length=40), nullable=False),
        sa.Column("by", sa.String(length=100), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["rotation_id"], ["rotations.id"], name=op.f("fk_waivers_rotation_id")),
        sa.PrimaryKeyConstraint("rotation_id", "workflow_id", name=op.f("pk_waivers")),
    )
    op.create_table(
        "departures",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("asked_by", sa.String(length=100), nullable=False),
        sa.Column("hurried", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_departures")),
    )
    op.create_index(
        "uq_departures_open",
        "departures",
        ["name"],
        unique=True,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "departure_items",
        sa.Column("departure_id", sa.String(length=40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("item", sa.String(length=50), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["departure_id"], ["departures.id"], name=op.f("fk_departure_items_departure_id")
        ),
        sa.PrimaryKeyConstraint("departure_id", "position", name=op.f("pk_departure_items")),
    )


def _add(table: str, *columns: sa.Column[Any]) -> None:
    for column in columns:
        op.add_column(table, column)
