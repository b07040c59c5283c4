"""Names that are taken: the same one, or one that a reader would take for it."""

from sqlalchemy import Connection, Table, select

from vaultcore.errors import RefusedError
from vaultcore.names import explain_likeness, skeleton


def refuse_namesake(
    connection: Connection, table: Table, name: str, *, what: str, but: str | None = None
) -> None:
    """`RefusedError` for a name that another row of the table has, or that looks like one of another row.

    The table has `id`, `name` and `skeleton`. `but` is the id of the row that the name is for.
    """
    taken = (
        select(table.c.name)
        .where((table.c.name == name) | (table.c.skeleton == skeleton(name)))
        .order_by(table.c.name != name, table.c.name)
    )
    if but is not None:
        taken = taken.where(table.c.id != but)
    found = connection.execute(taken).scalars().first()
    if found == name:
        article = "an" if what[0] in "aeiou" else "a"
        raise RefusedError(f"{article} {what} named {name} exists already: choose another name")
    if found is not None:
        raise RefusedError(
            f"{what} name {name!r} looks like {found!r}, which exists already "
            f"({explain_likeness(name, found)}): choose one that readers can tell apart"
        )
