"""Which stored rows still decide something, and what must hold of each: the damage of the whole vault.

What is over (ended runs, finished rotations, destroyed versions, sent notices) is a record: it decides
nothing any more. The audit log is `nightkey audit verify`'s business.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, case, exists, null, or_, select, true

from vaultcore import tables as vault
from vaultcore.damage import DamageSelect, is_sound, number_in, select_damage, text_in
from vaultcore.model import Hygiene, Stage
from worker.domain.saga import FINISHED, State
from worker.domain.states import BeatState, DeliveryState, RunStatus
from worker.rows import tables as ours

_FAR = timedelta(days=400)
"""Nothing is put off for longer than the year in which a window must open."""
_FAR_AHEAD = bindparam("far", type_=vault.UtcDateTime())

_FINISHED = [state.value for state in FINISHED]


@dataclass(frozen=True, kw_only=True)
class DamagedRow:
    """A row that cannot be read: its primary key, to be shown, and what a finding says of it. What is beside it
    may itself be what cannot be read.
    """

    table: str
    key: str
    fields: tuple[str, ...]
    item_id: object
    name: object
    workflow: object


@dataclass(frozen=True, kw_only=True)
class _Check:
    """`over`: the column whose time says that a row decides nothing any more; else `live` says which do.

    `item`, `name` and `workflow` are what a finding says of the row.
    """

    table: Table
    item: ColumnElement[Any]
    name: ColumnElement[Any]
    workflow: ColumnElement[Any] = field(default_factory=null)
    over: str | None = None
    live: ColumnElement[bool] = field(default_factory=true)
    rules: Mapping[str, ColumnElement[bool]] = field(default_factory=dict)


def walk_damage(connection: Connection, now: datetime) -> Iterator[DamagedRow]:
    """Every row that decides something and holds what none of us wrote."""
    values = {_FAR_AHEAD.key: now + _FAR}
    for asked in _selects(connection.dialect.name):
        for damage in asked.find(connection, values):
            yield DamagedRow(
                table=damage.table,
                key=damage.key,
                fields=damage.fields,
                item_id=damage.row.beside_item,
                name=damage.row.beside_name,
                workflow=damage.row.beside_workflow,
            )


@cache
def _selects(dialect: str) -> list[DamageSelect]:
    asked = []
    for check in _checks(dialect):
        live = check.live
        if check.over is not None:
            over = check.table.c[check.over]
            live = or_(over.is_(None), ~is_sound(over, dialect))
        beside = {"item": check.item, "name": check.name, "workflow": check.workflow}
        asked.append(select_damage(check.table, dialect, where=live, beside=beside, rules=check.rules))
    return asked


def _checks(dialect: str) -> list[_Check]:
    none = null()
    i, v, r = vault.items.c, vault.versions.c, vault.references.c
    rot, pickup, kept = ours.rotations.c, ours.pickups.c, ours.run_states.c
    any_version = exists().where(v.item_id == i.id)
    waits = i.hygiene.contains(Hygiene.NO_VALUE.value)
    current = select(v.expires_at).where(v.item_id == i.id, v.stage == Stage.CURRENT.value)
    return [
        _Check(
            table=vault.items,
            item=i.id,
            name=i.name,
            rules={
                "expires_at": or_(waits, i.expires_at.is_not_distinct_from(current.scalar_subquery())),
                "due_at": or_(
                    and_(i.expires_at.is_(None), i.due_at.is_(None)),
                    and_(i.expires_at.is_not(None), i.due_at <= i.expires_at),
                ),
                "hold_until": _not_beyond(i.hold_until),
                "overlap_seconds": case(
                    (
                        i.life_seconds.is_(None),
                        i.overlap_seconds == number_in(i.policy, "overlap_seconds", dialect),
                    ),
                    else_=i.overlap_seconds <= number_in(i.policy, "overlap_seconds", dialect),
                ),
                "mode": i.mode == text_in(i.policy, "mode", dialect),
                "rotator": i.rotator.is_not_distinct_from(text_in(i.policy, "rotator", dialect)),
                "copy_of": i.copy_of.is_not_distinct_from(text_in(i.policy, "copy_of", dialect)),
                "idle_seconds": i.idle_seconds == number_in(i.policy, "idle_after_seconds", dialect),
                "current version": or_(and_(~waits, current.exists()), and_(waits, ~any_version)),
            },
        ),
        _Check(
            table=vault.versions,
            item=v.item_id,
            name=_name_of(v.item_id),
            over="destroyed_at",
            rules={
                "stage": v.stage != Stage.DESTROYED.value,
                "superseded_at": and_(
                    or_(v.stage != Stage.PREVIOUS.value, v.superseded_at.is_not(None)),
                    _not_beyond(v.superseded_at),
                    _not_before(v.superseded_at, v.created_at),
                ),
                "activated_at": or_(v.stage == Stage.PENDING.value, v.activated_at.is_not(None)),
                "record": or_(v.stage == Stage.PENDING.value, v.record.is_not(None), v.digest.is_not(None)),
            },
        ),
        _Check(
            table=vault.references,
            item=r.item_id,
            name=r.written,
            workflow=r.consumer_name,
        ),
        _Check(
            table=vault.item_accounts,
            item=vault.item_accounts.c.item_id,
            name=_name_of(vault.item_accounts.c.item_id),
        ),
        _Check(
            table=vault.item_owners,
            item=vault.item_owners.c.item_id,
            name=_name_of(vault.item_owners.c.item_id),
        ),
        _Check(
            table=vault.item_labels,
            item=vault.item_labels.c.item_id,
            name=_name_of(vault.item_labels.c.item_id),
        ),
        _Check(table=vault.owners, item=none, name=vault.owners.c.name),
        _Check(table=vault.routes, item=none, name=vault.routes.c.shown),
        _Check(table=vault.named_policies, item=none, name=vault.named_policies.c.name),
        _Check(
            table=ours.workflows,
            item=none,
            name=none,
            workflow=ours.workflows.c.name,
        ),
        _Check(
            table=ours.runs,
            item=none,
            name=none,
            workflow=ours.runs.c.workflow_name,
            over="completed_at",
            rules={"status": ours.runs.c.status.in_([RunStatus.PENDING.value, RunStatus.RUNNING.value])},
        ),
        _Check(
            table=ours.run_states,
            item=none,
            name=none,
            workflow=select(ours.runs.c.workflow_name).where(ours.runs.c.id == kept.run_id).scalar_subquery(),
            rules={
                "run_id": select(ours.runs.c.id)
                .where(ours.runs.c.id == kept.run_id, ours.runs.c.completed_at.is_(None))
                .exists(),
                "kept_at": kept.kept_at <= _FAR_AHEAD,
                "resume_at": kept.resume_at <= _FAR_AHEAD,
            },
        ),
        _Check(
            table=ours.rotations,
            item=rot.item_id,
            name=rot.item,
            over="finished_at",
            rules={
                "state": rot.state.not_in(_FINISHED),
                "next_at": or_(_not_beyond(rot.next_at), rot.state == State.REQUESTED.value),
                "lease_until": _not_beyond(rot.lease_until),
            },
        ),
        _Check(
            table=ours.pickups,
            item=pickup.item_id,
            name=_name_of(pickup.item_id),
            over="ended_at",
        ),
        _Check(
            table=ours.comparisons,
            item=ours.comparisons.c.item_id,
            name=_name_of(ours.comparisons.c.item_id),
            over="resolved_at",
        ),
        _Check(
            table=ours.credential_checks,
            item=ours.credential_checks.c.item_id,
            name=_name_of(ours.credential_checks.c.item_id),
        ),
        _Check(
            table=ours.notices,
            item=none,
            name=ours.notices.c.owner,
            live=or_(~ours.notices.c.routed.in_([True]), _waits(ours.notices.c.id)),
        ),
        _Check(
            table=ours.deliveries,
            item=none,
            name=ours.deliveries.c.shown,
            live=ours.deliveries.c.state.not_in(
                [DeliveryState.SENT.value, DeliveryState.FAILED.value, DeliveryState.WITHDRAWN.value]
            ),
            rules={
                "notice_id": select(ours.notices.c.id)
                .where(ours.notices.c.id == ours.deliveries.c.notice_id)
                .exists(),
                "next_at": _not_beyond(ours.deliveries.c.next_at),
            },
        ),
        _Check(
            table=ours.heartbeats,
            item=none,
            name=none,
            live=ours.heartbeats.c.state.not_in(
                [BeatState.SENT.value, BeatState.FAILED.value, BeatState.OUTDATED.value]
            ),
            rules={"next_at": _not_beyond(ours.heartbeats.c.next_at)},
        ),
        _Check(table=ours.sweeps, item=none, name=none, over="done_at"),
        _Check(table=ours.row_checks, item=none, name=none),
        _Check(
            table=ours.findings,
            item=none,
            name=ours.findings.c.item,
            over="resolved_at",
        ),
        _Check(table=ours.departures, item=none, name=ours.departures.c.name, over="finished_at"),
    ]


def _name_of(item_id: ColumnElement[Any]) -> ColumnElement[Any]:
    named: ColumnElement[Any] = select(vault.items.c.name).where(vault.items.c.id == item_id).scalar_subquery()
    return named


def _waits(notice_id: ColumnElement[Any]) -> ColumnElement[bool]:
    d = ours.deliveries.c
    return select(d.notice_id).where(d.notice_id == notice_id, d.state == DeliveryState.WAITING.value).exists()


def _not_beyond(time: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(time.is_(None), time <= _FAR_AHEAD)


def _not_before(time: ColumnElement[Any], earlier: ColumnElement[Any]) -> ColumnElement[bool]:
    return or_(time.is_(None), time >= earlier)
