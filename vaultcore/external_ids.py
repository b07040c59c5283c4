"""What the systems outside call the versions that they issued, as it is stored with each."""

import json
from collections.abc import Callable, Collection

from sqlalchemy import Connection, Text, cast, or_, select

from vaultcore.model import Stage
from vaultcore.tables import versions

_SOUGHT_MAX = 20
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
    external = cast(versions.c.external, Text)
    written = [json.dumps(each)[1:-1] for each in ids]
    holds = [external.contains(each, autoescape=True) for each in written]
    rows = connection.execute(
        select(versions.c.item_id, versions.c.number, external).where(
            versions.c.stage != Stage.DESTROYED.value,
            or_(*holds) if len(holds) <= _SOUGHT_MAX else external.contains('"id"'),
        )
    )
    called = [(item_id, _read_id(text)) for item_id, number, text in rows if (item_id, number) != beside]
    wanted = frozenset(ids)
    return frozenset(each for item_id, each in called if each in wanted and counts(item_id))


def _read_id(external: object) -> str | None:
    try:
        found = json.loads(str(external)).get("id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return None if found is None else str(found)
