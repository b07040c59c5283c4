"""What an export of the record has of rotations: those of a period, and what is stored beside each."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, and_, func, or_, select

from vaultcore.composite_keys import is_among
from vaultcore.errors import UnreadableError
from vaultcore.model import ConsumerKind
from vaultcore.paging import walk_keyset
from vaultcore.row_macs import find_edited, is_ours
from vaultcore.stored import UNREADABLE, Unread, read_apart
from vaultcore.tables import audit, references, versions
from worker.domain.rotation import Rotation
from worker.domain.states import RunStatus
from worker.domain.tracks import StepRecord
from worker.rows.consumers import CHECK, Waiver
from worker.rows.rotation_steps import steps_of_each
from worker.rows.rotations import rotation_from_row
from worker.rows.runs import PROVING
from worker.rows.tables import rotations, run_versions, runs, waivers, workflows

_PAGE: Final = 200


@dataclass(frozen=True, kw_only=True)
class PastProof:
    """Who was shown to work with the new value, and when. `run`: the first good run; None: it is not kept any
    longer, or there was none, as of callers who have presented the key.
    """

    who: str
    at: datetime
    run: str | None


@dataclass(kw_only=True)
class PastRotation:
    """`expires_at`: of the old version, while that is known. `waivers`: by whom answered for, with what it is
    called. `edited`: what to say of a row that none of us wrote so.
    """

    rotation: Rotation
    edited: UnreadableError | None
    expires_at: datetime | None = None
    waivers: list[tuple[str, Waiver]] = field(default_factory=list)
    proofs: list[PastProof] = field(default_factory=list)
    steps: list[StepRecord] = field(default_factory=list)


def find_span(connection: Connection, begin: datetime, end: datetime) -> tuple[int, int] | None:
    """The numbers of the first and the last row of that time: between them is no gap. None: there is no row."""
    first = connection.execute(select(func.min(audit.c.seq)).where(audit.c.at >= begin)).scalar()
    last = connection.execute(select(func.max(audit.c.seq)).where(audit.c.at < end)).scalar()
    return None if first is None or last is None or first > last else (first, last)


def hashes_of(connection: Connection, seqs: Sequence[int]) -> dict[int, bytes]:
    """By number, what the log has in each of these rows."""
    found = connection.execute(select(audit.c.seq, audit.c.hash).where(audit.c.seq.in_(seqs)))
    return {row.seq: row.hash for row in found if isinstance(row.hash, bytes)}


def walk_past(
    connection: Connection, begin: datetime, end: datetime
) -> Iterator[PastRotation | UnreadableError]:
    """Rotations that were open at some time of the period, as they stand, in the order in which they were
    opened; in pages, so that memory does not grow with the period.
    """
    c = rotations.c
    wanted = select(rotations).where(c.created_at < end, or_(c.finished_at.is_(None), c.finished_at >= begin))
    for page in walk_keyset(connection, wanted, (c.id,), size=_PAGE):
        read: list[PastRotation | UnreadableError] = []
        for row in page:
            made, what = read_apart(row, rotation_from_row), f"rotation {row.id}"
            if isinstance(made, Unread):
                read.append(made.explain(what))
            else:
                read.append(PastRotation(rotation=made, edited=find_edited(connection, rotations, row, what)))
        _fill(connection, {one.rotation.id: one for one in read if isinstance(one, PastRotation)})
        yield from read


# Inside


def _fill(connection: Connection, page: dict[str, PastRotation]) -> None:
    """One statement for each kind of thing, not one for each rotation."""
    _add_expiries(connection, page.values())
    _add_waivers(connection, page)
    _add_runs(connection, page)
    _add_callers(connection, page.values())
    _add_references(connection, page.values())
    for rotation_id, steps in steps_of_each(connection, page).items():
        page[rotation_id].steps += steps
    for one in page.values():
        one.proofs.sort(key=lambda proof: (proof.at, proof.who))


def _add_expiries(connection: Connection, page: Collection[PastRotation]) -> None:
    c = versions.c
    old = {(one.rotation.item_id, one.rotation.old_number) for one in page}
    rows = connection.execute(
        select(versions).where(is_among((c.item_id, c.number), sorted(old)), c.expires_at.is_not(None))
    )
    known = {
        (row.item_id, row.number): row.expires_at
        for row in rows
        if row.expires_at is not UNREADABLE and is_ours(connection, versions, row)
    }
    for one in page:
        one.expires_at = known.get((one.rotation.item_id, one.rotation.old_number))


def _add_waivers(connection: Connection, page: dict[str, PastRotation]) -> None:
    rows = connection.execute(
        select(waivers, workflows.c.name.label("workflow"))
        .outerjoin(workflows, workflows.c.id == waivers.c.workflow_id)
        .where(waivers.c.rotation_id.in_(sorted(page)))
        .order_by(waivers.c.rotation_id, waivers.c.at, waivers.c.workflow_id)
    )
    for row in rows:
        if not is_ours(connection, waivers, row):
            continue
        past = page[row.rotation_id]
        what = row.workflow or row.workflow_id
        if row.workflow_id == CHECK:
            what = "that the new value works"
        elif row.workflow_id == past.rotation.item_id:
            what = "callers"
        past.waivers.append((what, Waiver(row.rotation_id, row.workflow_id, row.by, row.why, row.at)))


def _add_runs(connection: Connection, page: dict[str, PastRotation]) -> None:
    """The first good run of each workflow with the new value, since that is current."""
    c = rotations.c
    first = (
        select(c.id.label("proves"), func.min(runs.c.id).label("run_id"))
        .join(run_versions, and_(run_versions.c.item_id == c.item_id, run_versions.c.number == c.new_number))
        .join(runs, runs.c.id == run_versions.c.run_id)
        .where(
            c.id.in_(sorted(page)),
            runs.c.purpose.in_(PROVING),
            runs.c.status == RunStatus.COMPLETED.value,
            runs.c.completed_at >= c.activated_at,
        )
        .group_by(c.id, runs.c.workflow_id)
        .subquery()
    )
    rows = connection.execute(select(first.c.proves, runs).join(runs, runs.c.id == first.c.run_id))
    for row in rows:
        if is_ours(connection, runs, row):
            page[row.proves].proofs.append(PastProof(who=row.workflow_name, at=row.completed_at, run=row.id))


def _add_callers(connection: Connection, page: Collection[PastRotation]) -> None:
    """Of a key of ours: whoever has first presented the new one."""
    c = versions.c
    new = {
        (one.rotation.item_id, one.rotation.new_number) for one in page if one.rotation.new_number is not None
    }
    rows = connection.execute(
        select(versions).where(is_among((c.item_id, c.number), sorted(new)), c.used_at.is_not(None))
    )
    used = {(row.item_id, row.number): row.used_at for row in rows if is_ours(connection, versions, row)}
    for one in page:
        at = used.get((one.rotation.item_id, one.rotation.new_number))
        if at is not None and at is not UNREADABLE:
            one.proofs.append(PastProof(who="callers", at=at, run=None))


def _add_references(connection: Connection, page: Collection[PastRotation]) -> None:
    """What a reference keeps of its last proof, where the run is not kept any longer."""
    r = references.c
    rows = connection.execute(
        select(references).where(
            r.item_id.in_(sorted({one.rotation.item_id for one in page})),
            r.consumer == ConsumerKind.WORKFLOW.value,
            r.proven_at.is_not(None),
        )
    )
    proven: dict[tuple[str, int], dict[str, datetime]] = {}
    for row in rows:
        if is_ours(connection, references, row) and row.proven_at is not UNREADABLE:
            of_item = proven.setdefault((row.item_id, row.proven_version), {})
            of_item[row.consumer_name] = min(row.proven_at, of_item.get(row.consumer_name, row.proven_at))
    for one in page:
        known = {proof.who for proof in one.proofs}
        found = proven.get((one.rotation.item_id, one.rotation.new_number or 0), {})
        one.proofs += [PastProof(who=who, at=at, run=None) for who, at in found.items() if who not in known]
