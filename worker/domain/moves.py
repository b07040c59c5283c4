"""A vault that is moved to another database: what is found at the target, and what follows from it. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from vaultcore.errors import RefusedError
from worker.domain.reasons import Reason

_NAMED_MAX: Final = 3


class Stance(StrEnum):
    """What the target is to a move."""

    EMPTY = "empty"
    BEGUN = "begun"
    """This move was begun there, and has not ended."""
    MOVED = "moved"
    """The vault is there whole: a move has ended."""


class Phase(StrEnum):
    """What a move is doing."""

    EXAMINING = "examining"
    PREPARING = "preparing"
    COPYING = "copying"
    COMPARING = "comparing"
    CHECKING = "checking"


class CopyFault(StrEnum):
    MISSING = "missing"
    DIFFERS = "differs"
    ADDED = "added"


@dataclass(frozen=True, kw_only=True)
class MoveHead:
    """Which vault is being moved to a target, in which form, since when."""

    deployment_id: str
    revision: str
    begun_at: datetime


@dataclass(frozen=True, kw_only=True)
class FoundTarget:
    """What was found there. `vault_id`: of the vault that it holds, if any."""

    tables: Collection[str]
    head: MoveHead | None
    vault_id: str | None


@dataclass(frozen=True, kw_only=True)
class RowDifference:
    """A row that is not the same in both. `fields`: in what, where it is in both."""

    table: str
    key: str
    fault: CopyFault
    fields: tuple[str, ...] = ()


class Hindrance(StrEnum):
    """What keeps a vault from being moved as it is."""

    LOG = "log"
    """The audit log is not whole."""
    EDITED = "edited"
    """A row was changed behind the vault's back, or its record does not open."""
    UNREADABLE = "unreadable"
    UNFIT = "unfit"
    """The target would refuse what the row holds."""
    AT_WORK = "at-work"
    """A process works on the vault, as its sign of life says."""
    LOCKED = "locked"
    """Somebody has the lock of the vault's home."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """`subject`: the row, by table and key, or who is at work. `fields` of the row; `detail` and `command` as a
    finding has them.
    """

    kind: Hindrance
    subject: str
    fields: tuple[str, ...] = ()
    detail: Reason | str = ""
    command: str | None = None


@dataclass(frozen=True, kw_only=True)
class MoveProgress:
    """How far it is: `done` of `total` rows, in which table; empty: no rows are counted."""

    phase: Phase
    table: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class PlannedMove:
    """What a move would copy, and what stands in its way."""

    source: str
    target: str
    stance: Stance
    counts: Mapping[str, int]
    obstacles: tuple[Obstacle, ...]


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What came of a move. `stance`: what the target was when it began. `counts`: rows of each table;
    `copied`: how many came this time. `written_since`: what of the rows that were copied before was not as it
    is in the vault, so that all was copied anew. `checked`: rows whose digests and records were looked at, and
    `edited` what was found of them and of the log, which has `audit_rows`. `is_handed_over`: the vault is at
    the target from now on.
    """

    source: str
    target: str
    stance: Stance
    counts: Mapping[str, int]
    copied: int
    seconds: float
    written_since: tuple[RowDifference, ...]
    differing: tuple[RowDifference, ...] = ()
    checked: int = 0
    edited: tuple[Obstacle, ...] = ()
    audit_rows: int = 0
    is_handed_over: bool = False

    @property
    def is_whole(self) -> bool:
        return not self.differing and not self.edited


def refuse_others(tables: Collection[str], *, where: str, ours: Collection[str]) -> None:
    """`RefusedError` where the target has tables that are no vault's, and no move's, which `ours` names."""
    others = sorted(set(tables) - set(ours))
    if others:
        raise RefusedError(f"{where} has other tables ({_name_some(others)}): name a database that is empty")


def judge_target(target: FoundTarget, *, deployment_id: str, where: str) -> Stance:
    """Of tables like ours; `RefusedError` where they are not this vault's."""
    if target.head is not None:
        if target.head.deployment_id != deployment_id:
            raise RefusedError(
                f"another vault ({target.head.deployment_id}) is being moved to {where}: name a database "
                "of its own"
            )
        return Stance.BEGUN
    if not target.tables:
        return Stance.EMPTY
    if target.vault_id == deployment_id:
        return Stance.MOVED
    vault = "a vault" if target.vault_id is None else f"another vault ({target.vault_id})"
    raise RefusedError(f"{where} has the tables of {vault}: name a database that is empty")


def _name_some(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_NAMED_MAX])
    more = len(names) - _NAMED_MAX
    return f"{shown} and {more} more" if more > 0 else shown
