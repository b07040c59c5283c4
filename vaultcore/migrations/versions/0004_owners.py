"""Owners with a time zone, quiet hours and a deputy; several of them for an item; and who was told what."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("owners") as owners:
        owners.add_column(sa.Column("zone", sa.String(length=64), nullable=False, server_default="UTC"))
        owners.add_column(sa.Column("quiet", sa.String(length=11), nullable=True))
        owners.add_column(sa.Column("deputy_id", sa.String(length=40), nullable=True))
        owners.create_foreign_key(op.f("fk_owners_deputy_id"), "owners", ["deputy_id"], ["id"])
    op.create_table(
        "item_owners",
        sa.Column("item_id", sa.String(length=40), nullable=False),
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_item_owners_item_id")),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_item_owners_owner_id")),
        sa.PrimaryKeyConstraint("item_id", "owner_id", name=op.f("pk_item_owners")),
    )
    op.create_index(op.f("ix_item_owners_owner_id"), "item_owners", ["owner_id"])
    op.execute("INSERT INTO item_owners SELECT id, owner_id FROM items WHERE owner_id IS NOT NULL")
    op.drop_index("ix_items_owner_id", "items")
    with op.batch_alter_table("items") as items:
        items.drop_constraint("fk_items_owner_id", type_="foreignkey")
        items.drop_column("owner_id")
    op.create_table(
        "tellings",
        sa.Column("owner_id", sa.String(length=40), nullable=False),
        sa.Column("topic", sa.String(length=100), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("night", sa.DateTime(timezone=True), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name=op.f("fk_tellings_owner_id")),
        sa.PrimaryKeyConstraint("owner_id", "topic", name=op.f("pk_tellings")),
    )
    op.create_index("ix_tellings_night", "tellings", ["night", "owner_id"])
    _change_findings()
    with op.batch_alter_table("rotations") as rotations:
        rotations.add_column(sa.Column("told_night", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE rotations SET told_night = night WHERE told_at IS NOT NULL")
    with op.batch_alter_table("rotations") as rotations:
        rotations.drop_column("told_at")
        rotations.drop_column("owner_id")
    op.execute("DELETE FROM deliveries WHERE notice_id IN (SELECT id FROM notices WHERE owner_id IS NULL)")
    op.execute("DELETE FROM notices WHERE owner_id IS NULL AND owner NOT IN (SELECT name FROM owners)")
    op.execute(
        "UPDATE notices SET owner_id = (SELECT id FROM owners WHERE owners.name = notices.owner) "
        "WHERE owner_id IS NULL"
    )
    with op.batch_alter_table("notices") as notices:
        notices.alter_column("owner_id", existing_type=sa.String(length=40), nullable=False)
        notices.alter_column("body", existing_type=sa.Text(), nullable=True)
        notices.add_column(sa.Column("night", sa.DateTime(timezone=True), nullable=True))
        notices.add_column(sa.Column("urgent", sa.Boolean(), nullable=False, server_default=sa.false()))
        notices.add_column(sa.Column("about", sa.String(length=40), nullable=True))
        notices.add_column(sa.Column("routed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE notices SET routed = TRUE WHERE id IN (SELECT notice_id FROM deliveries)")
    op.create_index(
        "ix_notices_unrouted",
        "notices",
        ["owner_id"],
        sqlite_where=sa.text("NOT routed"),
        postgresql_where=sa.text("NOT routed"),
    )
    op.create_index(
        "ix_deliveries_failed",
        "deliveries",
        ["tried_at"],
        sqlite_where=sa.text("state = 'failed'"),
        postgresql_where=sa.text("state = 'failed'"),
    )
    op.create_index(
        "ix_notices_about",
        "notices",
        ["about"],
        sqlite_where=sa.text("about IS NOT NULL"),
        postgresql_where=sa.text("about IS NOT NULL"),
    )
    op.add_column("deliveries", sa.Column("stands_in", sa.Boolean(), nullable=False, server_default=sa.false()))


def _change_findings() -> None:
    """What owners were told of stands beside the findings now, for each of them."""
    op.drop_index("ix_findings_untold", "findings")
    op.add_column("findings", sa.Column("topic", sa.String(length=100), nullable=True))
    op.add_column("findings", sa.Column("deadline", sa.DateTime(timezone=True), nullable=True))
    op.add_column("findings", sa.Column("does", sa.Text(), nullable=True))
    op.add_column("findings", sa.Column("command", sa.Text(), nullable=True))
    connection = op.get_bind()
    found = sa.table(
        "findings",
        *(sa.column(name) for name in ("id", "kind", "item_id", "owner_id", "told_level", "topic")),
        sa.column("deadline", sa.DateTime(timezone=True)),
    )
    items = sa.table("items", sa.column("id"), sa.column("expires_at", sa.DateTime(timezone=True)))
    told = sa.table(
        "tellings",
        *(sa.column(name) for name in ("owner_id", "topic", "level")),
        sa.column("at", sa.DateTime(timezone=True)),
    )
    connection.execute(sa.update(found).values(topic=found.c.id))
    expiring = connection.execute(
        sa.select(found.c.id, items.c.id.label("item_id"), items.c.expires_at)
        .join(items, items.c.id == found.c.item_id)
        .where(found.c.kind.in_(["expiring", "lapsed"]), items.c.expires_at.is_not(None))
    ).all()
    for row in expiring:
        stored: datetime = row.expires_at
        expires_at = stored.replace(tzinfo=UTC) if stored.tzinfo is None else stored.astimezone(UTC)
        connection.execute(
            sa.update(found)
            .where(found.c.id == row.id)
            .values(topic=f"{row.item_id} {expires_at.isoformat()}", deadline=stored)
        )
    known = sa.table("owners", sa.column("id"))
    connection.execute(
        sa.insert(told).from_select(
            ["owner_id", "topic", "level", "at"],
            sa.select(
                found.c.owner_id, found.c.topic, sa.func.max(found.c.told_level), sa.func.current_timestamp()
            )
            .where(found.c.owner_id.in_(sa.select(known.c.id)), found.c.told_level.is_not(None))
            .group_by(found.c.owner_id, found.c.topic),
        )
    )
    with op.batch_alter_table("findings") as findings:
        findings.alter_column("topic", existing_type=sa.String(length=100), nullable=False)
        findings.drop_column("owner_id")
        findings.drop_column("told_level")
    op.create_index(
        "ix_findings_topic",
        "findings",
        ["topic"],
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
