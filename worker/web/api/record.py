"""`/nightkey/audit`: whether the record of every change is whole."""

from fastapi import APIRouter, Request
from pydantic import BaseModel

from vaultcore.access import Action
from worker.web.api.asking import AskedRoute, asks, services_of
from worker.wording import say

router = APIRouter(prefix="/nightkey/audit", tags=["audit"], route_class=AskedRoute)


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
