"""`/nightkey/audit`: whether the record of every change is whole."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, Field

from vaultcore.access import Action
from worker.rows.audit_lists import AuditFilter
from worker.web.api.asking import AskedRoute, asks, services_of
from worker.web.api.wire import PageQuery, give_page
from worker.wording import say

router = APIRouter(prefix="/nightkey/audit", tags=["audit"], route_class=AskedRoute)


class AuditQuery(PageQuery):
    """`item`: an item's id, with its rotations; `subject`: the id of what a row is about."""

    item: str | None = Field(default=None, max_length=100)
    subject: str | None = Field(default=None, max_length=100)
    actor: str | None = Field(default=None, max_length=100)
    action: str | None = Field(default=None, max_length=60)
    after: AwareDatetime | None = None
    before: AwareDatetime | None = None

    @property
    def wanted(self) -> AuditFilter:
        return AuditFilter(
            item=self.item,
            subject=self.subject,
            actor=self.actor,
            action=self.action,
            after=self.after,
            before=self.before,
        )


class RecordedChange(BaseModel):
    """`details`: ids, names and numbers; never a value."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


class ChainVerdict(BaseModel):
    """`problems`: sentences, each naming a row; none: the chain is whole."""

    whole: bool
    rows: int
    problems: list[str]


class ChangedRow(BaseModel):
    row: str
    item: str | None
    detail: str
    command: str | None


class ShownRowCheck(BaseModel):
    """`changed`: rows that decide, and that none of us wrote as they are."""

    checked: int
    changed: list[ChangedRow]


@router.get("", **asks(Action.AUDIT_READ))
def list_changes(
    request: Request, response: Response, query: Annotated[AuditQuery, Query()]
) -> list[RecordedChange]:
    """The record as it stands, newest first unless `sort` says otherwise."""
    page = services_of(request).lists.page_audit(query.wanted, query.page)
    return [RecordedChange(**vars(one)) for one in give_page(page, request, response)]


@router.get("/verify", **asks(Action.AUDIT_READ))
def verify(request: Request) -> ChainVerdict:
    """Walks the whole chain, and holds it against the anchors of the data folder."""
    verdict = services_of(request).upkeep.anchors.verify()
    return ChainVerdict(whole=verdict.whole, rows=verdict.rows, problems=list(verdict.problems))


@router.get("/rows", **asks(Action.AUDIT_READ))
def verify_rows(request: Request) -> ShownRowCheck:
    """Checks every row that decides."""
    found = services_of(request).upkeep.row_verification.check_all()
    changed = [
        ChangedRow(row=one.subject, item=one.item, detail=say(one.detail), command=one.command)
        for one in found.wrong
    ]
    return ShownRowCheck(checked=found.rows, changed=changed)
