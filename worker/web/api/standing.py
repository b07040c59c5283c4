"""`/nightkey/status`, `/nightkey/nights` and `/nightkey/calendar`: how things stand, how nights went, what
comes.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NotFoundError
from worker.domain.reasons import show_reason
from worker.rows.nights import Night
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.values import Time
from worker.web.api.wire import leave_out
from worker.wording import describe, say

router = APIRouter(prefix="/nightkey", tags=["nights"], route_class=AskedRoute)
NIGHTS_MAX = 100


class ShownProblem(BaseModel):
    """`kind`: a code; `detail`: a sentence, or what was stored of it then."""

    kind: str
    subject: str
    detail: str


class ShownNight(BaseModel):
    """`slot`: when it was to begin, or was begun by hand, and its id. `scanned_at` null: its scan is under
    way, or was cut off; `done_at` null: its rotations still move.
    """

    slot: datetime
    started_at: datetime
    scanned_at: datetime | None
    done_at: datetime | None
    outcome: str | None
    by_hand: bool
    counts: dict[str, int]


class WholeNight(ShownNight):
    """`problems`: what was wrong when it had ended; none: it ended well, or has not ended."""

    problems: list[ShownProblem]


class StandingFinding(BaseModel):
    id: str
    kind: str
    item: str | None
    item_id: str | None
    workflow: str | None
    detail: str
    opened_at: datetime


class Standing(BaseModel):
    """`good`: nothing that you may see is wrong. Counts are of the whole vault; problems and findings of what
    you may see, worst first.
    """

    good: bool
    problems: list[ShownProblem]
    last_night: ShownNight | None
    by_hand: ShownNight | None
    next_night: datetime
    items: int
    workflows: int
    rotations: dict[str, int]
    notices: dict[str, int]
    findings: list[StandingFinding]


class CalendarResponse(Response):
    media_type = "text/calendar"


@router.get("/status", tags=["status"], **asks(Action.NIGHT_SEE))
def show_status(request: Request, principal: Asker) -> Standing:
    """What is wrong, the last night, and how much there is of what."""
    services = services_of(request)
    found = services.overview.status.read()
    sees = services.overview.visible.find(principal, {one.subject for one in found.problems})
    problems = [
        ShownProblem(kind=one.kind, subject=one.subject, detail=describe(one))
        for one in found.problems
        if sees(one.subject, one.kind)
    ]
    seen = services.lists.find_seen(principal)
    return Standing(
        good=not problems,
        problems=problems,
        last_night=found.last_night and _show(found.last_night),
        by_hand=found.by_hand and _show(found.by_hand),
        next_night=found.next_night,
        items=found.items,
        workflows=found.workflows,
        rotations=found.rotations,
        notices=found.notices,
        findings=[
            StandingFinding(**one) for one in found.findings if seen is None or one["item_id"] in seen.ids
        ],
    )


@router.get("/nights", **asks(Action.NIGHT_SEE))
def list_nights(
    request: Request,
    response: Response,
    before: Time | None = None,
    size: Annotated[int, Query(ge=1, le=NIGHTS_MAX)] = 25,
) -> list[ShownNight]:
    """The last ones first; `before`: the slot that a page ended with."""
    found = services_of(request).overview.nights.list_all(before=before, limit=size)
    return [_show(one) for one in leave_out(found, response)]


@router.post("/nights", status_code=202, **starts(Action.NIGHT_RUN))
def begin_night(request: Request) -> ShownNight:
    """Begins a night now: scans, and opens what is due. Whoever works on the vault goes on with that, and
    ends it.
    """
    services = services_of(request)
    slot = services.clock()
    services.night.nights.begin(slot, by_hand=True)
    return _show(services.overview.nights.get(slot))


@router.get("/nights/{slot}", **asks(Action.NIGHT_SEE))
def get_night(request: Request, principal: Asker, slot: Time) -> WholeNight:
    overview = services_of(request).overview
    found = overview.nights.get(slot)
    sees = overview.visible.find(principal, {str(one.get("subject", "")) for one in found.problems})
    return WholeNight(**_show(found).model_dump(), problems=list(_show_problems(found, sees)))


@router.get(
    "/calendar",
    tags=["calendar"],
    response_class=CalendarResponse,
    responses={200: {"content": {"text/calendar": {"schema": {"type": "string"}}}}},
    **asks(Action.NIGHT_SEE),
)
def show_calendar(
    request: Request,
    principal: Asker,
    owner: Annotated[str | None, Query(max_length=100)] = None,
) -> CalendarResponse:
    """Coming expiries as iCalendar: of an owner's items, or of all. Who sees their own items alone names the
    owner, where they answer for several.
    """
    services = services_of(request)
    if not principal.sees_all:
        mine = sorted(principal.owners)
        if owner is None and len(mine) != 1:
            raise InvalidInputError(
                f"owner: you see what you answer for: name one of {', '.join(mine) or 'none'}"
            )
        owner = owner or mine[0]
        if owner not in mine:
            raise NotFoundError(f"there is no owner {owner[:60]!r} whose items you may see")
    written, problems = services.overview.calendar.write(owner)
    headers = {"Cache-Control": "no-store"} | ({"Nightkey-Unreadable": str(len(problems))} if problems else {})
    return CalendarResponse(written, headers=headers)


def _show(night: Night) -> ShownNight:
    return ShownNight(**{name: getattr(night, name) for name in ShownNight.model_fields})


def _show_problems(night: Night, sees: Callable[[str, str], bool]) -> Iterable[ShownProblem]:
    for stored in night.problems:
        kind, subject = str(stored.get("kind", "")), str(stored.get("subject", ""))
        if sees(subject, kind):
            error = stored.get("error")
            detail = say(show_reason(error)) if error else ""
            yield ShownProblem(kind=kind, subject=subject, detail=detail or kind)
