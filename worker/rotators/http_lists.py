"""What a service lists: every page of it, and whether that is all of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vaultcore.errors import Cause, TargetError
from worker.domain.json_paths import take_path
from worker.outbound import Response, only_looking
from worker.rotators import base
from worker.rotators.http_answers import IdReader, say_missing, take
from worker.rotators.http_pages import NextPage, add_parameter, explain_partial, find_next
from worker.rotators.http_pending import ask, is_unfinished
from worker.rotators.http_progress import JobProgress, judge_progress
from worker.rotators.http_requests import check_good, settings_of, write_url
from worker.rotators.http_settings import HttpSettings, Request

PAGES_MAX = 100
"""Pages of one list that are read at most."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One credential as it is listed; `raw` is the whole entry, of which another's need not have an id."""

    raw: Any = field(repr=False)
    read_id: Callable[[], str] = field(repr=False)

    def tells(self, path: str | None) -> Any:  # noqa: ANN401  # JSON
        """What lies at the path; None where nothing does."""
        try:
            return None if path is None else take_path(self.raw, path)
        except TargetError:
            return None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """`partial`: why there may be more; None: that is all. What is not in it is then not there."""

    entries: Sequence[Entry]
    partial: str | None


def list_all(request: Request, job: base.Job, *, what: str, none_is_empty: bool = False) -> Listing:
    """Every page, as far as the answers lead on; `TargetError` where one of them is no list.

    `none_is_empty`: not found (404, 410) says that nothing is listed.
    """
    settings = settings_of(job)
    ids = IdReader((job.old, job.new, *job.values.values()))
    entries: list[Entry] = []
    seen: set[tuple[str, str | None]] = set()
    step, unfinished = NextPage(), None
    for page in range(1, PAGES_MAX + 1):
        url = _write_step(request, job, step, what=what)
        if (url, step.cursor) in seen:
            return Listing(entries=entries, partial="it leads back to a page that was read")
        seen.add((url, step.cursor))
        with only_looking():
            answer = ask(request, job, what=what, cursor=step.cursor, at=url)
        if none_is_empty and answer.status in (404, 410):
            return Listing(entries=entries, partial=None)
        check_good(answer, request, what)
        entries += _read_page(answer, settings, ids, what)
        unfinished = unfinished or _explain_unfinished(answer, request)
        following = find_next(answer, settings, at=url)
        if not isinstance(following, NextPage):
            part = explain_partial(answer, settings, entries=len(entries), pages=page, at=url)
            said = following or unfinished or part
            return Listing(entries=entries, partial=said)
        if following.cursor is not None and not _takes_cursor(request, settings):
            why = "it goes on with a cursor, which neither find_cursor nor rotation.cursor takes"
            return Listing(entries=entries, partial=why)
        step = following
    return Listing(entries=entries, partial=f"it has more than {PAGES_MAX} pages")


def _explain_unfinished(answer: Response, request: Request) -> str | None:
    """What it says of itself, and not of its pages."""
    progress = judge_progress(answer.body)
    if progress is JobProgress.FAILED:
        return "it says that it failed"
    if progress is JobProgress.UNDER_WAY or is_unfinished(answer, request):
        return "it says that it is not done yet"
    return None


def _takes_cursor(request: Request, settings: HttpSettings) -> bool:
    return settings.find_cursor is not None or request.reads(("rotation", "cursor"))


def _write_step(request: Request, job: base.Job, step: NextPage, *, what: str) -> str:
    if step.url is not None:
        return step.url
    url = write_url(request, job, what=what, cursor=step.cursor)
    name = settings_of(job).find_cursor
    return url if name is None or step.cursor is None else add_parameter(url, name, step.cursor)


def _read_page(answer: Response, settings: HttpSettings, ids: IdReader, what: str) -> Iterator[Entry]:
    """Null is an empty list; any other answer than a list of ids is not taken for one."""
    head, star, tail = settings.find_ids.partition("*")
    if not star:
        alone = str(ids.check(take(answer, head, what, "find_ids"), head, what))
        yield Entry(raw=answer.body, read_id=lambda: alone)
        return
    found = take(answer, head.strip("."), what, "find_ids")
    if not isinstance(found, list | None):
        raise TargetError(say_missing(what, "find_ids", f"{head}*"), cause=Cause.MISTAKE)
    path = tail.strip(".")
    for raw in found or ():
        yield Entry(raw=raw, read_id=partial(_read_id, raw, path, ids, what))


def _read_id(raw: Any, path: str, ids: IdReader, what: str) -> str:  # noqa: ANN401  # JSON
    try:
        found = take_path(raw, path)
    except TargetError:
        found = None
    return str(ids.check(found, path, what, entry=True))
