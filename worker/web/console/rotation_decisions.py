"""What a person decides of a rotation: each a button of its page."""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.errors import InvalidInputError, RefusedError
from worker.domain.states import RunStatus
from worker.web.api.about_rotation import may_decide
from worker.web.api.asking import asks
from worker.web.console.days import HOW_TO, end_of
from worker.web.console.frame import CONSOLE, Visitor, go
from worker.web.console.rotation import show_rotation
from worker.web.console.visits import Looks, PageRoute, Sent

router = APIRouter(prefix=f"{CONSOLE}/rotations", include_in_schema=False, route_class=PageRoute)


@router.post("/{rotation_id}/approve", **asks(Action.ROTATION_APPROVE))
def approve(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_APPROVE)
    decisions.approve(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "approved")


@router.post("/{rotation_id}/reject", **asks(Action.ROTATION_APPROVE))
def reject(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_APPROVE)
    decisions.reject(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "rejected")


@router.post("/{rotation_id}/cancel", **asks(Action.ROTATION_DECIDE))
def cancel(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_DECIDE)
    decisions.cancel(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "cancelled")


@router.post("/{rotation_id}/retry", **asks(Action.ROTATION_DECIDE))
def retry(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_DECIDE)
    decisions.retry(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "retried")


@router.post("/{rotation_id}/another", **asks(Action.ROTATION_DECIDE))
def make_another(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_DECIDE)
    decisions.retry(rotation_id, another=True, actor=visitor.principal.actor)
    return _back(rotation_id, "another")


@router.post("/{rotation_id}/rollback", **asks(Action.ROTATION_DECIDE))
def roll_back(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_DECIDE)
    decisions.roll_back(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "rolled-back")


@router.post("/{rotation_id}/accept", **asks(Action.ROTATION_ANSWER))
def accept(request: Request, visitor: Looks, rotation_id: str) -> Response:
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_ANSWER)
    decisions.accept(rotation_id, actor=visitor.principal.actor)
    return _back(rotation_id, "accepted")


@router.post("/{rotation_id}/prove", **asks(Action.ROTATION_DECIDE))
def prove(request: Request, visitor: Looks, rotation_id: str, form: Sent) -> Response:
    """Runs the workflow while the browser waits; who works on the vault goes on by what came of it."""
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_DECIDE)
    outcome = decisions.prove(rotation_id, _read(form, "workflow"), actor=visitor.principal.actor)
    return _back(rotation_id, "proven" if outcome.status == RunStatus.COMPLETED else "not-proven")


@router.post("/{rotation_id}/extend", **asks(Action.ROTATION_DECIDE))
def extend(request: Request, visitor: Looks, rotation_id: str, form: Sent) -> Response:
    """To the end of a day, where the visitor is."""
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_DECIDE)
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
    decisions = may_decide(request, visitor.principal, rotation_id, Action.ROTATION_ANSWER)

    def decide() -> None:
        decisions.waive(
            rotation_id, workflow, check=check, why=_read(form, "why"), actor=visitor.principal.actor
        )

    return _try(request, visitor, rotation_id, form, decide, path=path, field="why", said="waived")


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
        return show_rotation(request, visitor, rotation_id, status=422, **filled)
    return _back(rotation_id, said)


def _read(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _read_day_end(text: str, visitor: Visitor) -> datetime:
    moment = end_of(text, visitor.zone)
    if moment is None:
        raise InvalidInputError(HOW_TO)
    return moment
