"""`/nightkey/status` and `/nightkey/calendar`: how things stand, and what comes."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NotFoundError
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.nights import ShownNight, ShownProblem, show_night
from worker.wording.problems import describe

router = APIRouter(prefix="/nightkey", tags=["status"], route_class=AskedRoute)


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


@router.get("/status", **asks(Action.NIGHT_SEE))
def show_status(request: Request, principal: Asker) -> Standing:
    """What is wrong, the last night, and how much there is of what."""
    services = services_of(request)
    found = services.overview.status.read(seen_by=principal)
    sees = services.overview.visible.find(principal, {one.subject for one in found.problems})
    problems = [
        ShownProblem(kind=one.kind, subject=one.subject, detail=describe(one))
        for one in found.problems
        if sees(one.subject, one.kind)
    ]
    seen = services.lookup.lists.find_seen(principal)
    return Standing(
        good=not problems,
        problems=problems,
        last_night=found.last_night and show_night(found.last_night),
        by_hand=found.by_hand and show_night(found.by_hand),
        next_night=found.next_night,
        items=found.items,
        workflows=found.workflows,
        rotations=found.rotations,
        notices=found.notices,
        findings=[
            StandingFinding(**one) for one in found.findings if seen is None or one["item_id"] in seen.ids
        ],
    )


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
