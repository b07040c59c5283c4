"""An item: how it stands, its versions, who uses it, how it is replaced, what happened to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from fastapi import APIRouter, Request
from markupsafe import Markup
from starlette.responses import Response

from vaultcore.access import Action
from vaultcore.audit_rows import AuditRow
from vaultcore.errors import NotFoundError, UnreadableError
from vaultcore.model import ConsumerKind, Item, Kind, Mode, Reference, Version
from vaultcore.rules import overlap_of
from worker.bootstrap import Services
from worker.domain.commands import quote_word, value_command
from worker.domain.consumption import explain_elsewhere
from worker.domain.findings import FindingKind
from worker.domain.item_states import OpenRotation, states_of
from worker.domain.notices import name_finding
from worker.domain.paging import PageRequest
from worker.domain.rotation import Rotation
from worker.domain.saga import State
from worker.rotators.catalog import can_ask
from worker.rows.audit_lists import AuditFilter
from worker.rows.finding_lists import FindingFilter
from worker.rows.findings import ListedFinding
from worker.rows.notices import Notice
from worker.rows.rotation_lists import RotationFilter
from worker.services.items.views import ItemView
from worker.web.api.asking import asks, services_of
from worker.web.console.finding_shapes import shape_of
from worker.web.console.frame import CONSOLE, Visitor, go, show
from worker.web.console.item_list import link_labels
from worker.web.console.item_remarks import list_remarks
from worker.web.console.visits import Looks, PageRoute
from worker.web.console.ways import NEW_ITEM
from worker.web.console.workflows import link_workflow
from worker.web.drawings.versions import draw_versions
from worker.wording.credential_checks import CHECK_STATES
from worker.wording.harm import list_harm
from worker.wording.item_states import Tone, word_state
from worker.wording.policies import PolicyPart, explain_policy
from worker.wording.reasons import say
from worker.wording.versions import STAGES

router = APIRouter(prefix=CONSOLE, include_in_schema=False, route_class=PageRoute)

_SHOWN: Final = 10
"""Of rotations, notices and audit rows; each list of its own has the others."""
_READ: Final = "version.reveal"
_FINDINGS_SHOWN: Final = 50
_WAITS_FOR_A_PERSON: Final = frozenset({State.REQUESTED, State.STUCK})
_TONES: Final = {
    State.REQUESTED: Tone.WAITS,
    State.STUCK: Tone.WRONG,
    State.ROLLED_BACK: Tone.WRONG,
    State.UNDOING: Tone.WRONG,
    State.DONE: Tone.WELL,
    State.WATCHING: Tone.WELL,
    State.CANARY: Tone.WELL,
}
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class VersionOnPage:
    number: int
    stage: str
    activated_at: datetime | None
    superseded_at: datetime | None
    expires_at: datetime | None
    destroyed_at: datetime | None
    used_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ShownUse:
    """`follows`: which version the node is given. `proof`: which one a production run has proven, if any."""

    name: str
    link: str
    is_workflow: bool
    node: str
    note: str
    follows: str
    last_version: int | None
    last_run_at: datetime | None
    proven: int | None
    is_current: bool


@dataclass(frozen=True, kw_only=True)
class RotationLine:
    id: str
    tone: Tone
    word: str
    why: str
    error: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class CheckLine:
    """What the other side said last of its value."""

    tone: Tone
    word: str
    said: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class FindingLine:
    id: str
    kind: FindingKind
    shape: Tone
    word: str
    detail: str
    does: str
    command: str | None
    opened_at: datetime
    quiet: str


@dataclass(frozen=True, kw_only=True)
class ShownAudit:
    at: datetime
    actor: str
    action: str
    details: str


@dataclass(frozen=True, kw_only=True)
class Reads:
    number: str
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class Deeds:
    """What is open to who looks, as far as the item allows it. `frozen`: why it would not begin now."""

    rotate: bool
    emergency: bool
    check: bool
    first_key: bool
    replace: bool
    update: bool
    delete: bool
    quiet: bool
    decide: str | None
    frozen: str
    harm: tuple[str, ...]


@router.get("/items/{name:path}", **asks(Action.ITEM_SEE))
def view_item(request: Request, name: str, visitor: Looks) -> Response:
    """By its name, or its id."""
    services = services_of(request)
    try:
        item = services.access.principals.find_item(visitor.principal, name, Action.ITEM_SEE)
    except NotFoundError:
        if name == "new" and visitor.may(Action.ITEM_CREATE):  # so it is typed by who has no item of that name
            return go(NEW_ITEM)
        raise
    return show_item(request, services, visitor, item.id)


def show_item(  # what a form on it had, which was refused
    request: Request,
    services: Services,
    visitor: Visitor,
    item_id: str,
    *,
    problem: str = "",
    status: int = 200,
) -> Response:
    view = services.items.views.view(item_id)
    item, now = view.item, services.clock()
    rotations = _rotations(services, visitor, item)
    overlap = overlap_of(item.policy, item.life)
    tone, word = _state(item, rotations, now)
    findings = _findings(services, visitor, item)
    return show(
        request,
        "item.html",
        status=status,
        now=now,
        problem=problem,
        item=item,
        view=view,
        is_key=item.kind is Kind.API_KEY,
        tone=tone,
        word=word,
        drawing=_draw(view, now, overlap, visitor),
        versions=[_show_version(one) for one in sorted(view.versions, key=lambda one: -one.number)],
        uses=[_show_use(one, item) for one in view.references],
        elsewhere=_explain_elsewhere(view),
        labels=link_labels(item),
        policy=_policy(view),
        check=_show_check(view),
        by_owner=item.policy.mode is Mode.NOTIFY,
        always=("lifetime", "thresholds" if item.policy.mode is Mode.NOTIFY else "lead"),
        rotations=[_show_rotation(one) for one in rotations],
        findings=findings,
        remarks=list_remarks(services, item, {one.kind for one in findings}),
        notices=_notices(services, visitor, item),
        audit=_audit(services, visitor, item),
        reads=_reads(services, visitor, item),
        deeds=_deeds(services, visitor, item, rotations),
        value_command=value_command(item, now),
        quoted=quote_word(item.name),
        owners_turn=item.policy.mode is Mode.NOTIFY and tone in (Tone.WRONG, Tone.WAITS),
    )


def _state(item: Item, rotations: Sequence[Rotation], now: datetime) -> tuple[Tone, str]:
    found = _open(rotations)
    states = states_of(
        mode=item.policy.mode,
        has_value=item.version is not None,
        expires_at=item.expires_at,
        due_at=item.due_at,
        hold_until=item.hold_until,
        rotation=None
        if found is None
        else OpenRotation(state=found.state, failing=found.failing_since is not None),
        now=now,
    )
    return word_state(states)


def _open(rotations: Sequence[Rotation]) -> Rotation | None:
    return next((one for one in rotations if one.finished_at is None), None)


def _draw(view: ItemView, now: datetime, overlap: timedelta, visitor: Visitor) -> Markup | None:
    return draw_versions(view.versions, now=now, overlap=overlap, zone=visitor.zone)


def _show_version(version: Version) -> VersionOnPage:
    return VersionOnPage(
        number=version.number,
        stage=STAGES[version.stage],
        activated_at=version.activated_at,
        superseded_at=version.superseded_at,
        expires_at=version.expires_at,
        destroyed_at=version.destroyed_at,
        used_at=version.used_at,
    )


def _show_use(use: Reference, item: Item) -> ShownUse:
    notes = [
        *([] if use.active else ["not active"]),
        *(["runs elsewhere"] if use.elsewhere else []),
        *(["only mentioned there"] if use.mentioned else []),
    ]
    if use.pinned is None:
        follows = "the current one"
    else:
        follows = f"version {use.pinned}, {'held by its rotation' if use.held_by else 'pinned'}"
    return ShownUse(
        name=use.consumer_name,
        link=link_workflow(use.consumer_name, use.consumer_id),
        is_workflow=use.consumer is ConsumerKind.WORKFLOW,
        node=use.node_id,
        note=", ".join(notes),
        follows=follows,
        last_version=use.last_version,
        last_run_at=use.last_run_at,
        proven=use.proven_version,
        is_current=use.proven_version is not None and use.proven_version == item.version,
    )


def _explain_elsewhere(view: ItemView) -> str:
    away = sorted({one.consumer_name for one in view.references if one.elsewhere and not one.mentioned})
    return explain_elsewhere(away) if away else ""


def _policy(view: ItemView) -> tuple[PolicyPart, ...]:
    item = view.item
    return explain_policy(item.policy, kind=item.kind, life=item.life, original=view.original)


def _show_check(view: ItemView) -> CheckLine | None:
    found = view.checked
    if found is None:
        return None
    tone, word = CHECK_STATES[found.outcome]
    return CheckLine(tone=tone, word=word, said=say(found.detail), at=found.checked_at)


def _rotations(services: Services, visitor: Visitor, item: Item) -> list[Rotation]:
    page = services.lookup.lists.page_rotations(
        RotationFilter(item=item.id), PageRequest(limit=_SHOWN), seen_by=visitor.principal
    )
    return _readable(page.rows)


def _show_rotation(rotation: Rotation) -> RotationLine:
    return RotationLine(
        id=rotation.id,
        tone=_TONES.get(rotation.state, Tone.REST),
        word=rotation.state.replace("-", " "),
        why=say(rotation.reason),
        error=say(rotation.last_error),
        created_at=rotation.created_at,
        finished_at=rotation.finished_at,
    )


def _findings(services: Services, visitor: Visitor, item: Item) -> list[FindingLine]:
    page = services.lookup.lists.page_findings(
        FindingFilter(item=item.id), PageRequest(limit=_FINDINGS_SHOWN), seen_by=visitor.principal
    )
    return [_show_finding(one) for one in _readable(page.rows)]


def _show_finding(listed: ListedFinding) -> FindingLine:
    found = listed.finding
    word, detail = name_finding(found.kind), say(found.detail)
    return FindingLine(
        id=found.id,
        kind=FindingKind(found.kind),
        shape=shape_of(listed),
        word="" if detail.startswith(word.partition(" ")[0]) else word,
        detail=detail,
        does=say(found.does),
        command=found.command,
        opened_at=found.opened_at,
        quiet=listed.quiet or "",
    )


def _notices(services: Services, visitor: Visitor, item: Item) -> list[Notice] | None:
    """None: they are not for who looks."""
    if not visitor.may(Action.NOTICE_SEE, item.owners):
        return None
    return services.lookup.views.list_item_notices(item, limit=_SHOWN)


def _audit(services: Services, visitor: Visitor, item: Item) -> list[ShownAudit] | None:
    if not visitor.may(Action.AUDIT_READ, ()):
        return None
    wanted = AuditFilter(item=item.id, without=_READ)
    page = services.lookup.lists.page_audit(wanted, PageRequest(limit=_SHOWN))
    return [_show_audit(one, item) for one in _readable(page.rows)]


def _reads(services: Services, visitor: Visitor, item: Item) -> Reads | None:
    """How often its value was read, for runs above all: rows that would hide what else was done."""
    if not visitor.may(Action.AUDIT_READ, ()):
        return None
    page = services.lookup.lists.page_audit(
        AuditFilter(item=item.id, action=_READ), PageRequest(limit=1, counted=True)
    )
    rows = _readable(page.rows)
    return Reads(number=str(page.total), last_at=rows[0].at) if rows else None


def _show_audit(row: AuditRow, item: Item) -> ShownAudit:
    details = {name: value for name, value in row.details.items() if value not in (None, item.id)}
    told = ", ".join(f"{name} {_word(value)}" for name, value in details.items())
    return ShownAudit(at=row.at, actor=row.actor, action=row.action, details=told)


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _readable(rows: Sequence[T | UnreadableError]) -> list[T]:
    """Of what cannot be read the night makes findings."""
    return [one for one in rows if not isinstance(one, UnreadableError)]


def _deeds(services: Services, visitor: Visitor, item: Item, rotations: Sequence[Rotation]) -> Deeds:
    owners, is_key = item.owners, item.kind is Kind.API_KEY
    found = _open(rotations)
    can_rotate = (
        item.version is not None and item.policy.mode is not Mode.NOTIFY and item.policy.copy_of is None
    )
    may_rotate = visitor.may(Action.ITEM_ROTATE, owners)
    emergency = can_rotate and visitor.may(Action.ITEM_EMERGENCY, owners)
    waits = found is not None and found.state not in (State.SCHEDULED, State.QUEUED)
    return Deeds(
        rotate=may_rotate and can_rotate and not waits,
        emergency=emergency,
        check=item.version is not None and can_ask(item.policy) and visitor.may(Action.ITEM_CHECK, owners),
        first_key=may_rotate and is_key and item.version is None,
        replace=not is_key and visitor.may(Action.ITEM_REPLACE, owners),
        update=visitor.may(Action.ITEM_UPDATE, owners),
        delete=visitor.may(Action.ITEM_DELETE, owners),
        quiet=visitor.may(Action.FINDING_QUIET, owners),
        decide=found.id if found is not None and found.state in _WAITS_FOR_A_PERSON else None,
        frozen=say(services.rotation.opening.explain_freeze(item)) if can_rotate else "",
        harm=tuple(list_harm(item, services.lookup.views.list_consumers(item))) if emergency else (),
    )
