"""What must be true of an item once its rotations have come to rest, whatever happened on the way."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select

from vaultcore.errors import NightkeyError
from vaultcore.model import Stage
from vaultcore.versions import Purpose
from worker.bootstrap import Services
from worker.rows.tables import deliveries, rotations, run_states, runs

_RUN_ENDS = timedelta(hours=2)
"""Long after any run has ended, or was found lost."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A version, and the digest of its value if it still has one that opens."""

    number: int
    stage: Stage
    digest: str | None


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the vault holds of one item, and how its workflow ran just now; everything in it may be shown."""

    item: str
    versions: list[Held]
    unfinished: list[str]
    """Its rotations that have not finished, as `id state`."""
    run: str


def look(services: Services, item: str, *, run: str) -> Known:
    with services.database.read() as connection:
        found = services.vault.get(connection, item)
        stored = services.versions.of_item(connection, found.id)
        unfinished = connection.execute(
            select(rotations.c.id, rotations.c.state, rotations.c.last_error).where(
                rotations.c.item_id == found.id, rotations.c.finished_at.is_(None)
            )
        ).all()
    held = [
        Held(number=v.number, stage=v.stage, digest=_digest(services, found.id, v.number) if v.filled else None)
        for v in stored
    ]
    return Known(
        item=item,
        versions=held,
        unfinished=[f"{row.id} {row.state}: {row.last_error}" for row in unfinished],
        run=run,
    )


def find_violations(known: Known, accepted: Mapping[str, str], *, at_rest: bool = True) -> list[str]:
    """`accepted`: the digest of every value that the target accepts for the item, with its id there.

    An item that is not `at_rest` has a rotation that waits for a person, who never comes, and keeps both
    versions for them. Its value lapses meanwhile, and nobody replaces it; if we took away the last one that
    worked, the target tells that itself.
    """
    found = []
    current = [v for v in known.versions if v.stage is Stage.CURRENT]
    kept = {v.digest for v in known.versions if v.stage is not Stage.DESTROYED}
    if len(current) != 1:
        found.append(f"{len(current)} current versions")
    found += [
        f"version {v.number} is current, and the target refuses it"
        for v in current
        if at_rest and v.digest not in accepted
    ]
    found += [f"the target accepts {name}, of which the vault knows nothing"
              for digest, name in accepted.items() if digest not in kept]  # fmt: skip
    if not at_rest:
        return [f"{known.item}: {problem}" for problem in found]
    found += [f"version {v.number} is still pending" for v in known.versions if v.stage is Stage.PENDING]
    if sum(v.stage is Stage.PREVIOUS for v in known.versions) > 1:
        found.append("more than one previous version")
    found += [f"not finished: {rotation}" for rotation in known.unfinished]
    if known.run != "completed":
        found.append(f"the workflow does not run: {known.run}")
    return [f"{known.item}: {problem}" for problem in found]


def find_audit_violations(services: Services) -> list[str]:
    """The whole chain: takes the longer, the more has happened."""
    return [f"audit: {problem}" for problem in services.upkeep.anchors.verify().problems]


def find_vault_violations(services: Services) -> list[str]:
    """What holds for the vault as a whole: nobody is left untold, and nothing of a run outlives it."""
    with services.database.read() as connection:
        waiting = connection.execute(
            select(deliveries.c.notice_id).where(deliveries.c.state == "waiting")
        ).all()
        over = connection.execute(
            select(run_states.c.run_id)
            .join(runs, runs.c.id == run_states.c.run_id)
            .where(or_(runs.c.completed_at.is_not(None), run_states.c.resume_at < services.clock() - _RUN_ENDS))
        ).scalars()
        kept = [f"run {run_id} is over, and what it kept is still there" for run_id in over]
    return [f"notice {row.notice_id} was not delivered" for row in waiting] + kept


def _digest(services: Services, item_id: str, number: int) -> str | None:
    try:
        with services.database.write() as connection:
            value = services.versions.reveal(
                connection, item_id, number, purpose=Purpose.ROTATION, actor="test"
            )
    except NightkeyError:
        return None
    return hashlib.sha256(value.expose().encode()).hexdigest()
