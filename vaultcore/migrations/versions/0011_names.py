"""What a reader sees of a name, so that another one that looks like it is refused."""

import sqlalchemy as sa
from alembic import op

from vaultcore.names import skeleton

revision = "0011"
down_revision = "0010"

_PAGE = 500


def upgrade() -> None:
    for name in ("items", "owners", "workflows"):
        with op.batch_alter_table(name) as table:
            table.add_column(sa.Column("skeleton", sa.Text(), nullable=True))
        op.create_index(op.f(f"ix_{name}_skeleton"), name, ["skeleton"])
        _fill(sa.table(name, sa.column("id"), sa.column("name"), sa.column("skeleton")))


def _fill(table: sa.TableClause) -> None:
    """A page at a time: a vault may hold a million names. None of them is changed, or judged."""
    connection, last = op.get_bind(), ""
    change = sa.update(table).where(table.c.id == sa.bindparam("row")).values(skeleton=sa.bindparam("seen"))
    while True:
        page = sa.select(table.c.id, table.c.name).where(table.c.id > last).order_by(table.c.id).limit(_PAGE)
        rows = connection.execute(page).all()
        if not rows:
            return
        connection.execute(change, [{"row": row.id, "seen": skeleton(row.name)} for row in rows])
        last = rows[-1].id
