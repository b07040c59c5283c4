"""One rotation: how it stands, what it waits for, what can be decided, and how it came there."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import NotFoundError
from worker.domain.proof import Proof
from worker.domain.tracks import trace
from worker.services.rotation.views import RotationView
from worker.web.api.about_rotation import check_about_rotation
from worker.web.api.asking import asks, services_of
from worker.web.console.decisions import find_decisions
from worker.web.console.frame import CONSOLE, Visitor, show
from worker.web.console.rotation_rows import find_kind
from worker.web.console.visits import Looks, PageRoute
from worker.web.console.workflows import link_workflow
from worker.web.drawings.track import draw_tall_track, draw_track
from worker.wording.item_states import Tone
from worker.wording.reasons import say, say_each
from worker.wording.rotation_states import say_state
from worker.wording.shapes import describe_step
from worker.wording.times import say_clock
from worker.wording.tracks import name_rotation

router = APIRouter(prefix=f"{CONSOLE}/rotations", include_in_schema=False, route_class=PageRoute)
_PROOFS: Final = {
    Proof.PROVEN: Tone.WELL,
    Proof.UNPROVEN: Tone.REST,
    Proof.WAIVED: Tone.REST,
    Proof.AWAITED: Tone.REST,
    Proof.UNPROVABLE: Tone.WAITS,
    Proof.PINNED: Tone.WAITS,
    Proof.HELD: Tone.REST,
}


@dataclass(frozen=True, kw_only=True)
class ConsumerOnPage:
    """`proof`: how it stands towards the new value, and why. `link`: empty of what is no workflow."""

    name: str
    kind: Tone
    proof: str
    why: str
    next_run_at: datetime | None
    link: str


@router.get("/{rotation_id}", **asks(Action.ROTATION_SEE))
def get_rotation(request: Request, visitor: Looks, rotation_id: str) -> Response:
    """One of them: how it stands, what can be decided, and how it came there."""
    return show_rotation(request, visitor, rotation_id)


def show_rotation(
    request: Request,
    visitor: Visitor,
    rotation_id: str,
    *,
    status: int = 200,
    faulty: str = "",
    error: str = "",
    filled: str = "",
) -> Response:
    """`faulty`: the decision in whose form something is wrong, by its key."""
    services = services_of(request)
    check_about_rotation(request, visitor.principal, rotation_id, Action.ROTATION_SEE)
    view = services.rotation.views.view(rotation_id)
    rotation = view.rotation
    stops = trace(rotation, view.steps)

    def say_time(moment: datetime) -> str:
        local, today = moment.astimezone(visitor.zone), services.clock().astimezone(visitor.zone)
        return f"{local:%H:%M}" if local.date() == today.date() else f"{local:%-d %b %H:%M}"

    owners = _find_owners(request, rotation.item_id)
    name = name_rotation(rotation)
    return show(
        request,
        "rotation.html",
        status=status,
        rotation=rotation,
        item_is_there=owners is not None,
        kind=find_kind(rotation),
        state=say_state(rotation),
        reason=say(rotation.reason),
        waits_for=say_each(rotation.waits_for),
        last_error=say(rotation.last_error),
        zone=say_clock(services.clock(), visitor.zone).rpartition(" ")[2],
        track=draw_track(stops, name, say_time),
        tall_track=draw_tall_track(stops, name, say_time),
        steps=[describe_step(one) for one in view.steps],
        consumers=_show_consumers(view),
        decisions=find_decisions(view, visitor, owners or ()),
        faulty=faulty,
        error=error,
        filled=filled,
    )


def _find_owners(request: Request, item_id: str) -> tuple[str, ...] | None:
    """Of the item, by name; None: it is gone."""
    try:
        return services_of(request).lookup.views.get_item(item_id).owners
    except NotFoundError:
        return None


def _show_consumers(view: RotationView) -> list[ConsumerOnPage]:
    return [
        ConsumerOnPage(
            name=one.name,
            kind=_PROOFS[one.proof],
            proof=one.proof.value,
            why=say(one.why),
            next_run_at=None if one.consumer is None else one.consumer.next_run_at,
            link="" if one.consumer is None else link_workflow(one.name, one.consumer.id),
        )
        for one in view.consumer_proofs
    ]
