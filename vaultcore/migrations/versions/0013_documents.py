"""A workflow's document is kept as it was given, and where it runs is known; some references only mention."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_PAGE = 500


def upgrade() -> None:
    with op.batch_alter_table("workflows") as table:
        table.add_column(sa.Column("given_id", sa.String(200), nullable=True))
        table.add_column(sa.Column("document", sa.Text(), nullable=True))
        table.add_column(sa.Column("runs", sa.String(10), server_default="here", nullable=False))
        table.add_column(sa.Column("stays_away", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.add_column(sa.Column("critical", sa.Boolean(), server_default=sa.false(), nullable=False))
    _fill()
    with op.batch_alter_table("workflows") as table:
        table.alter_column("document", existing_type=sa.Text(), nullable=False)
        table.alter_column("runs", existing_type=sa.String(10), server_default=None)
        table.drop_column("definition")
    op.create_index(
        "uq_workflows_given_id",
        "workflows",
        ["given_id"],
        unique=True,
        sqlite_where=sa.text("given_id IS NOT NULL"),
        postgresql_where=sa.text("given_id IS NOT NULL"),
    )
    with op.batch_alter_table("item_references") as table:
        table.add_column(sa.Column("mentioned", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.add_column(sa.Column("elsewhere", sa.Boolean(), server_default=sa.false(), nullable=False))


def _fill() -> None:
    """What was stored becomes the document, so that nothing that was taken is judged again."""
    table = sa.table(
        "workflows",
        sa.column("id"),
        sa.column("definition", sa.JSON()),
        sa.column("document"),
        sa.column("critical"),
    )
    connection, last = op.get_bind(), ""
    change = (
        sa.update(table)
        .where(table.c.id == sa.bindparam("row"))
        .values(document=sa.bindparam("text"), critical=sa.bindparam("last"))
    )
    while True:
        page = sa.select(table.c.id, table.c.definition).where(table.c.id > last).order_by(table.c.id)
        rows = connection.execute(page.limit(_PAGE)).all()
        if not rows:
            return
        connection.execute(
            change,
            [
                {
                    "row": row.id,
                    "text": _write(row.definition),
                    "last": bool(row.definition.get("critical", False)),
                }
                for row in rows
            ],
        )
        last = rows[-1].id


def _write(definition: Any) -> str:  # noqa: ANN401  # JSON
    """As a person reads it; with escapes where it holds half a character, which no database takes."""
    text = json.dumps(definition, indent=2, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(definition, indent=2)
    return text
