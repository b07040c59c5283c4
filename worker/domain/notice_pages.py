"""Which page of the console a notice leads to: where its reader does what it asks for. Pure."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from worker.domain.notice_kinds import NoticeKind


def find_page(kind: str, data: Mapping[str, Any]) -> str:
    """Its path within the console, with the token behind a `#` where it collects a key: no server sees it.

    The mark of a token that is put in when the notice leaves (`PICKUP_MARK`) stays as it is.
    """
    if kind in (NoticeKind.PICKUP, NoticeKind.PICKUP_REMINDER):
        return f"/pickup#{quote(str(data.get('token', '')), safe='{}')}"
    if kind == NoticeKind.DIGEST:
        return f"/findings?owner={quote(str(data.get('owner', '')), safe='')}"
    if "rotation" in data:
        return f"/rotations/{quote(str(data['rotation']), safe='')}"
    if data.get("item"):
        return f"/items/{quote(str(data['item']), safe='')}"
    return "/"
