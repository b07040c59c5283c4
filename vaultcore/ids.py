"""Ids: a prefix that says what it names, and a lower-case ULID, so that ids sort by time. People write the
beginning of one.
"""

import re
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, select
from ulid import ULID

from vaultcore.errors import AmbiguousError

_BEGINNING: Final = re.compile(r"([a-z]+(?:_[a-z]+)?)_0[0-9a-hjkmnp-tv-z]{0,24}")
"""The first digit of a ULID is 0 until the year 10889."""
_ULID: Final = 26
_NAMED: Final = 5
ITEM_PREFIX: Final = "vlt"


def new_id(prefix: str, now: datetime) -> str:
    """`vlt_01h…`: the prefix, an underscore, and 26 characters that begin with `now` in milliseconds."""
    return f"{prefix}_{str(ULID.from_datetime(now)).lower()}"


def find_prefix(text: str) -> str | None:
    """Of a text that can be the beginning of an id, and is no whole one."""
    found = _BEGINNING.fullmatch(text)
    return None if found is None else found[1]


def find_whole(connection: Connection, ids: ColumnElement[str], given: str, *where: ColumnElement[bool]) -> str:
    """The id that begins so, the only one of these rows; `given` as it is, if none does. `AmbiguousError` names
    several.
    """
    size = given.index("_0") + 1 + _ULID
    begins = ids.between(given.ljust(size, "0"), given.ljust(size, "z"))
    query = select(ids).where(begins, *where).order_by(ids).limit(_NAMED + 1)
    found = list(connection.execute(query).scalars())
    if len(found) > 1:
        raise AmbiguousError(given, found[:_NAMED], more=len(found) > _NAMED)
    return found[0] if found else given
