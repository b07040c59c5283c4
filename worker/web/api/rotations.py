"""`/nightkey/rotations`: what was replaced, step by step, and what a principal decides of it."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.domain.whys import WHY_MAX
from worker.rows.rotation_lists import RotationFilter
from worker.web.api.about_rotation import check_about_rotation, may_decide
from worker.web.api.asking import AskedRoute, Asker, asks, services_of, starts
from worker.web.api.consumers import ShownOutcome, show_outcome
from worker.web.api.values import Time
from worker.web.api.wire import PageQuery, give_page
from worker.wording.shapes import describe_consumer, describe_rotation, describe_step

router = APIRouter(prefix="/nightkey/rotations", tags=["rotations"], route_class=AskedRoute)


class ShownRotation(BaseModel):
    id: str
    item: str
    item_id: str
    state: str
    stuck_in: str | None
    rotator: str
    target: str | None
    reason: str
    asked_by: str
    approved_by: str | None
    emergency: bool
    old_version: int
    new_version: int | None
    candidates: int
    shown_by: str | None
    one_way: bool
    attempts: int
    outages: int
    cause: str | None
    error: str | None
    failing_since: datetime | None
    waits_for: list[str]
    next_at: datetime | None
    created_at: datetime
    activated_at: datetime | None
    finished_at: datetime | None


class ShownStep(BaseModel):
    at: datetime
    step: str
    result: str
    cause: str | None
    message: str


class ShownConsumer(BaseModel):
    workflow: str
    state: str
    why: str
    next_run_at: datetime | None


class ShownChoice(BaseModel):
    """`command`: of the command line, which does the same. `workflow`: where it is about one."""

    command: str
    does: str
    choice: str
    workflow: str | None


class WholeRotation(ShownRotation):
    steps: list[ShownStep]
    consumers: list[ShownConsumer]
    choices: list[ShownChoice]


class Wanted(BaseModel):
    """`emergency`: revoke the old value as soon as there is a new one, without tests and overlap."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    item: str = Field(min_length=1, max_length=250, examples=["prod-crm-token"])
    emergency: bool = False
    in_freeze: bool = False


class Proving(BaseModel):
    """`workflow`: the consumer, by name or id."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    workflow: str = Field(min_length=1, max_length=250, examples=["ticket-sync"])


class Again(BaseModel):
    """`another`: throw the new value away first, and make another."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    another: bool = False


class Until(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    until: Time = Field(examples=["2027-03-01T00:00:00Z"])


class Answer(BaseModel):
    """What somebody answers for: a workflow, the callers of a key, or (`check`) that the new value works."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    why: str = Field(min_length=1, max_length=WHY_MAX, examples=["it runs once a year, and was tried by hand"])
    workflow: str | None = Field(default=None, max_length=250, examples=["yearly-report"])
    check: bool = False


class RotationQuery(PageQuery):
    """`item`: by name or id. `open`: those that have not ended, or those that have."""

    state: list[State] = Field(default=[])
    item: str | None = Field(default=None, max_length=250)
    owner: list[str] = Field(default=[], max_length=100)
    open: bool | None = None
    opened_after: Time | None = None
    opened_before: Time | None = None

    @property
    def wanted(self) -> RotationFilter:
        return RotationFilter(
            states=frozenset(self.state),
            item=self.item,
            owners=frozenset(self.owner),
            open=self.open,
            opened_after=self.opened_after,
            opened_before=self.opened_before,
        )


@router.get("", **asks(Action.ROTATION_SEE))
def list_rotations(
    request: Request, response: Response, principal: Asker, query: Annotated[RotationQuery, Query()]
) -> list[ShownRotation]:
    """Those that the principal may see, newest first unless `sort` says otherwise."""
    page = services_of(request).lookup.lists.page_rotations(query.wanted, query.page, seen_by=principal)
    return [_show(one) for one in give_page(page, request, response)]


@router.post("", status_code=202, **starts(Action.ITEM_ROTATE))
def start(request: Request, principal: Asker, wanted: Wanted) -> ShownRotation:
    """Opens a rotation; whoever works on the vault goes on with it."""
    services = services_of(request)
    action = Action.ITEM_EMERGENCY if wanted.emergency else Action.ITEM_ROTATE
    item = services.access.principals.find_item(principal, wanted.item, action)
    if wanted.emergency:
        return _show(services.rotation.opening.request_emergency(item.id, asked_by=principal.actor))
    opened = services.rotation.opening.request(item.id, asked_by=principal.actor, in_freeze=wanted.in_freeze)
    return _show(opened)


@router.get("/{rotation_id}", **asks(Action.ROTATION_SEE))
def get_rotation(request: Request, principal: Asker, rotation_id: str) -> WholeRotation:
    """One with its steps, who uses the value, and what a person can do."""
    check_about_rotation(request, principal, rotation_id, Action.ROTATION_SEE)
    found = services_of(request).rotation.views.view(rotation_id)
    return WholeRotation(
        **describe_rotation(found.rotation),
        steps=[ShownStep(**describe_step(one)) for one in found.steps],
        consumers=[ShownConsumer(**describe_consumer(one)) for one in found.consumer_proofs if not one.check],
        choices=[ShownChoice(**vars(one)) for one in found.choices],
    )


@router.post("/{rotation_id}/approve", **asks(Action.ROTATION_APPROVE))
def approve(request: Request, principal: Asker, rotation_id: str) -> ShownRotation:
    """Lets it begin; who asked for one that takes four eyes is refused."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_APPROVE)
    return _show(decisions.approve(rotation_id, actor=principal.actor))


@router.post("/{rotation_id}/reject", **asks(Action.ROTATION_APPROVE))
def reject(request: Request, principal: Asker, rotation_id: str) -> ShownRotation:
    """Ends one that waits for an approval; the night does not ask again for a while."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_APPROVE)
    return _show(decisions.reject(rotation_id, actor=principal.actor))


@router.post("/{rotation_id}/cancel", **asks(Action.ROTATION_DECIDE))
def cancel(request: Request, principal: Asker, rotation_id: str) -> ShownRotation:
    """Ends one that has not begun, or takes back one that has not activated its new value."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_DECIDE)
    return _show(decisions.cancel(rotation_id, actor=principal.actor))


@router.post("/{rotation_id}/retry", **asks(Action.ROTATION_DECIDE))
def retry(request: Request, principal: Asker, rotation_id: str, again: Again) -> ShownRotation:
    """Does again the step that is stuck or waits for its next try."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_DECIDE)
    return _show(decisions.retry(rotation_id, another=again.another, actor=principal.actor))


@router.post("/{rotation_id}/rollback", **asks(Action.ROTATION_DECIDE))
def roll_back(request: Request, principal: Asker, rotation_id: str) -> ShownRotation:
    """Ends it on the old value."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_DECIDE)
    return _show(decisions.roll_back(rotation_id, actor=principal.actor))


@router.post("/{rotation_id}/prove", **starts(Action.ROTATION_DECIDE))
def prove(request: Request, principal: Asker, rotation_id: str, wanted: Proving) -> ShownOutcome:
    """Runs a consumer now, with its sample context and the new value: a good run proves it, and whoever works
    on the vault goes on by that.
    """
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_DECIDE)
    return show_outcome(decisions.prove(rotation_id, wanted.workflow, actor=principal.actor))


@router.post("/{rotation_id}/extend", **asks(Action.ROTATION_DECIDE))
def extend(request: Request, principal: Asker, rotation_id: str, wanted: Until) -> ShownRotation:
    """Lets the old value work on for longer."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_DECIDE)
    return _show(decisions.extend(rotation_id, wanted.until, actor=principal.actor))


@router.post("/{rotation_id}/accept", **asks(Action.ROTATION_ANSWER))
def accept(request: Request, principal: Asker, rotation_id: str) -> ShownRotation:
    """Ends a stuck one on the new value."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_ANSWER)
    return _show(decisions.accept(rotation_id, actor=principal.actor))


@router.post("/{rotation_id}/waive", **asks(Action.ROTATION_ANSWER))
def waive(request: Request, principal: Asker, rotation_id: str, answer: Answer) -> ShownRotation:
    """Answers for what is not proven; without `workflow` and `check`, for the callers of a key."""
    decisions = may_decide(request, principal, rotation_id, Action.ROTATION_ANSWER)
    waived = decisions.waive(
        rotation_id, answer.workflow, check=answer.check, why=answer.why, actor=principal.actor
    )
    return _show(waived)


def _show(rotation: Rotation) -> ShownRotation:
    return ShownRotation(**describe_rotation(rotation))
