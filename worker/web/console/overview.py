"""The first page: what needs somebody, what happened last night, what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from worker.bootstrap import Services
from worker.domain.states import NightOutcome
from worker.services.night.last_nights import NightSummary
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, go, show
from worker.web.console.needs import show_approval, show_problem, show_turn
from worker.web.console.rotation_rows import RotationRow, show_rotations
from worker.web.console.visits import Looks, PageRoute

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)

_DECIDES: Final = (Action.ROTATION_APPROVE, Action.ROTATION_DECIDE, Action.ITEM_REPLACE)


@dataclass(frozen=True, kw_only=True)
class NightStrip:
    """`kind` and `state`: how it stands, by shape and in words. `more`: rotations beside those of the rows."""

    summary: NightSummary
    kind: str
    state: str
    rows: list[RotationRow]
    more: int


@router.get("/", **asks(Action.NIGHT_SEE))
def overview(request: Request, visitor: Looks) -> Response:
    """Green only if nothing is wrong, and nothing waits."""
    services = services_of(request)
    found = services.overview.outlook.read(seen_by=visitor.principal)
    now = services.clock()
    needs = [show_problem(services, one, visitor) for one in found.problems]
    needs += [show_turn(one, visitor, now) for one in found.owners_turn]
    return show(
        request,
        "overview.html",
        needs=needs + [show_approval(services, one, visitor, now) for one in found.approvals],
        decides=any(map(visitor.may, _DECIDES)),
        outlook=found,
        nights=_show_nights(services, services.overview.last_nights.read(seen_by=visitor.principal)),
    )


@router.get("/night", **asks(Action.NIGHT_SEE))
def show_night(request: Request, visitor: Looks) -> Response:
    """The last night alone: what the first page asks for again and again while it runs."""
    services = services_of(request)
    found = services.overview.last_nights.read(seen_by=visitor.principal)
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
            kind=_judge(one)[0],
            state=_judge(one)[1],
            rows=show_rotations(services, one.rotations),
            more=one.opened - len(one.rotations),
        )
        for one in found
    ]


def _judge(summary: NightSummary) -> tuple[str, str]:
    if not summary.is_over:
        return ("rest", "under way") if summary.night.scanned_at else ("rest", "looks through the vault")
    if summary.night.outcome == NightOutcome.GOOD:
        return "well", "ended well"
    return "wrong", "did not end well"
