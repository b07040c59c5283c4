"""How things look on the wire: times, pages of lists, and the marks by which a thing is changed."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Final, TypeVar
from urllib.parse import quote, urlencode

from fastapi import Depends, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from vaultcore.cursors import CURSOR_MAX
from vaultcore.errors import InvalidInputError, UnreadableError
from worker.domain.paging import LIMIT, LIMIT_MAX, Page, PageRequest
from worker.domain.revisions import ANY, Expected

T = TypeVar("T")
TOTAL: Final = "Nightkey-Total"
"""The header of a list that was asked how long it is: `1000+` where it is longer than is counted."""
_MARK: Final = re.compile(r'(W/)?"[\x21\x23-\x7e]*"')
UNREADABLE: Final = "Nightkey-Unreadable"
"""The header of a list in which rows are missing: how many."""


def show_time(time: datetime) -> str:
    """RFC 3339, UTC, with microseconds."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def show_time_or_none(time: datetime | None) -> str | None:
    return None if time is None else show_time(time)


class PageQuery(BaseModel):
    """What every list takes. `sort`: a column, with `-` before it for the other direction; `cursor`: from the
    link `next` of a page, with the same filter and order; `total`: say how many there are, too.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sort: str | None = Field(default=None, max_length=40)
    limit: int = Field(default=LIMIT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(default=None, max_length=CURSOR_MAX)
    total: bool = False

    @property
    def page(self) -> PageRequest:
        return PageRequest(sort=self.sort, limit=self.limit, cursor=self.cursor, counted=self.total)


def give_page(page: Page[T], request: Request, response: Response) -> list[T]:
    """The rows of a page that can be read; headers lead to the next one, and say how many there are in all and
    how many on this page cannot be read.
    """
    if page.next is not None:
        response.headers["Link"] = f'<{next_page(request, page.next)}>; rel="next"'
    if page.total is not None:
        response.headers[TOTAL] = f"{page.total.number}{'+' if page.total.more else ''}"
    return leave_out(page.rows, response)


def next_page(request: Request, cursor: str, *, name: str = "cursor") -> str:
    """The same path with all that was asked, and the cursor."""
    asked = [(key, value) for key, value in request.query_params.multi_items() if key != name]
    return f"{quote(request.url.path, safe='/%')}?{urlencode([*asked, (name, cursor)])}"


def leave_out(found: Iterable[T | UnreadableError], response: Response) -> list[T]:
    """What of a list can be read. A header says how many rows cannot, or were edited; without it the list is
    whole.
    """
    listed = list(found)
    read = [one for one in listed if not isinstance(one, UnreadableError)]
    if len(read) < len(listed):
        response.headers[UNREADABLE] = str(len(listed) - len(read))
    return read


def show_revision(revision: str, response: Response) -> None:
    """By this, who changes the thing later may say which state of it they have seen."""
    response.headers["ETag"] = f'"{revision}"'


_IF_MATCH: Final = Header(
    alias="If-Match",
    description="The ETag of an earlier answer: changed is only what is still as it was then; otherwise 412.",
    examples=['"3f2a91c04b5d6e7f"'],
)


def expect_revision(request: Request, _given: Annotated[str | None, _IF_MATCH] = None) -> Expected | None:
    """What `If-Match` says, in however many lines it came; None: nothing. A weak mark is none of ours, and so
    is never met.
    """
    said = request.headers.getlist("If-Match")
    if not said:
        return None
    marks = [mark.strip() for mark in ",".join(said).split(",") if mark.strip()]
    if marks == [ANY]:
        return frozenset({ANY})
    if not marks or any(not _MARK.fullmatch(mark) for mark in marks):
        raise InvalidInputError('if-match: give the ETag of an answer as it was, such as "3f2a…", or *')
    return frozenset(mark.strip('"') for mark in marks if not mark.startswith("W/"))


Seen = Annotated[Expected | None, Depends(expect_revision)]
"""For routes that change something: which states of it the caller would change."""
