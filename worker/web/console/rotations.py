"""The list of rotations: newest first, filtered by what stands in its address."""

from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vaultcore.access import Action
from worker.domain.paging import PageRequest, Total
from worker.domain.rotation_groups import STATES_OF, RotationGroup
from worker.rows.rotation_lists import RotationFilter
from worker.web.api.asking import asks, services_of
from worker.web.console.frame import CONSOLE, Visitor, show
from worker.web.console.rotation_rows import show_rotations
from worker.web.console.visits import Looks, PageRoute

router = APIRouter(prefix=f"{CONSOLE}/rotations", include_in_schema=False, route_class=PageRoute)
_GROUPS: Final = {
    RotationGroup.NEEDS_SOMEBODY: "Needs somebody",
    RotationGroup.MOVING: "Under way",
    RotationGroup.WAITING: "Waits for its time",
    RotationGroup.REPLACED: "Replaced",
    RotationGroup.NOT_REPLACED: "Not replaced",
    RotationGroup.CANCELLED: "Cancelled",
}


@router.get("", **asks(Action.ROTATION_SEE))
def list_rotations(
    request: Request,
    visitor: Looks,
    group: Annotated[str, Query(max_length=30)] = "",
    item: Annotated[str, Query(max_length=100)] = "",
    night: Annotated[str, Query(max_length=40)] = "",
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """Newest first, a page at a time; everything that it shows is in its address."""
    services = services_of(request)
    wanted = next((one for one in RotationGroup if one == group), None)
    slot = _read_slot(night)
    page = services.lookup.lists.page_rotations(
        RotationFilter(
            states=frozenset() if wanted is None else STATES_OF[wanted], item=item.strip() or None, night=slot
        ),
        PageRequest(cursor=cursor or None, counted=True),
        seen_by=visitor.principal,
    )
    chosen = {"group": wanted or "", "item": item.strip(), "night": "" if slot is None else night}
    return show(
        request,
        "rotations.html",
        rows=show_rotations(services, page.rows),
        total=page.total,
        waiting=None
        if chosen["group"] or chosen["item"] or chosen["night"]
        else _count_waiting(request, visitor),
        groups=_GROUPS,
        wanted=wanted,
        item=item.strip(),
        night=slot,
        first=_address(chosen),
        without={name: _address({**chosen, name: ""}) for name in chosen},
        next=page.next and _address({**chosen, "cursor": page.next}),
        cursor=cursor,
    )


def _address(chosen: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"{CONSOLE}/rotations" + (f"?{query}" if query else "")


def _read_slot(text: str) -> datetime | None:
    """The night that an address names; None: it names none."""
    try:
        slot = datetime.fromisoformat(text)
    except ValueError:
        return None
    return slot if slot.tzinfo is not None else None


def _count_waiting(request: Request, visitor: Visitor) -> Total | None:
    """How many need somebody."""
    wanted = RotationFilter(states=STATES_OF[RotationGroup.NEEDS_SOMEBODY])
    page = services_of(request).lookup.lists.page_rotations(
        wanted, PageRequest(limit=1, counted=True), seen_by=visitor.principal
    )
    return page.total
