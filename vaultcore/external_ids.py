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
_INTEGER: Final = re.compile(r"-?[0-9]+")
_HALF: Final = re.compile("[\ud800-\udfff]")


class id_as_stored(GenericFunction[str]):  # noqa: N801  # a function of SQL
    """The beginning of a version's id as it stands in its JSON: with quotes, and each digit of a number. Null
    where there is none.

    `other` where the same id may be written in several ways, which have one digest: where anything in it is
    escaped, where there may be two ids, and where it is a fraction. Also where it is neither text nor number,
    and where the database might fail to read it: an error would keep the version from being written.
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
        f"(CASE WHEN NOT json_valid({external}) OR instr({external}, '\\') > 0 "
        f"OR length(replace({external}, '\"id\"', '')) < length({external}) - 4 THEN '{_OTHER}' "
        f"WHEN {kind} IN ('text', 'integer') "
        f"THEN substr(json_extract({external}, '$.id', '$.id'), 1, {_BEGINNING}) "
        f"WHEN {kind} <> 'null' THEN '{_OTHER}' END)"
    )


@compiles(id_as_stored, "postgresql")
def _on_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:  # noqa: ANN401  # as above
    external = compiler.process(element.clauses, **kwargs)
    kind, its = f"json_typeof({external} -> 'id')", f"({external} -> 'id')::text"
    return (
        f"(CASE WHEN strpos({external}::text, E'\\\\') > 0 "
        f"OR length(replace({external}::text, '\"id\"', '')) < length({external}::text) - 4 THEN '{_OTHER}' "
        f"WHEN {kind} = 'string' OR ({kind} = 'number' AND {its} ~ '^-?[0-9]+$') "
        f"THEN left({its}, {_BEGINNING}) "
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
    """How `id_as_stored` may have it, beside `other`: 5 and "5" are one id."""
    text = json.dumps(external_id, ensure_ascii=False)
    texts = [] if "\\" in text or _HALF.search(text) else [text]
    if _INTEGER.fullmatch(external_id):
        texts.append(external_id)
    if external_id == "0":
        texts.append("-0")
    for text in texts:
        yield (f"[{text},{text}]" if dialect == "sqlite" else text)[:_BEGINNING]


def _read_id(external: object) -> str | None:
    try:
        found = json.loads(str(external)).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return None if found is None else str(found)
