"""What a digest tells, as rows: read when it leaves, many in a row, so the statements are built once."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    Boolean,
    Connection,
    Row,
    and_,
    bindparam,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    update,
)

from vaultcore.rows import owners_of
from vaultcore.stored import check_row, fetch_sound, is_readable, read_all
from vaultcore.tables import item_owners, items, owners, references
from worker.domain.findings import FindingKind
from worker.domain.notices import READ_OF_A_KIND, FoundLine, RotatedLine
from worker.domain.plan import describe_open
from worker.domain.reasons import read_reason, read_reasons
from worker.domain.saga import TOLD, State
from worker.rows import findings as finding_rows
from worker.rows.nights import NIGHT_JOB
from worker.rows.quiet_findings import is_quiet
from worker.rows.rotations import holds_new
from worker.rows.tables import findings, notices, rotations, sweeps, tellings

_OWNERS = bindparam("owners", type_=tellings.c.owner_id.type, expanding=True)
_OPERATORS = bindparam("operators", type_=tellings.c.owner_id.type)
_NIGHT = bindparam("night", type_=tellings.c.night.type)
_NOW = bindparam("now", type_=findings.c.deadline.type)
_AMONG = bindparam("operators_too", type_=Boolean())

_OPEN_ROTATION = and_(rotations.c.item_id == findings.c.item_id, rotations.c.finished_at.is_(None))
_HOLDS = and_(
    tellings.c.owner_id.in_(_OWNERS),
    tellings.c.night == _NIGHT,
    findings.c.resolved_at.is_(None),
    not_(is_quiet(_NOW)),
    or_(findings.c.deadline.is_(None), findings.c.deadline == items.c.expires_at),
    or_(findings.c.item_id.is_(None), items.c.id.is_not(None)),
    or_(
        tellings.c.owner_id == _OPERATORS,  # they hear of everything that gets to them
        exists()
        .where(item_owners.c.item_id == findings.c.item_id, owners.c.id == item_owners.c.owner_id)
        .where(or_(owners.c.id == tellings.c.owner_id, owners.c.deputy_id == tellings.c.owner_id)),
    ),
)
_TO_COME = select(sweeps.c.slot).where(
    sweeps.c.job == NIGHT_JOB, sweeps.c.slot == bindparam("night"), sweeps.c.done_at.is_(None)
)
_TOLD = tellings.join(findings, findings.c.topic == tellings.c.topic).outerjoin(
    items, items.c.id == findings.c.item_id
)
_NUMBERS = (
    select(tellings.c.owner_id, findings.c.kind, func.count().label("number"))
    .select_from(_TOLD)
    .where(_HOLDS)
    .group_by(tellings.c.owner_id, findings.c.kind)
)
_WITHIN_KIND = (findings.c.deadline.is_(None), findings.c.deadline, findings.c.item)
_PLACED = (
    select(
        *(findings.c[name] for name in ("id", "kind", "subject", "item_id", "item", "workflow", "deadline")),
        *(findings.c[name] for name in ("detail", "does", "command")),
        items.c.name.label("present_name"),
        rotations.c.id.label("rotation_id"),
        rotations.c.state.label("rotation_state"),
        tellings.c.owner_id.label("hearer_id"),
        func.row_number()
        .over(partition_by=(tellings.c.owner_id, findings.c.kind), order_by=_WITHIN_KIND)
        .label("place"),
    )
    .select_from(_TOLD.outerjoin(rotations, _OPEN_ROTATION))
    .where(_HOLDS)
    .subquery()
)
_WORST = select(_PLACED).where(_PLACED.c.place <= READ_OF_A_KIND)
_KINDS = frozenset(map(str, FindingKind))
_USERS = (
    select(references.c.item_id, references.c.consumer_name)
    .where(
        references.c.item_id.in_(bindparam("items", expanding=True)),
        references.c.active.is_(True),
        ~references.c.mentioned,
        references.c.consumer_id != references.c.item_id,
    )
    .distinct()
    .order_by(references.c.consumer_name)
)
_HEARER = func.coalesce(item_owners.c.owner_id, _OPERATORS)
_TOLD_AT_ONCE = exists().where(
    notices.c.dedupe_key == literal("rotation:") + rotations.c.id + literal(":done:") + _HEARER
)
"""By a notice of its own, since its night had closed."""
_ROTATED = (
    select(rotations, holds_new().label("made"), _HEARER.label("hearer_id"))
    .outerjoin(item_owners, item_owners.c.item_id == rotations.c.item_id)
    .where(
        rotations.c.told_night == _NIGHT,
        or_(item_owners.c.owner_id.in_(_OWNERS), and_(_AMONG, item_owners.c.owner_id.is_(None))),
        ~_TOLD_AT_ONCE,
    )
    .order_by(rotations.c.id)
)


class FoundForHearer(NamedTuple):
    """The worst of each kind, and how much there is of each."""

    lines: list[FoundLine]
    numbers: dict[FindingKind, int]


def find_findings(
    connection: Connection, hearers: Mapping[str, str], *, night: datetime, now: datetime, operators: str
) -> dict[str, FoundForHearer]:
    """What that night set down for these owners, given by id with their names, and found by id: what is still
    open, and of an expiry that is still the item's, and the reader's business. `operators`: the id of theirs.
    """
    asked = {"owners": list(hearers), "night": night, "now": now, "operators": operators}
    rows = fetch_sound(connection, lambda: connection.execute(_WORST, asked).all())
    if not rows:
        return {hearer: FoundForHearer([], {}) for hearer in hearers}
    many = any(row.place == READ_OF_A_KIND for row in rows)
    counted = connection.execute(_NUMBERS, asked).all() if many else []
    ids = sorted({row.item_id for row in rows if isinstance(row.item_id, str)})
    users = _users_of(connection, ids)
    names = owners_of(connection, ids)

    def write(row: Row[*tuple[Any, ...]]) -> tuple[str, FoundLine]:
        check_row(row, f"finding {row.id}")
        belongs = names.get(row.item_id, ())
        return row.hearer_id, FoundLine(
            kind=FindingKind(row.kind),
            subject=row.present_name or row.item or row.subject,
            detail=read_reason(row.detail),
            deadline=row.deadline,
            **_describe_help(row),
            users=() if row.workflow is not None else users.get(row.item_id, ()),
            belongs=() if hearers[row.hearer_id] in belongs else belongs,
        )

    lines: dict[str, list[FoundLine]] = {hearer: [] for hearer in hearers}
    numbers: dict[str, dict[FindingKind, int]] = {hearer: {} for hearer in hearers}
    for hearer, line in read_all(rows, write)[0]:
        lines[hearer].append(line)
    for row in counted:
        if row.kind in _KINDS:
            numbers[row.owner_id][FindingKind(row.kind)] = row.number
    return {
        hearer: FoundForHearer(its, Counter(line.kind for line in its) | numbers[hearer])
        for hearer, its in lines.items()
    }


def find_rotated(
    connection: Connection, owner_ids: Collection[str], *, night: datetime, operators: str
) -> dict[str, list[RotatedLine]]:
    """By the ids of these owners, their rotations of which that night's digest tells; to the operators, those
    of unowned items, too.
    """
    found: dict[str, list[RotatedLine]] = {one: [] for one in owner_ids}
    asked = {
        "owners": list(owner_ids), "night": night, "operators": operators, "operators_too": operators in found,
    }  # fmt: skip
    for hearer, line in read_all(connection.execute(_ROTATED, asked), _rotated_line)[0]:
        found[hearer].append(line)
    return found


def _rotated_line(row: Row[*tuple[Any, ...]]) -> tuple[str, RotatedLine]:
    check_row(row, f"rotation {row.id}")
    return row.hearer_id, RotatedLine(
        id=row.id,
        item=row.item,
        state=State(row.state),
        version=row.new_number,
        error=None if row.last_error is None else read_reason(row.last_error),
        waits_for=tuple(read_reasons(row.waits_for)),
        works=not (row.one_way or row.old_dead),
        made=bool(row.made),
    )


def _describe_help(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    """What Nightkey does about it, and what a person can type: of an expiry, as its rotation stands now."""
    if row.deadline is None or row.rotation_id is None:
        return {"does": None if row.does is None else read_reason(row.does), "command": row.command}
    does, command = describe_open(row.rotation_id, row.rotation_state)
    return {"does": does, "command": command}


def _users_of(connection: Connection, item_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The active consumers of each item by name, without its own rotator."""
    users: dict[str, tuple[str, ...]] = {}
    for row in connection.execute(_USERS, {"items": item_ids}):
        users[row.item_id] = (*users.get(row.item_id, ()), row.consumer_name)
    return users


# What is set down for a digest


class Untold(NamedTuple):
    """An open finding that may be news to somebody, for one owner of its item; `owner_id` None: it has none."""

    topic: str
    level: int
    owner_id: str | None
    deputy_id: str | None


def walk_untold(
    connection: Connection, *, operators: str, now: datetime, page_size: int
) -> Iterator[list[Untold]]:
    """In pages, without what cannot be read, which the scan tells."""
    for page in finding_rows.walk_untold(connection, operators=operators, now=now, page_size=page_size):
        yield read_all(page, _untold)[0]


def set_down_rotations(connection: Connection, night: datetime) -> None:
    """The digest of that night tells of those of which none has told yet."""
    connection.execute(
        update(rotations)
        .where(
            rotations.c.night.is_not(None),
            rotations.c.told_night.is_(None),
            rotations.c.state.in_([state.value for state in TOLD]),
        )
        .values(told_night=night)
    )


def list_to_tell(connection: Connection, night: datetime, operators: str) -> list[str]:
    """The ids of the owners for whom something was set down; the operators for what nobody owns."""
    told = set(
        connection.execute(select(tellings.c.owner_id).where(tellings.c.night == night).distinct()).scalars()
    )
    rotated = connection.execute(
        select(func.coalesce(owners.c.id, operators))
        .select_from(rotations)
        .outerjoin(item_owners, item_owners.c.item_id == rotations.c.item_id)
        .outerjoin(owners, owners.c.id == item_owners.c.owner_id)
        .where(rotations.c.told_night == night)
        .distinct()
    ).scalars()
    return sorted(filter(is_readable, told | set(rotated)))


def is_to_come(connection: Connection, night: datetime) -> bool:
    """Whether the night has not ended, so that its digest is still to be posted."""
    return connection.execute(_TO_COME, {"night": night}).first() is not None


def _untold(row: Row[*tuple[Any, ...]]) -> Untold:
    check_row(row, f"finding {row.id}")
    return Untold(topic=row.topic, level=row.level, owner_id=row.owner_id, deputy_id=row.deputy_id)
