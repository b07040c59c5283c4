"""Whether a list goes on after an answer, and where; and whether it says itself that it is not all. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from vaultcore.errors import TargetError
from worker.domain.json_paths import take_path
from worker.outbound import Response
from worker.rotators.http_heads import find_range_total, walk_headers
from worker.rotators.http_links import has_other_last, read_links
from worker.rotators.http_settings import HttpSettings

_CURSOR_MAX = 4000
_PORTS = {"http": 80, "https": 443}
_BESIDE = frozenset(
    {"meta", "metadata", "pagination", "paging", "pageinfo", "links", "page", "responsemetadata"}
)
"""Objects beside a list in which it is said how it goes on."""
_MORE = frozenset({"hasmore", "hasnext", "hasnextpage", "morepages", "moreresults"})
_TRUTH = {"true": True, "1": True, "false": False, "0": False, "none": False, "": False}
_LAST = frozenset({"last", "islast", "lastpage", "islastpage"})
"""Where true or false lies there: others have the last page's URL or number there."""
_CUT = frozenset({"truncated", "istruncated", "incomplete", "incompleteresults", "partial"})
_NEXT = frozenset(
    "next nextpage nextpagetoken nextpagelink nextcursor nexttoken nexturl nextlink nextmarker odatanextlink "
    "continuationtoken nextcontinuationtoken continue mscontinuation".split()
)
_TOTALS = frozenset(
    "total count totalcount totalitems totalresults totalrecords totalentries totalelements totalsize "
    "odatacount resourcecount itemcount itemstotal recordcount recordstotal resultcount totalrows "
    "totalhits".split()
)
_PAGES = frozenset("totalpages pages pagecount pagestotal pagetotal numpages lastpage".split())
_NUMBER = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, kw_only=True)
class NextPage:
    """The next page: a whole URL, or a cursor to ask with."""

    url: str | None = None
    cursor: str | None = None


def find_next(answer: Response, settings: HttpSettings, *, at: str) -> NextPage | str | None:
    """Where the list that was asked for at that URL goes on; a sentence, why it cannot be followed; None: it
    does not say that it does.
    """
    link = read_links(answer.headers).get("next")
    if link is not None:
        return lead_on(link, at)
    if settings.find_next is None:
        return None
    found = _look(answer, settings.find_next)
    if _is_empty(found) or _says_end(answer, settings):
        return None
    if isinstance(found, bool) or not isinstance(found, str | int):
        return f"it goes on, and at {settings.find_next} lies neither a URL nor a cursor"
    text = str(found)
    if not text.isprintable() or len(text) > _CURSOR_MAX:
        return f"it goes on, and what lies at {settings.find_next} cannot be asked with"
    if settings.find_cursor is None and text.startswith(("http://", "https://", "/", "?")):
        return lead_on(text, at)
    return NextPage(cursor=text)


def explain_partial(
    answer: Response, settings: HttpSettings, *, entries: int, pages: int, at: str
) -> str | None:
    """How the last answer, to that URL, says itself that what was read is a part: so many entries, on so many
    pages. None: it does not.
    """
    if answer.status == 206:
        return "it says that it is a part (206)"
    says_end = _says_end(answer, settings)
    for key, spelled, said in _walk_said(answer, settings):
        if spelled in _CUT and (said is True or str(said).lower() == "true"):
            return f"it says that it is a part ({key})"
        if _says_more(spelled, said) or (spelled in _NEXT and not _is_empty(said) and not says_end):
            return f"it says that it goes on ({key}), and find_next does not name where"
        if "*" in settings.find_ids and _counts_more(spelled, said, entries=entries, pages=pages):
            return f"it says that there are more than were read ({key})"
    if "*" not in settings.find_ids:
        return None
    if not says_end and has_other_last(read_links(answer.headers), at):
        return "it says that its last page is another (link)"
    return _explain_range(answer, entries)


def _explain_range(answer: Response, entries: int) -> str | None:
    total = find_range_total(answer.headers)
    if total == "*":
        return "it says that it is a range, and not of how many (content-range)"
    more = isinstance(total, int) and total > entries
    return "it says that there are more than were read (content-range)" if more else None


def add_parameter(url: str, name: str, text: str) -> str:
    """The URL with that parameter in its query, in the place of one that it had."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, text)])))


def lead_on(url: str, at: str) -> NextPage | str:
    """Only to where the list itself was asked for: what opens it is nobody else's."""
    if not url.isprintable() or len(url) > _CURSOR_MAX:
        return "it goes on at something that is not a URL"
    try:
        to = urljoin(at, url)
        same = _origin(to) == _origin(at)
    except ValueError:
        return "it goes on at something that is not a URL"
    return NextPage(url=to) if same else "it goes on at another place, which is not followed"


def _origin(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    login = parts.netloc.rpartition("@")[0]
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), login


def _look(answer: Response, path: str) -> Any:  # noqa: ANN401  # JSON
    where, separator, name = path.partition(":")
    if separator and where == "header":
        return answer.headers.get(name.lower())
    try:
        return take_path(answer.body, path)
    except TargetError:
        return None


def _says_end(answer: Response, settings: HttpSettings) -> bool:
    """Some give a cursor to the last page as well, and say beside it that there is no more."""
    told = [_says_more(spelled, said) for _, spelled, said in _walk_said(answer, settings)]
    return False in told and True not in told


def _says_more(spelled: str, said: Any) -> bool | None:  # noqa: ANN401  # JSON
    """None: it says nothing of it."""
    if spelled in _MORE:
        return _TRUTH.get(str(said).lower())
    return not said if spelled in _LAST and isinstance(said, bool) else None


def _counts_more(spelled: str, said: Any, *, entries: int, pages: int) -> bool:  # noqa: ANN401  # JSON
    """Pages are counted as they were read: some number them from 0."""
    read = entries if spelled in _TOTALS else pages if spelled in _PAGES else None
    if read is None or isinstance(said, bool) or not isinstance(said, str | int):
        return False
    return _NUMBER.fullmatch(str(said)) is not None and int(said) > read


def _is_empty(said: Any) -> bool:  # noqa: ANN401  # JSON
    """Nothing, or nothing but names for it: `{"href": null}`."""
    if isinstance(said, dict | list):
        return all(map(_is_empty, said.values() if isinstance(said, dict) else said))
    return said in (None, "", False)


def _walk_said(answer: Response, settings: HttpSettings) -> Iterator[tuple[str, str, Any]]:
    """(name, as it is compared, what lies there) of all that stands beside the list, from the outside in."""
    yield from ((name, _spell(bare), said) for name, bare, said in walk_headers(answer.headers))
    part = answer.body
    for name in [*settings.find_ids.partition("*")[0].strip(".").split("."), ""]:
        if not isinstance(part, dict):
            return
        for key, said in part.items():
            yield key, _spell(key), said
            if _spell(key) in _BESIDE and isinstance(said, dict):
                yield from ((inner, _spell(inner), deep) for inner, deep in said.items())
        part = part.get(name)


def _spell(key: str) -> str:
    return "".join(char for char in key.lower() if char.isalnum())
