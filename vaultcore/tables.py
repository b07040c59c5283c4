"""The vault's tables, typed. Everything that must hold is a constraint here, or a unique index in
`vaultcore.indexes`, not a convention.

Times are aware UTC (`UtcDateTime`); ids are `prefix_ulid`; sealed bytes are what
`vaultcore.crypto.envelope` made of a value. The worker adds its own tables to `metadata`. `info` says what a
column may hold beyond its type: `one_of` a few words, an empty text (`may_be_empty`), JSON of another `shape`
than an object. That of a table names the columns that decide what is done (`decides`): `mac` is their keyed
digest (`vaultcore.row_macs`). What only says when, or is shown, is none of them: it changes all the time.
`generation` is the one in which a table's rows got digests, if not the first; `added`, by generation, are the
columns that decide since then alone; `before`, by generation, how a row was when it was written otherwise.
`digested_as` is the name that a table or column had when its rows were first signed.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Named,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypedColumns,
    TypeDecorator,
    false,
)

from vaultcore.model import ConsumerKind, Kind, Mode, PrincipalKind, Stage
from vaultcore.stored import UNREADABLE

EARLIEST = 2000
"""No time of ours is from a year before that."""
_parse = datetime.fromisoformat
_TEXT_LENGTH = len("2026-03-01 02:00:00.000000")
"""Of a time as it is written into SQLite."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in, aware UTC out, microseconds kept; a naive time is a mistake and raises."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError("a stored time must know its time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  # the library's
        if not isinstance(value, datetime):  # none, or none that can be read
            return value
        if value.year < EARLIEST:
            return cast("datetime", UNREADABLE)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        """On SQLite, what has the form that we write is read by one call; whatever else there is, as above."""
        careful = super().result_processor(dialect, coltype)
        if careful is None or dialect.name != "sqlite":
            return careful

        def read(value: Any) -> datetime | None:  # noqa: ANN401  # DBAPI
            return None if value is None else read_written(value) or careful(value)

        return read


def read_written(value: Any) -> datetime | None:  # noqa: ANN401  # DBAPI
    """A time in the form in which we write it into SQLite; None: it is in no such form."""
    try:
        if len(value) == _TEXT_LENGTH:
            time = _parse(value + "+00:00")  # a fifth of what it takes to say later that it is UTC
            return time if time.tzinfo is UTC and time.year >= EARLIEST else None
    except (ValueError, TypeError):
        pass
    return None


_BY_CHARACTER = Text().with_variant(Text(collation="C"), "postgresql")
"""A text that is sorted by its characters' numbers, whatever the language of the server."""


class DeploymentColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    keyring_check: Named[str] = Column(String(64))
    created_at: Named[datetime] = Column(UtcDateTime)
    signed: Named[int | None] = Column(Integer)
    mac: Named[bytes | None] = Column(LargeBinary(32))


deployment = Table("deployment", metadata, DeploymentColumns, info={"decides": ("keyring_check", "signed")})
"""One row: which vault this is. Its id is bound into every sealed value; the check, made of it by the
keyring, tells a keyring of another vault before anything is sealed with it. Its `mac` says that the rows that
decide have theirs, and `signed` up to which generation of such tables (`vaultcore.signing_rows`)."""


class OwnerColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    name: Named[str] = Column(String(100), unique=True)
    skeleton: Named[str | None] = Column(Text, index=True)
    zone: Named[str] = Column(String(64), server_default="UTC")
    quiet: Named[str | None] = Column(String(11))
    deputy_id: Named[str | None] = Column(String(40), ForeignKey("owners.id"))
    created_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


owners = Table("owners", metadata, OwnerColumns, info={"decides": ("name", "zone", "quiet", "deputy_id")})
"""`quiet` is a time of day to another, such as `22:00-07:00`, in the time zone `zone`."""


class RouteColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    owner_id: Named[str] = Column(String(40), ForeignKey("owners.id"), index=True)
    shown: Named[str] = Column(Text)
    recipients: Named[list[str] | None] = Column(JSON(none_as_null=True), info={"shape": "array"})
    key_id: Named[str] = Column(String(32))
    wrapped_key: Named[bytes] = Column(LargeBinary)
    record: Named[bytes] = Column(LargeBinary)
    created_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


routes = Table(
    "routes",
    metadata,
    RouteColumns,
    info={"decides": ("owner_id", "shown", "recipients", "key_id", "wrapped_key", "record")},
)
"""Apprise URLs, sealed, since they hold tokens; `shown` is the masked form. `recipients`: whom it leads to, by
names that may be shown, one of them empty where it leads to one place; null: nobody has looked yet."""


class ItemColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    name: Named[str] = Column(String(50), unique=True)
    skeleton: Named[str | None] = Column(Text, index=True)
    kind: Named[str] = Column(String(10), info={"one_of": Kind})
    policy: Named[dict[str, Any]] = Column(JSON)
    overlap_seconds: Named[int] = Column(BigInteger)
    life_seconds: Named[int | None] = Column(BigInteger)
    idle_seconds: Named[int] = Column(BigInteger)
    hygiene: Named[str] = Column(String(100), info={"may_be_empty": True})
    copy_of: Named[str | None] = Column(String(40))
    expires_at: Named[datetime | None] = Column(UtcDateTime)
    due_at: Named[datetime | None] = Column(UtcDateTime)
    hold_until: Named[datetime | None] = Column(UtcDateTime)
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)
    sought: Named[str | None] = Column(_BY_CHARACTER)
    mode: Named[str | None] = Column(String(10), info={"one_of": Mode})
    rotator: Named[str | None] = Column(String(60))
    first_owner: Named[str | None] = Column(_BY_CHARACTER)
    owned_by: Named[str | None] = Column(Text)
    labelled: Named[str | None] = Column(Text, server_default="")
    mac: Named[bytes | None] = Column(LargeBinary(32))


items = Table(
    "items",
    metadata,
    ItemColumns,
    info={
        "decides": (
            "name",
            "kind",
            "policy",
            "overlap_seconds",
            "life_seconds",
            "idle_seconds",
            "hygiene",
            "copy_of",
            "expires_at",
            "due_at",
        )
    },
)
"""`skeleton` is what a reader sees of the name (`vaultcore.names`), for items, owners and workflows alike.
`expires_at`, `due_at`, `hygiene` and the durations are derived when an item changes, so that the night selects
by index what it must look at, and computes nothing over what it need not. `life_seconds` is that of its current
version, where a rotation made it, and bounds the others. `copy_of` is what its policy says: the item whose
credential it holds, too. An item that waits for its value has no version: `hygiene` says `no-value`, and
`expires_at` is what its metadata said. `sought` (the name without its case), `mode`, `rotator`, `first_owner`
(the first by name), `owned_by` (the ids of them all) and `labelled` (all labels, a line for each), these two
null where they are too long for an index, are there for lists alone, which find and sort by them: nothing is
decided by them."""


class ItemAccountColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), ForeignKey("items.id"))
    name: Named[str] = Column(String(600), index=True)
    mac: Named[bytes | None] = Column(LargeBinary(32))


item_accounts = Table(
    "item_accounts",
    metadata,
    ItemAccountColumns,
    PrimaryKeyConstraint("item_id", "name"),
    info={"decides": (), "generation": 3, "digested_as": "item_principals"},
)
"""The accounts that an item's rotator changes at its target system, where one has room for one credential."""


class ItemOwnerColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), ForeignKey("items.id"))
    owner_id: Named[str] = Column(String(40), ForeignKey("owners.id"), index=True)
    mac: Named[bytes | None] = Column(LargeBinary(32))


item_owners = Table(
    "item_owners",
    metadata,
    ItemOwnerColumns,
    PrimaryKeyConstraint("item_id", "owner_id"),
    info={"decides": ()},
)
"""Who answers for an item: all alike. Without a row it is nobody's, and the operators hear of it."""


class ItemLabelColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), ForeignKey("items.id"))
    key: Named[str] = Column(String(63))
    value: Named[str] = Column(String(100), info={"may_be_empty": True})
    mac: Named[bytes | None] = Column(LargeBinary(32))


item_labels = Table(
    "item_labels",
    metadata,
    ItemLabelColumns,
    PrimaryKeyConstraint("item_id", "key"),
    info={"decides": ("value",)},
)
"""What somebody has written on an item. No night decides by it, and yet each row has its digest: people choose
by labels which items they change at once, so that one which none of us wrote would lead their change astray."""


LISTED = ("sought", "owned_by", "labelled", "mode", "rotator", "hygiene", "expires_at", "due_at", "hold_until")
"""What a list of items is filtered by. Each order of it has an index with all of them, so that a page is read
from that index alone, however few of the items that it walks past are wanted.
"""


class VersionColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), ForeignKey("items.id"))
    number: Named[int] = Column(Integer)
    stage: Named[str] = Column(String(10), info={"one_of": Stage})
    expires_at: Named[datetime | None] = Column(UtcDateTime)
    created_at: Named[datetime] = Column(UtcDateTime)
    activated_at: Named[datetime | None] = Column(UtcDateTime)
    superseded_at: Named[datetime | None] = Column(UtcDateTime)
    destroyed_at: Named[datetime | None] = Column(UtcDateTime)
    used_at: Named[datetime | None] = Column(UtcDateTime)
    last_used_at: Named[datetime | None] = Column(UtcDateTime)
    issued_at: Named[datetime | None] = Column(UtcDateTime)
    key_id: Named[str | None] = Column(String(32))
    wrapped_key: Named[bytes | None] = Column(LargeBinary)
    record: Named[bytes | None] = Column(LargeBinary)
    digest: Named[bytes | None] = Column(LargeBinary(32), unique=True)
    likeness: Named[bytes | None] = Column(LargeBinary(32))
    external: Named[dict[str, Any]] = Column(JSON)
    mac: Named[bytes | None] = Column(LargeBinary(32))


versions = Table(
    "versions",
    metadata,
    VersionColumns,
    PrimaryKeyConstraint("item_id", "number"),
    CheckConstraint("stage IN ('pending', 'current', 'previous', 'destroyed')", name="stage_known"),
    CheckConstraint(
        "stage <> 'destroyed' OR (wrapped_key IS NULL AND record IS NULL)",
        name="destroyed_is_empty",
    ),
    CheckConstraint("(record IS NULL) = (wrapped_key IS NULL)", name="sealed_whole"),
    info={
        "decides": (
            "stage",
            "expires_at",
            "activated_at",
            "superseded_at",
            "used_at",
            "last_used_at",
            "issued_at",
            "key_id",
            "digest",
            "external",
        ),
        "added": {2: ("used_at", "last_used_at")},
    },
)
"""A pending version may be empty: it is the intent to ask somebody else for a value.

`used_at` is when a caller first presented this key to us, `last_used_at` when one last did, to the minute, and
noted only while a newer key is there: both are empty for what is no key of ours. `issued_at` is when a rotation
made it; empty for what a person gave, or gave another expiry. `likeness` is a keyed digest of the value, which
tells two items that hold the same one, and nothing else, to whoever has the keyring; it is empty for keys of
ours."""


class ReferenceColumns(TypedColumns):
    consumer: Named[str] = Column(String(10), info={"one_of": ConsumerKind})
    consumer_id: Named[str] = Column(String(40))
    consumer_name: Named[str] = Column(String(200))
    active: Named[bool] = Column(Boolean)
    node_id: Named[str] = Column(String(100))
    written: Named[str] = Column(String(60))
    mentioned: Named[bool] = Column(Boolean, server_default=false())
    elsewhere: Named[bool] = Column(Boolean, server_default=false())
    item_id: Named[str | None] = Column(String(40), ForeignKey("items.id"), index=True)
    pinned: Named[int | None] = Column(Integer)
    held_by: Named[str | None] = Column(String(40))
    current_version: Named[int | None] = Column(Integer)
    last_version: Named[int | None] = Column(Integer)
    last_run_at: Named[datetime | None] = Column(UtcDateTime)
    idle_at: Named[datetime | None] = Column(UtcDateTime)
    proven_version: Named[int | None] = Column(Integer)
    proven_at: Named[datetime | None] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


references = Table(
    "item_references",
    metadata,
    ReferenceColumns,
    PrimaryKeyConstraint("consumer_id", "node_id", "written"),
    info={
        "decides": (
            "consumer",
            "active",
            "mentioned",
            "elsewhere",
            "item_id",
            "pinned",
            "held_by",
            "current_version",
            "proven_version",
            "proven_at",
        ),
        "added": {5: ("current_version",)},
    },
)
"""Who uses what. `written` is the name or id as the template has it; `item_id` is null while no such
item exists. The proof of a production run stands here, because runs themselves are not kept for ever. One that
is only `mentioned` stands where nothing looks the item up: it is scanned, and has nothing to prove. With
`elsewhere` another engine runs the consumer, and is given no value by us. `current_version` is the number of
the item's current version (`vaultcore.current_numbers`), so that an index has what is behind."""


class NamedPolicyColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    name: Named[str] = Column(String(50), unique=True)
    skeleton: Named[str | None] = Column(Text, index=True)
    parts: Named[dict[str, Any]] = Column(JSON)
    created_at: Named[datetime] = Column(UtcDateTime)
    updated_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


named_policies = Table("named_policies", metadata, NamedPolicyColumns, info={"decides": ("name", "parts")})
"""Policies under a name, for items to follow. An item has the whole of its policy in its own row, with the name
of the one that it follows: so no night looks here, and a changed one is put into each item that follows it."""


class PrincipalColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    name: Named[str] = Column(String(100), unique=True)
    skeleton: Named[str | None] = Column(Text, index=True)
    kind: Named[str] = Column(String(10), info={"one_of": PrincipalKind})
    roles: Named[list[str]] = Column(JSON, info={"shape": "array"})
    owner_ids: Named[list[str]] = Column(JSON, info={"shape": "array"})
    created_at: Named[datetime] = Column(UtcDateTime)
    disabled_at: Named[datetime | None] = Column(UtcDateTime)
    subject: Named[str | None] = Column(String(500), unique=True)
    mac: Named[bytes | None] = Column(LargeBinary(32))


principals = Table(
    "principals",
    metadata,
    PrincipalColumns,
    info={"decides": ("name", "kind", "roles", "owner_ids", "disabled_at", "subject")},
)
"""Who may ask for what: people and services. With the role `owner` they answer for the owners `owner_ids`.
`subject`: who it is at an identity provider, as its issuer and what that calls it."""


class TokenColumns(TypedColumns):
    item_id: Named[str] = Column(String(40), primary_key=True)
    principal_id: Named[str] = Column(String(40), ForeignKey("principals.id"), index=True)
    created_at: Named[datetime] = Column(UtcDateTime)
    mac: Named[bytes | None] = Column(LargeBinary(32))


tokens = Table("tokens", metadata, TokenColumns, info={"decides": ("principal_id",)})
"""The bearer tokens of principals. Each is an `api-key:` item: digest, expiry, last use, rotation and pickup
are the item's; here stands as whom it lets its bearer in."""


class SessionColumns(TypedColumns):
    id: Named[str] = Column(String(40), primary_key=True)
    digest: Named[bytes] = Column(LargeBinary(32), unique=True)
    is_link: Named[bool] = Column(Boolean)
    principal_id: Named[str | None] = Column(String(40), ForeignKey("principals.id"), index=True)
    actor: Named[str] = Column(String(100))
    created_at: Named[datetime] = Column(UtcDateTime)
    expires_at: Named[datetime] = Column(UtcDateTime, index=True)
    mac: Named[bytes | None] = Column(LargeBinary(32))


sessions = Table(
    "sessions",
    metadata,
    SessionColumns,
    info={"decides": ("digest", "is_link", "principal_id", "actor", "expires_at")},
)
"""Who is signed in to the console, by the SHA-256 digest of what their browser presents; and (`is_link`) who
may sign in once with what a link holds. Without a principal it is whoever may read the keyring, by the name
`actor`."""


class AuditColumns(TypedColumns):
    seq: Named[int] = Column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    at: Named[datetime] = Column(UtcDateTime)
    actor: Named[str] = Column(String(100))
    action: Named[str] = Column(String(60))
    subject: Named[str] = Column(String(100))
    details: Named[dict[str, Any]] = Column(JSON)
    hash: Named[bytes] = Column(LargeBinary(32))


audit = Table("audit", metadata, AuditColumns)


class AuditHeadColumns(TypedColumns):
    id: Named[int] = Column(Integer, primary_key=True, autoincrement=False)
    seq: Named[int] = Column(BigInteger)
    hash: Named[bytes] = Column(LargeBinary(32))


audit_head = Table("audit_head", metadata, AuditHeadColumns, CheckConstraint("id = 1", name="one_row"))
"""One row, on which writers take turns."""
