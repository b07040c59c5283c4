"""What the systems outside call the versions that they issued, as it is stored with each."""

import json
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from sqlalchemy import Connection, Text, and_, bindparam, cast, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

from vaultcore.model import Stage
from vaultcore.tables import versions

_AT_ONCE: Final = 500
"""Ids that one statement looks for."""
_BEGINNING: Final = 200
"""Characters of an id by which the index finds it: that of PostgreSQL takes no text of any length."""
_OTHER: Final = "other"
"""In the index, an id that cannot be told from its own. No JSON is written so."""
_NUMBER: Final = re.compile(r"-?[0-9][-+.0-9e]*")


class id_as_stored(GenericFunction[str]):  # noqa: N801  # a function of SQL
    r"""The beginning of a version's id as it stands in its JSON: with quotes, escapes, each digit of a number.
    Null where there is none. `other` where it is neither text nor number, and where the database might fail to
    read it: SQLite what is damaged, PostgreSQL what is written with `\u`. So it never raises, which would keep
    the version from being written.
    """

    type = Text()
    inherit_cache = True


@compiles(id_as_stored, "sqlite")
def _on_sqlite(element: Any, compiler: Any, **kwargs: Any) -> str:  # noqa: ANN401  # the library's
    """By functions that SQLite has had for long. For one path `json_extract` gives the text in place of the
    JSON, and rounds a long number; for two it gives an array, in which both are as they were written.
    """
    external = compiler.process(element.clauses, **kwargs)
    kind = f"json_type({external}, '$.id')"
    return (
        f"(CASE WHEN NOT json_valid({external}) THEN '{_OTHER}' "
        f"WHEN {kind} IN ('text', 'integer', 'real') "
        f"THEN substr(json_extract({external}, '$.id', '$.id'), 1, {_BEGINNING}) "
        f"WHEN {kind} <> 'null' THEN '{_OTHER}' END)"
    )


@compiles(id_as_stored, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:  # noqa: ANN401  # as above
    external = compiler.process(element.clauses, **kwargs)
    kind = f"json_typeof({external} -> 'id')"
    return (
        f"(CASE WHEN strpos({external}::text, E'\\\\u') > 0 THEN '{_OTHER}' "
        f"WHEN {kind} IN ('string', 'number') THEN left(({external} -> 'id')::text, {_BEGINNING}) "
        f"WHEN {kind} <> 'null' THEN '{_OTHER}' END)"
    )


STORED_ID: Final = id_as_stored(versions.c.external)
HAS_ID: Final = and_(STORED_ID.is_not(None), versions.c.stage != literal_column(f"'{Stage.DESTROYED.value}'"))
"""Versions in the index of ids. A statement finds it where it has its expressions by the letter."""
_EXTERNAL: Final = cast(versions.c.external, Text)
_WITH_ID: Final = select(versions.c.item_id, versions.c.number, _EXTERNAL).where(
    HAS_ID, STORED_ID.in_(bindparam("beginnings", expanding=True))
)


def pick_in_use(
    connection: Connection,
    ids: Collection[str],
    *,
    beside: tuple[str, int] | None,
    counts: Callable[[str], bool] = lambda _: True,
) -> frozenset[str]:
    """Which of these the other side calls a version that is not destroyed, of any item that `counts` (it is
    given the item's id); without the one version that is `beside`: (item, number).

    They are found by index, however many versions there are. A damaged row has no id that could be told: it is
    a finding by itself.
    """
    every, wanted = list(ids), frozenset(ids)
    found: set[str] = set()
    for start in range(0, len(every), _AT_ONCE):
        some = every[start : start + _AT_ONCE]
        given = {_OTHER, *(each for one in some for each in _spell(one, connection.dialect.name))}
        for item_id, number, external in connection.execute(_WITH_ID, {"beginnings": list(given)}):
            called = _read_id(external)
            if called in wanted and (item_id, number) != beside and counts(item_id):
                found.add(called)
    return frozenset(found)


def _spell(external_id: str, dialect: str) -> Iterator[str]:
    """How `id_as_stored` may have it: 5 and "5" are one id."""
    texts = [json.dumps(external_id)]
    if _NUMBER.fullmatch(external_id):
        texts.append(external_id)
    for text in texts:
        yield (f"[{text},{text}]" if dialect == "sqlite" else text)[:_BEGINNING]


def _read_id(external: object) -> str | None:
    try:
        found = json.loads(str(external)).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return None if found is None else str(found)
