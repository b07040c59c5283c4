"""What a step of a rotation came to is kept as reasons; what was kept in words stays, as one of them."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"

_MAKE = {
    "sqlite": "json_array(json_object('code', 'other', 'text', CAST(message AS TEXT)))",
    "postgresql": "json_build_array(json_build_object('code', 'other', 'text', message))",
}


def upgrade() -> None:
    op.add_column("rotation_steps", sa.Column("said", sa.JSON(), nullable=True))
    op.execute(f"UPDATE rotation_steps SET said = {_MAKE[op.get_bind().dialect.name]}")  # noqa: S608  # ours
    with op.batch_alter_table("rotation_steps") as changed:
        changed.drop_column("message")
        changed.alter_column("said", existing_type=sa.JSON(), nullable=False)
