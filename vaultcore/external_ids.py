"""What the systems outside call the versions that they issued, as it is stored with each."""

import json
from collections.abc import Callable, Collection
from functools import cache
from typing import Final

from sqlalchemy import Connection, Select, Text, bindparam, cast, or_, select

from vaultcore.model import Stage
from vaultcore.tables import versions

_ESCAPE: Final = "/"
_SOUGHT_MAX: Final = 20
"""Ids that one statement looks for by name; more of them are picked out of all that there are."""


def pick_in_use(
    connection: Connection,
    ids: Collection[str],
    *,
    beside: tuple[str, int] | None,
    counts: Callable[[str], bool] = lambda _: True,
) -> frozenset[str]:
    """Which of these the other side calls a version that is not destroyed, of any item that `counts` (it is
    given the item's id); without the one version that is `beside`: (item, number).

    One walk, in which the database itself looks into what is stored. A damaged row has no id that could be
    told: it is a finding by itself.
    """
    sought = list(ids) if len(ids) <= _SOUGHT_MAX else []
    given = {f"id_{place}": _escape(json.dumps(each)[1:-1]) for place, each in enumerate(sought)}
    rows = connection.execute(_select_called(len(sought)), given)
    called = [(item_id, _read_id(text)) for item_id, number, text in rows if (item_id, number) != beside]
    wanted = frozenset(ids)
    return frozenset(each for item_id, each in called if each in wanted and counts(item_id))


@cache
def _select_called(sought: int) -> Select[str, int, str]:
    """Of so many ids; 0: all that there are."""
    external = cast(versions.c.external, Text)
    holds = [external.contains(bindparam(f"id_{place}"), escape=_ESCAPE) for place in range(sought)]
    return select(versions.c.item_id, versions.c.number, external).where(
        versions.c.stage != Stage.DESTROYED.value, or_(*holds) if holds else external.contains('"id"')
    )


def _escape(text: str) -> str:
    """As a part of a pattern, in which it means itself."""
    for special in (_ESCAPE, "%", "_"):
        text = text.replace(special, _ESCAPE + special)
    return text


def _read_id(external: object) -> str | None:
    try:
        found = json.loads(str(external)).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return None if found is None else str(found)
