"""The header `Link` of a list's answer: where its other pages are. Pure."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx

_FIRST = re.compile(r"[01]?")
_PAGES = ("page", "pagenumber", "p")


def read_links(headers: Mapping[str, str]) -> Mapping[str, str]:
    """URLs by relation, in lower case; the first of each. `headers` have lower-case names, and any text."""
    raw = headers.get("link", "").encode(errors="replace")
    read = httpx.Response(200, headers=httpx.Headers([(b"link", raw)], encoding="utf-8")).links
    found: dict[str, str] = {}
    for relations, link in read.items():
        for relation in (relations or "").lower().split():
            found.setdefault(relation, link.get("url", ""))
    return found


def has_other_last(links: Mapping[str, str], at: str) -> bool:
    """Whether the last page is none that was read, where the one at that URL leads on to none: neither that
    one, nor the first.
    """
    last = links.get("last")
    if last is None:
        return False
    try:
        to = _read_url(last, at)
        known = [_read_url(links[name], at) for name in ("first", "self") if name in links]
        return to not in [_read_url(at, at), *known] and not ("first" not in links and _is_first(to))
    except ValueError:
        return True


def _read_url(url: str, at: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What tells pages of one list apart: a host is written in more than one way, and a query in any order."""
    parts = urlsplit(urljoin(at, url))
    return parts.path, tuple(sorted(parse_qsl(parts.query, keep_blank_values=True)))


def _is_first(to: tuple[str, tuple[tuple[str, str], ...]]) -> bool:
    numbers = [text for name, text in to[1] if re.sub(r"[^a-z]", "", name.lower()) in _PAGES]
    return any(_FIRST.fullmatch(text) for text in numbers)
