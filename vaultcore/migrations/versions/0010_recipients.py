"""A notice is delivered to each recipient of a route by itself, and one that is too long part by part."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """What has left by a route stays so: whom it reached is not known any more, so nobody is told again."""
    op.add_column("routes", sa.Column("recipients", sa.JSON(), nullable=True))
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.add_column(sa.Column("recipient", sa.String(length=320), nullable=False, server_default=""))
        deliveries.add_column(sa.Column("parts_taken", sa.Integer(), nullable=False, server_default="0"))
        deliveries.add_column(sa.Column("draft", sa.JSON(), nullable=True))
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.drop_constraint(op.f("pk_deliveries"), type_="primary")
        deliveries.create_primary_key(op.f("pk_deliveries"), ["notice_id", "route_id", "recipient"])
