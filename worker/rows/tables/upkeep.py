"""What keeps the whole in order: signs of life, restores, comparisons, places that are held, checked rows,
requests that are answered once, messages that were taken.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    TypedColumns,
)

from vaultcore.tables import UtcDateTime, metadata
from worker.domain.drift import Result


class SignOfLifeColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    kind: Named[str] = Column(String(10))
    host: Named[str] = Column(String(255))
    pid: Named[int] = Column(Integer)
    started_at: Named[datetime] = Column(UtcDateTime)
    seen_at: Named[datetime] = Column(UtcDateTime)
    every_seconds: Named[int] = Column(Integer)


signs_of_life = Table("signs_of_life", metadata, SignOfLifeColumns)
"""One row for each process of a worker or of beat: seen while it works, and again within `every_seconds`."""


class RestorationColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    how: Named[str] = Column(String(10))
    at: Named[datetime] = Column(UtcDateTime)
    made_at: Named[datetime | None] = Column(UtcDateTime)
    seq: Named[int] = Column(BigInteger)
    by: Named[str] = Column(String(100))


restorations = Table("restorations", metadata, RestorationColumns)
"""This database was put back: from a backup `made_at` some time (`restored`), or by hand, which somebody then
told (`adopted`). `seq`: the last row of its audit log then."""


class ComparisonColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), primary_key=True)
    restoration_id: Named[str] = Column(String(40), ForeignKey("restorations.id"))
    result: Named[str] = Column(String(20), info={"one_of": Result})
    detail: Named[dict[str, Any]] = Column(JSON)
    next_at: Named[datetime] = Column(UtcDateTime)
    compared_at: Named[datetime | None] = Column(UtcDateTime)
    resolved_at: Named[datetime | None] = Column(UtcDateTime, info={"digested_as": "settled_at"})
    resolved_by: Named[str | None] = Column(String(100), info={"digested_as": "settled_by"})
    mac: Named[bytes | None] = Column(LargeBinary(32))


comparisons = Table(
    "comparisons",
    metadata,
    ComparisonColumns,
    info={"decides": ("restoration_id", "result", "resolved_at", "resolved_by"), "generation": 3},
)
"""One row per item of a vault that was put back: what its target accepts. Until it is resolved, by agreement or
by a person, nothing of the item is rotated or revoked."""


class HeldPlaceColumns(TypedColumns):
    place: Named[str] = Column(String(64), primary_key=True)
    asked_at: Named[datetime] = Column(UtcDateTime)
    until: Named[datetime] = Column(UtcDateTime)


held_places = Table("held_places", metadata, HeldPlaceColumns)
"""Hosts that asked not to be called for a while, by `Retry-After` or by a limit that is used up: no worker does
before. `place` is a digest: a host's name that a template makes may hold a value."""


class RequestColumns(TypedColumns):
    actor: Named[str] = Column(String(150))
    key: Named[str] = Column(String(64))
    digest: Named[str] = Column(String(64))
    asked_at: Named[datetime] = Column(UtcDateTime, index=True)
    key_id: Named[str | None] = Column(String(32))
    wrapped_key: Named[bytes | None] = Column(LargeBinary)
    record: Named[bytes | None] = Column(LargeBinary)


requests = Table("requests", metadata, RequestColumns, PrimaryKeyConstraint("actor", "key"))
"""What somebody asked for under a key of their own, so that the same is not begun twice: keyed digests of that
key with its place, and of what was asked, and the answer, sealed. Without one it is under way, or nobody knows
what came of it."""


class TakenMessageColumns(TypedColumns):
    id: Named[str] = Column(String(32), primary_key=True)


taken_messages = Table("taken_messages", metadata, TakenMessageColumns)
"""The messages that a worker has taken, so that one which somebody puts at the broker again is taken by nobody.
An id begins with when its message was sent: a new row goes behind all others, and those whose message would not
open any more, for its age, are forgotten from the beginning."""


class RowCheckColumns(TypedColumns):
    id: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    table_name: Named[str | None] = Column(String(40))
    key: Named[list[str | int] | None] = Column(JSON(none_as_null=True), info={"shape": "array"})
    begun_at: Named[datetime] = Column(UtcDateTime)
    whole_at: Named[datetime | None] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


row_checks = Table("row_checks", metadata, RowCheckColumns, info={"decides": ("table_name", "key", "begun_at")})
"""One row: where the nights' check of all rows that decide has come to (the primary key of the last one that
was looked at), when this round of it began, and when one last came to its end."""
