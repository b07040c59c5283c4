"""Rotations: the list, one of them step by step, and what a person decides of it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, NotFoundError, RefusedError
from worker.domain.paging import PageRequest
from worker.domain.proof import Proof
from worker.domain.rotation_groups import STATES_OF, RotationGroup
from worker.domain.states import RunStatus
from worker.domain.tracks import trace
from worker.rows.rotation_lists import RotationFilter
from worker.services.rotation.decisions import Decisions, RotationView
from worker.web.api.asking import asks, services_of
from worker.web.console.decisions import find_decisions
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.rotation_rows import find_kind, show_rotations
from worker.web.console.visits import Looks, PageRoute, Sent
from worker.web.console.workflows import link_workflow
from worker.web.drawings.track import draw_tall_track, draw_track
from worker.wording.reasons import say, say_each
from worker.wording.rotation_states import say_state
from worker.wording.shapes import describe_step
from worker.wording.times import say_clock
from worker.wording.tracks import name_rotation

router = APIRouter(prefix=f"{CONSOLE}/rotations", include_in_schema=False, route_class=PageRoute)
_GROUPS: Final = {
    RotationGroup.NEEDS_SOMEBODY: "Needs somebody",
    RotationGroup.MOVING: "Under way",
    RotationGroup.WAITING: "Waits for its time",
    RotationGroup.REPLACED: "Replaced",
    RotationGroup.NOT_REPLACED: "Not replaced",
    RotationGroup.CANCELLED: "Cancelled",
}
_PROOFS: Final = {
    Proof.PROVEN: "well",
    Proof.UNPROVEN: "rest",
    Proof.WAIVED: "rest",
    Proof.AWAITED: "rest",
    Proof.UNPROVABLE: "waits",
    Proof.PINNED: "waits",
    Proof.HELD: "rest",
}
Id = Annotated[str, Query(max_length=100)]


@dataclass(frozen=True, kw_only=True)
class ConsumerOnPage:
    """`proof`: how it stands towards the new value, and why. `link`: empty of what is no workflow."""

    name: str
    kind: str
    proof: str
    why: str
    next_run_at: datetime | None
    link: str


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
    page = services.lists.page_rotations(
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


@router.get("/{rotation_id}", **asks(Action.ROTATION_SEE))
def get_rotation(request: Request, visitor: Looks, rotation_id: str) -> Response:
    """One of them: how it stands, what can be decided, and how it came there."""
    return _show(request, visitor, rotation_id)


@router.post("/{rotation_id}/approve", **asks(Action.ROTATION_APPROVE))
def approve(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_APPROVE)
    decisions.approve(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "approved")


@router.post("/{rotation_id}/reject", **asks(Action.ROTATION_APPROVE))
def reject(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_APPROVE)
    decisions.reject(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "rejected")


@router.post("/{rotation_id}/cancel", **asks(Action.ROTATION_DECIDE))
def cancel(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_DECIDE)
    decisions.cancel(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "cancelled")


@router.post("/{rotation_id}/retry", **asks(Action.ROTATION_DECIDE))
def retry(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_DECIDE)
    decisions.retry(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "retried")


@router.post("/{rotation_id}/another", **asks(Action.ROTATION_DECIDE))
def make_another(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_DECIDE)
    decisions.retry(rotation_id, another=True, actor=visitor.principal.actor)
    return _back(rotation_id, "another")


@router.post("/{rotation_id}/rollback", **asks(Action.ROTATION_DECIDE))
def roll_back(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_DECIDE)
    decisions.roll_back(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "rolled-back")


@router.post("/{rotation_id}/accept", **asks(Action.ROTATION_ANSWER))
def accept(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_ANSWER)
    decisions.accept(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "accepted")


@router.post("/{rotation_id}/prove", **asks(Action.ROTATION_DECIDE))
def prove(request: Request, visitor: Looks, rotation_id: str, form: Sent) -> Response:
    """Runs the workflow while the browser waits; who works on the vault goes on by what came of it."""
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_DECIDE)
    outcome = decisions.prove(rotation_id, _read(form, "workflow"), actor=visitor.principal.actor)
    return _back(rotation_id, "proven" if outcome.status == RunStatus.COMPLETED else "not-proven")


@router.post("/{rotation_id}/extend", **asks(Action.ROTATION_DECIDE))
def extend(request: Request, visitor: Looks, rotation_id: str, form: Sent) -> Response:
    """To the end of a day, where the visitor is."""
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_DECIDE)
    actor = visitor.principal.actor

    def decide() -> None:
        decisions.extend(rotation_id, _read_day_end(_read(form, "until"), visitor), actor=actor)

    return _try(request, visitor, rotation_id, form, decide, path="extend", field="until", said="extended")


@router.post("/{rotation_id}/waive", **asks(Action.ROTATION_ANSWER))
def waive(request: Request, visitor: Looks, rotation_id: str, form: Sent) -> Response:
    return _waive(request, visitor, rotation_id, form, path="waive", workflow=_read(form, "workflow"))


@router.post("/{rotation_id}/waive-callers", **asks(Action.ROTATION_ANSWER))
def waive_callers(request: Request, visitor: Looks, rotation_id: str, form: Sent) -> Response:
    return _waive(request, visitor, rotation_id, form, path="waive-callers")


@router.post("/{rotation_id}/waive-check", **asks(Action.ROTATION_ANSWER))
def waive_check(request: Request, visitor: Looks, rotation_id: str, form: Sent) -> Response:
    return _waive(request, visitor, rotation_id, form, path="waive-check", check=True)


def _waive(
    request: Request,
    visitor: Visitor,
    rotation_id: str,
    form: FormData,
    *,
    path: str,
    workflow: str | None = None,
    check: bool = False,
) -> Response:
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_ANSWER)

    def decide() -> None:
        decisions.waive(
            rotation_id, workflow, check=check, why=_read(form, "why"), actor=visitor.principal.actor
        )

    return _try(request, visitor, rotation_id, form, decide, path=path, field="why", said="waived")


def _decisions(request: Request, visitor: Visitor, rotation_id: str, action: Action) -> Decisions:
    """What decides of a rotation, if the visitor may do this to it."""
    services = services_of(request)
    item_id = services.views.get_rotation(rotation_id).item_id
    services.principals.check_about(visitor.principal, item_id, action)
    return services.rotation.decisions


def _back(rotation_id: str, said: str) -> Response:
    return go(f"{CONSOLE}/rotations/{rotation_id}", said=said)


def _try(
    request: Request,
    visitor: Visitor,
    rotation_id: str,
    form: FormData,
    decide: Callable[[], None],
    *,
    path: str,
    field: str,
    said: str,
) -> Response:
    """What is wrong with what was filled in stands at its field, with what was filled in."""
    try:
        decide()
    except (InvalidInputError, RefusedError) as error:
        wrong = str(error).removeprefix("--")
        faulty = f"{path}-{_read(form, 'workflow')}"
        filled = {"faulty": faulty, "error": wrong[:1].upper() + wrong[1:], "filled": _read(form, field)}
        return _show(request, visitor, rotation_id, status=422, **filled)
    return _back(rotation_id, said)


def _read(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _read_day_end(text: str, visitor: Visitor) -> datetime:
    try:
        day = date.fromisoformat(text)
        return datetime.combine(day + timedelta(days=1), time(), visitor.zone)
    except (ValueError, OverflowError):
        raise InvalidInputError("choose a day, such as 2026-12-24") from None


def _show(
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
    decisions = _decisions(request, visitor, rotation_id, Action.ROTATION_SEE)
    view = decisions.view(rotation_id)
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
        return services_of(request).views.get_item(item_id).owners
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
