"""`/nightkey/audit`: the record of every change, and whether it is whole."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vaultcore.access import Action
from worker.web.api.asking import AskedRoute, asks, services_of
from worker.web.api.wire import leave_out
from worker.wording import say

router = APIRouter(prefix="/nightkey/audit", tags=["audit"], route_class=AskedRoute)


PAGE_MAX = 500
ANCHOR = '{"seq": 42, "hash": "9f…", "at": "2026-03-01T02:00:00.000000+00:00", "signature": "…"}'


class ShownRow(BaseModel):
    """`actor`: who did it; `subject`: the id of what it was done to."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


class Anchor(BaseModel):
    """One line of JSON: keep it in another place."""

    anchor: str = Field(examples=[ANCHOR])


class KeptAnchors(BaseModel):
    """Lines that were kept in another place, each as it was given."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    anchors: list[Annotated[str, Field(max_length=1000)]] = Field(
        min_length=1, max_length=1000, examples=[[ANCHOR]]
    )


class Verdict(BaseModel):
    """`problems`: sentences, each naming a row; none: the chain is whole."""

    whole: bool
    rows: int
    problems: list[str]


class ChangedRow(BaseModel):
    row: str
    item: str | None
    detail: str
    command: str | None


class CheckedRows(BaseModel):
    """`changed`: rows that decide, and that none of us wrote as they are."""

    checked: int
    changed: list[ChangedRow]


@router.get("", **asks(Action.AUDIT_READ))
def read(
    request: Request,
    response: Response,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    size: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> list[ShownRow]:
    """The last rows first; `before`: the number that a page ended with. Whether they are whole says
    `verify`.
    """
    found = leave_out(services_of(request).upkeep.record.page(before=before, size=size), response)
    return [ShownRow(**{name: getattr(one, name) for name in ShownRow.model_fields}) for one in found]


@router.post("/anchor", **asks(Action.AUDIT_ANCHOR))
def make_anchor(request: Request) -> Anchor:
    """Signs today's head of the log."""
    return Anchor(anchor=services_of(request).upkeep.anchors.anchor())


@router.post("/verify", **asks(Action.AUDIT_READ))
def verify_with(request: Request, kept: KeptAnchors) -> Verdict:
    """As `GET`, and holds the log against anchors that were kept in another place."""
    verdict = services_of(request).upkeep.anchors.verify(lines=kept.anchors)
    return Verdict(whole=verdict.whole, rows=verdict.rows, problems=list(verdict.problems))


@router.get("/verify", **asks(Action.AUDIT_READ))
def verify(request: Request) -> Verdict:
    """Walks the whole chain, and holds it against the anchors of the data folder."""
    verdict = services_of(request).upkeep.anchors.verify()
    return Verdict(whole=verdict.whole, rows=verdict.rows, problems=list(verdict.problems))


@router.get("/rows", **asks(Action.AUDIT_READ))
def verify_rows(request: Request) -> CheckedRows:
    """Checks every row that decides."""
    found = services_of(request).upkeep.row_verification.check_all()
    changed = [
        ChangedRow(row=one.subject, item=one.item, detail=say(one.detail), command=one.command)
        for one in found.wrong
    ]
    return CheckedRows(checked=found.rows, changed=changed)
