"""Whether somebody may do something to a rotation: that goes by its item. For the API and the console alike."""

from starlette.requests import Request

from vaultcore.access import Action, Principal
from worker.services.rotation.decisions import Decisions
from worker.web.api.asking import services_of


def check_about_rotation(request: Request, principal: Principal, rotation_id: str, action: Action) -> None:
    services = services_of(request)
    item_id = services.lookup.views.get_rotation(rotation_id).item_id
    services.access.principals.check_about(principal, item_id, action)


def may_decide(request: Request, principal: Principal, rotation_id: str, action: Action) -> Decisions:
    """What decides of it, if the principal may do this."""
    check_about_rotation(request, principal, rotation_id, action)
    return services_of(request).rotation.decisions
