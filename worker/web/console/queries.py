"""What the address of a list says: its filters, and where its page begins."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from worker.domain.paging import Page, PageRequest

_MAX = 250
"""Characters of what is filtered by; a longer text is part of no name."""
_CURSOR_MAX = 2000


def read_filters(request: Request, *names: str) -> dict[str, str]:
    """By name, what was filled in."""
    given = {name: request.query_params.get(name, "").strip()[:_MAX] for name in names}
    return {name: text for name, text in given.items() if text}


def read_page(request: Request) -> PageRequest:
    """The page that is asked for."""
    cursor = request.query_params.get("cursor", "")[:_CURSOR_MAX]
    return PageRequest(cursor=cursor or None, counted=not cursor)


def link_pages(request: Request, filters: Mapping[str, str], page: Page[Any]) -> dict[str, str | None]:
    """The first page, and the one after this, with the same filters; None: there is none."""
    path = request.url.path
    first = f"{path}?{urlencode(filters)}" if filters else path
    following = None if page.next is None else f"{path}?{urlencode({**filters, 'cursor': page.next})}"
    return {"first": first if "cursor" in request.query_params else None, "next": following}


def link_without(request: Request, filters: Mapping[str, str]) -> dict[str, str]:
    """For each filter, the list without it."""
    path = request.url.path
    others = {name: {other: text for other, text in filters.items() if other != name} for name in filters}
    return {name: f"{path}?{urlencode(rest)}" if rest else path for name, rest in others.items()}
