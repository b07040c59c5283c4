"""Codes with parameters in the place of sentences: why, for what, how something stands.

`vaultcore.old_sentences` knows the sentences. What it does not know is kept whole, as a code of its own. The
keyed digest of a rotation covers why it was opened: `nightkey init` looks once, after this, whether it held
over the sentence of before, and makes the new one where it did.
"""

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from vaultcore.old_sentences import read_sentence

revision = "0022"
down_revision = "0021"

_PAGE = 500
_NEW = "{}_code"


def upgrade() -> None:
    _turn("rotations", "id", {"reason": False, "last_error": True})
    _turn("findings", "id", {"detail": False, "does": True})
    _turn("comparisons", "item_id", {"detail": False})
    _rewrite("rotations", ("id",), "waits_for", _read_list)
    _rewrite("sweeps", ("job", "slot"), "problems", _read_problems)


def _turn(table: str, key: str, columns: dict[str, bool]) -> None:
    """These columns of texts, each with whether it may be null, become codes."""
    for name in columns:
        op.add_column(table, sa.Column(_NEW.format(name), sa.JSON(), nullable=True))
    _fill(table, key, tuple(columns))
    with op.batch_alter_table(table) as changed:
        for name in columns:
            changed.drop_column(name)
    with op.batch_alter_table(table) as changed:
        for name, nullable in columns.items():
            changed.alter_column(
                _NEW.format(name), new_column_name=name, existing_type=sa.JSON(), nullable=nullable
            )


def _fill(table: str, key: str, names: tuple[str, ...]) -> None:
    """A page at a time: a vault may have a million findings."""
    raw = sa.table(table, sa.column(key), *(sa.column(name) for name in names))
    new = sa.table(table, sa.column(key), *(sa.column(_NEW.format(name), _JSON) for name in names))
    connection, last = op.get_bind(), ""
    change = (
        sa.update(new)
        .where(new.c[key] == sa.bindparam("row"))
        .values({_NEW.format(name): sa.bindparam(f"its_{name}", type_=_JSON) for name in names})
    )
    while True:
        rows = connection.execute(
            sa.select(raw).where(raw.c[key] > last).order_by(raw.c[key]).limit(_PAGE)
        ).all()
        if not rows:
            return
        made = [
            {"row": row[0]} | {f"its_{name}": _read(row[at], name) for at, name in enumerate(names, 1)}
            for row in rows
        ]
        connection.execute(change, made)
        last = rows[-1][0]


_JSON = sa.JSON(none_as_null=True)


def _read(stored: object, name: str) -> dict[str, Any] | None:
    """What is no text is damage of before, and is kept as far as it can be shown."""
    if stored is None:
        return None
    text = stored.decode(errors="replace") if isinstance(stored, bytes) else str(stored)
    return read_sentence(text, failed=name == "last_error")


def _rewrite(table: str, keys: tuple[str, ...], name: str, read: Callable[[Any], Any]) -> None:
    """A column that is JSON already. What cannot be read there is left as it is, to be told as damage."""
    raw = sa.table(table, *(sa.column(key) for key in keys), sa.column(name))
    new = sa.table(table, *(sa.column(key) for key in keys), sa.column(name, _JSON))
    connection = op.get_bind()
    found = connection.execute(sa.select(*(raw.c[key] for key in keys), sa.cast(raw.c[name], sa.Text))).all()
    change = (
        sa.update(new)
        .where(*(new.c[key] == sa.bindparam(f"its_{key}") for key in keys))
        .values({name: sa.bindparam("made", type_=_JSON)})
    )
    made = [
        {f"its_{key}": part for key, part in zip(keys, row, strict=False)} | {"made": read_again}
        for row in found
        if (read_again := _try_read(row[-1], read)) is not None
    ]
    for start in range(0, len(made), _PAGE):
        connection.execute(change, made[start : start + _PAGE])


def _try_read(stored: object, read: Callable[[Any], Any]) -> Any:  # noqa: ANN401  # JSON
    """None: there is nothing to change."""
    try:
        before = json.loads(str(stored))
        made = read(before)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return None
    return None if made == before else made


def _read_list(reasons: object) -> list[dict[str, Any]]:
    if not isinstance(reasons, list):
        raise TypeError("no list")
    return [read_sentence(str(one)) for one in reasons]


def _read_problems(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        one | {"error": None if one.get("error") is None else read_sentence(str(one["error"]), failed=True)}
        for one in problems
    ]
