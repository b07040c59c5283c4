"""The first page: what needs somebody, what happened last night, what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from worker.bootstrap import Services
from worker.services.night.summaries import NightSummary
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.needs import show_approval, show_problem, show_turn
from worker.web.console.rotation_rows import RotationRow, show_rotations
from worker.web.console.visits import Looks, PageRoute
from worker.wording.item_states import Tone
from worker.wording.nights import Counted, describe_summary, list_counts, say_night

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)

_SHOWN: Final = 10
"""Of each that needs somebody; the others are counted."""
_DECIDES: Final = (Action.ROTATION_APPROVE, Action.ROTATION_DECIDE, Action.ITEM_REPLACE)


@dataclass(frozen=True, kw_only=True)
class NightStrip:
    """`kind` and `state`: how it stands, by shape and in words. `counts`: what came of it, each a number, its
    words, and whether it went wrong. `more`: rotations beside those of the rows.
    """

    summary: NightSummary
    kind: Tone
    state: str
    counts: list[Counted]
    rows: list[RotationRow]
    more: int


@router.get("/", **asks(Action.NIGHT_SEE))
def overview(request: Request, visitor: Looks) -> Response:
    """Green only if nothing is wrong, and nothing waits."""
    services = services_of(request)
    found = services.overview.outlook.read(seen_by=visitor.principal, shown=_SHOWN)
    now = services.clock()
    needs = [show_problem(services, one, visitor) for one in found.problems]
    needs += [show_turn(one, visitor, now) for one in found.owners_turn]
    return show(
        request,
        "overview.html",
        needs=needs + [show_approval(services, one, visitor, now) for one in found.approvals],
        decides=any(map(visitor.may, _DECIDES)),
        outlook=found,
        nights=_show_nights(services, services.overview.night_summaries.last(seen_by=visitor.principal)),
    )


@router.get("/night", **asks(Action.NIGHT_SEE))
def show_night(request: Request, visitor: Looks) -> Response:
    """The last night alone: what the first page asks for again and again while it runs."""
    services = services_of(request)
    found = services.overview.night_summaries.last(seen_by=visitor.principal)
    return show(request, "night.html", nights=_show_nights(services, found))


@router.post("/night", **asks(Action.NIGHT_RUN))
def begin_night(request: Request) -> Response:
    """Looks through the vault now, and opens what is due. Whoever works on the vault goes on with that."""
    services = services_of(request)
    services.night.nights.begin(services.clock(), by_hand=True)
    return go(f"{CONSOLE}/", said="night-begun")


def _show_nights(services: Services, found: Sequence[NightSummary]) -> list[NightStrip]:
    return [
        NightStrip(
            summary=one,
            kind=say_night(describe_summary(one))[0],
            state=say_night(describe_summary(one))[1],
            counts=list_counts(describe_summary(one)),
            rows=show_rotations(services, one.rotations),
            more=one.opened - len(one.rotations),
        )
        for one in found
    ]
