"""`/nightkey/items/ITEM/check`: whether a credential still works, asked of the other side now."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from vaultcore.access import Action
from worker.domain.credential_checks import CheckOutcome
from worker.web.api.asking import AskedRoute, Asker, services_of, starts
from worker.wording.shapes import describe_answer

router = APIRouter(prefix="/nightkey/items", tags=["items"], route_class=AskedRoute)


class CheckedItem(BaseModel):
    """`said`: the answer in words. Where it was refused, `users` are the workflows that use it, and `command`
    is what helps on the command line.
    """

    item: str
    item_id: str
    outcome: CheckOutcome
    said: str
    users: list[str]
    command: str | None


@router.post("/{item:name}/check", **starts(Action.ITEM_CHECK))
def check(request: Request, principal: Asker, item: str) -> CheckedItem:
    """Logs in at its target with the current value, and changes nothing there. A refusal is a finding."""
    services = services_of(request)
    found = services.access.principals.find_item(principal, item, Action.ITEM_CHECK)
    checked = services.rotation.credential_checks.check_now(found.id, actor=principal.actor)
    return CheckedItem(**describe_answer(checked))
