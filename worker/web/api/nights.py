"""`/nightkey/nights` and `/nightkey/outlook`: how nights went, what is still open, and what comes."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from vaultcore.access import Action
from worker.rows.nights import Night
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.values import Time
from worker.web.api.wire import leave_out
from worker.wording.nights import describe_outlook, describe_summary, describe_whole_night

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


class SummedNight(ShownNight):
    """`found` is of the whole vault, and the others of what you may see: rotations that it `opened`; those that
    have a new value (`rotated`), whose old value may go (`proven`), that have ended on the old one
    (`rolled_back`), or need a person (`waiting`); owners whom its digest `told` of something.
    """

    opened: int
    found: int
    rotated: int
    proven: int
    rolled_back: int
    waiting: int
    told: int


class NightRotation(BaseModel):
    """`stands`: how, in words. `why`: what went wrong, or is waited for; `since`: when that began, or ended."""

    id: str
    item: str
    item_id: str
    state: str
    stands: str
    why: list[str]
    since: datetime
    next_at: datetime | None
    finished_at: datetime | None


class WholeNight(SummedNight):
    """`problems`: what was wrong when it had ended; none: it ended well, or has not ended. `rotations`: its
    first; `unread`: what of them cannot be read; `more`: how many there are beside those.
    """

    problems: list[ShownProblem]
    rotations: list[NightRotation]
    unread: list[str]
    more: int


class OpenProblem(ShownProblem):
    """`command`: of the command line, which helps."""

    command: str | None


class WaitingApproval(BaseModel):
    """A rotation that waits for somebody to agree. `ends_at`: when it is asked for no longer."""

    id: str
    item: str
    item_id: str
    ends_at: datetime | None


class OwnersTurn(BaseModel):
    """An item that has lapsed and nobody has said that they know of; asked for by its owner, also one that is
    due and theirs to replace. `detail`: a sentence.
    """

    item: str
    item_id: str
    expires_at: datetime | None
    detail: str
    command: str | None


class ShownComingNight(BaseModel):
    """`due`: items whose replacement it begins or asks for; `lapse`: those that lapse before it, and after the
    one before.
    """

    slot: datetime
    due: int
    lapse: int


class ShownOutlook(BaseModel):
    """`problems`, `approvals` and `owners_turn`: what waits for somebody now. All is of what you may see, the
    first 200 of each; `more`: how many there are beside those. `next_expiry_at` null: nothing lapses.
    """

    problems: list[OpenProblem]
    approvals: list[WaitingApproval]
    owners_turn: list[OwnersTurn]
    more: int
    items: int
    next_expiry_at: datetime | None
    nights: list[ShownComingNight]


@router.get("/nights", **asks(Action.NIGHT_SEE))
def list_nights(
    request: Request,
    response: Response,
    principal: Asker,
    before: Time | None = None,
    size: Annotated[int, Query(ge=1, le=NIGHTS_MAX)] = 25,
) -> list[SummedNight]:
    """The last ones first; `before`: the slot that a page ended with."""
    summaries = services_of(request).overview.night_summaries
    found = summaries.list_all(before=before, limit=size, seen_by=principal)
    return [SummedNight(**describe_summary(one)) for one in leave_out(found, response)]


@router.post("/nights", status_code=202, **starts(Action.NIGHT_RUN))
def begin_night(request: Request, principal: Asker) -> ShownNight:
    """Begins a night now: scans, and opens what is due. Whoever works on the vault goes on with that, and
    ends it.
    """
    services = services_of(request)
    slot = services.clock()
    services.night.nights.begin(slot, by_hand=True)
    return show_night(services.overview.night_summaries.get(slot, seen_by=principal).night)


@router.get("/nights/last", **asks(Action.NIGHT_SEE))
def show_last_nights(request: Request, principal: Asker) -> list[WholeNight]:
    """The last one that began at its time, and the last that somebody has begun by hand since then, if any."""
    overview = services_of(request).overview
    found = overview.night_summaries.last(seen_by=principal)
    sees = overview.visible.find(principal, {subject for one in found for subject in _list_subjects(one.night)})
    return [WholeNight(**describe_whole_night(one, sees=sees)) for one in found]


@router.get("/nights/{slot}", **asks(Action.NIGHT_SEE))
def get_night(request: Request, principal: Asker, slot: Time) -> WholeNight:
    overview = services_of(request).overview
    found = overview.night_summaries.get(slot, seen_by=principal)
    sees = overview.visible.find(principal, _list_subjects(found.night))
    return WholeNight(**describe_whole_night(found, sees=sees))


@router.get("/outlook", **asks(Action.NIGHT_SEE))
def show_outlook(request: Request, principal: Asker) -> ShownOutlook:
    """What waits for somebody now, and what the next seven nights hold."""
    services = services_of(request)
    found = services.overview.outlook.read(seen_by=principal)
    return ShownOutlook(**describe_outlook(found, services.clock()))


def _list_subjects(night: Night) -> set[str]:
    """What the problems that are stored of it are about."""
    return {str(one.get("subject", "")) for one in night.problems}


def show_night(night: Night) -> ShownNight:
    return ShownNight(**{name: getattr(night, name) for name in ShownNight.model_fields})
