"""`/nightkey/templates`, `/nightkey/owners/…/digest`: how messages are worded, and what tonight would tell."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel

from vaultcore.access import Action
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.values import Time
from worker.wording.people import describe_templates

router = APIRouter(prefix="/nightkey", tags=["notices"], route_class=AskedRoute)


class ShownTemplate(BaseModel):
    """`template`: `built in`, or the organisation's own file on the vault's machine."""

    kind: str
    template: str


class Templates(BaseModel):
    """`folder`: where those of the organisation are. `problems`: why one of them cannot be read."""

    folder: str
    templates: list[ShownTemplate]
    problems: list[str]


class TemplateText(BaseModel):
    kind: str
    text: str


class Digest(BaseModel):
    """`body`: Markdown. `night`: after which it would be sent."""

    owner: str
    night: datetime
    subject: str
    body: str


@router.get("/templates", **asks(Action.NOTICE_SEE))
def list_templates(request: Request) -> Templates:
    """The kinds of message, and what words them."""
    services = services_of(request)
    return Templates(**describe_templates(services.notices.letters, services.settings.templates_path))


@router.get("/templates/{kind}", **asks(Action.NOTICE_SEE))
def get_template(request: Request, kind: str) -> TemplateText:
    """The built-in one of a kind: where a copy of your own may begin."""
    return TemplateText(kind=kind, text=services_of(request).notices.letters.source(kind))


@router.get("/owners/{name:name}/digest", **asks(Action.ITEM_SEE))
def preview_digest(request: Request, principal: Asker, name: str, at: Time | None = None) -> Digest:
    """What the owner would read after the next night, or after one at that time; nothing is written or sent."""
    services = services_of(request)
    owner = services.notices.address_book.get(name)
    services.access.principals.check(principal, Action.ITEM_SEE, owners=[owner.name])
    previews = services.night.digest_preview
    night = previews.find_night(at)
    message = previews.preview(owner.name, night)
    return Digest(owner=owner.name, night=night, subject=message.subject, body=message.body)
