"""`/nightkey/audit`: the record of every change, and whether it is whole."""

from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse

from vaultcore.access import Action
from worker.rows.audit_lists import AuditFilter
from worker.web.api.asking import AskedRoute, Asker, asks, services_of
from worker.web.api.values import Time
from worker.web.api.wire import PageQuery, give_page
from worker.wording.record import describe_recorded
from worker.wording.shapes import describe_checked

router = APIRouter(prefix="/nightkey/audit", tags=["audit"], route_class=AskedRoute)

_IN_MEMORY: Final = 4 * 1024 * 1024
_PART: Final = 64 * 1024

ANCHOR = '{"seq": 42, "hash": "9f…", "at": "2026-03-01T02:00:00.000000+00:00", "signature": "…"}'


class AuditQuery(PageQuery):
    """`item`: an item's name or id, with its rotations; `subject`: the id of what a row is about; `actor`: as
    the record has it, or without `user:`, `person:` or `service:`; `action`: `item.update`, or `item` for all
    that is done with items.
    """

    item: str | None = Field(default=None, max_length=100)
    subject: str | None = Field(default=None, max_length=100)
    actor: str | None = Field(default=None, max_length=100)
    action: str | None = Field(default=None, max_length=60)
    after: Time | None = None
    before: Time | None = None

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


class PeriodQuery(BaseModel):
    """`to` left out: until now. What is before `to` is in it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    begin: Time = Field(alias="from")
    end: Time | None = Field(default=None, alias="to")


class PublicKey(BaseModel):
    """`pem`: as `openssl` reads it."""

    id: str
    algorithm: str
    pem: str


class ExportResponse(StreamingResponse):
    media_type = "application/json"


class RecordedChange(BaseModel):
    """`name`: what the subject is called, an item or the item of a rotation. `details`: ids, names and numbers;
    never a value.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    name: str | None
    details: dict[str, Any]


class SignedAnchor(BaseModel):
    """One line of JSON: keep it in another place."""

    anchor: str = Field(examples=[ANCHOR])


class KeptAnchors(BaseModel):
    """Lines that were kept in another place, each as it was given."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    anchors: list[Annotated[str, Field(max_length=1000)]] = Field(
        min_length=1, max_length=1000, examples=[[ANCHOR]]
    )


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
    services = services_of(request)
    rows = give_page(services.lookup.lists.page_audit(query.wanted, query.page), request, response)
    names = services.lookup.views.name_subjects({one.subject for one in rows})
    return [RecordedChange(**describe_recorded(one, names.get(one.subject))) for one in rows]


@router.get("/key", **asks(Action.AUDIT_READ))
def show_key(request: Request) -> PublicKey:
    """The key by which exports are checked."""
    return PublicKey(**services_of(request).upkeep.audit_export.describe_key())


@router.get(
    "/export",
    response_class=ExportResponse,
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}}}}},
    **asks(Action.AUDIT_READ),
)
def export(request: Request, principal: Asker, period: Annotated[PeriodQuery, Query()]) -> ExportResponse:
    """The record of a period, signed: keep it as it is, byte for byte. That you took it is recorded.

    Written whole before it is sent, so that what goes wrong is told, and the database waits for no caller.
    """
    lines = services_of(request).upkeep.audit_export.write(period.begin, period.end, actor=principal.actor)
    file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # it is closed when it was sent
    try:
        for line in lines:
            file.write(line.encode())
        file.seek(0)
    except BaseException:
        file.close()
        raise
    name = f"nightkey-audit-{period.begin:%Y-%m-%d}.json"
    return ExportResponse(
        iter(lambda: file.read(_PART), b""),
        headers={"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'},
        background=BackgroundTask(file.close),
    )


@router.post("/anchor", **asks(Action.AUDIT_ANCHOR))
def make_anchor(request: Request) -> SignedAnchor:
    """Signs today's head of the log."""
    return SignedAnchor(anchor=services_of(request).upkeep.anchors.anchor())


@router.post("/verify", **asks(Action.AUDIT_READ))
def verify_with(request: Request, kept: KeptAnchors) -> ChainVerdict:
    """As `GET`, and holds the log against anchors that were kept in another place."""
    verdict = services_of(request).upkeep.anchors.verify(lines=kept.anchors)
    return ChainVerdict(whole=verdict.whole, rows=verdict.rows, problems=list(verdict.problems))


@router.get("/verify", **asks(Action.AUDIT_READ))
def verify(request: Request) -> ChainVerdict:
    """Walks the whole chain, and holds it against the anchors of the data folder."""
    verdict = services_of(request).upkeep.anchors.verify()
    return ChainVerdict(whole=verdict.whole, rows=verdict.rows, problems=list(verdict.problems))


@router.get("/rows", **asks(Action.AUDIT_READ))
def verify_rows(request: Request) -> ShownRowCheck:
    """Checks every row that decides."""
    return ShownRowCheck(**describe_checked(services_of(request).upkeep.row_verification.check_all()))
