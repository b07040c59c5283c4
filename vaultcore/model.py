"""What the vault talks about: frozen data, no behaviour, never a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from vaultcore.quiet import QuietHours


class Unchanged:
    """Says that an update leaves a field as it is; None would say that it is taken away."""


UNCHANGED: Final = Unchanged()


class Kind(StrEnum):
    SECRET = "secret"  # noqa: S105  # the name of a kind
    """An ordinary item: a value that workflows send to somebody else."""
    API_KEY = "api-key"
    """A generated `wfk_` key that callers present to us; kept as a digest once shown."""


class Stage(StrEnum):
    PENDING = "pending"
    CURRENT = "current"
    PREVIOUS = "previous"
    DESTROYED = "destroyed"


class Mode(StrEnum):
    AUTO = "auto"
    """Nightkey replaces it by itself."""
    APPROVE = "approve"
    """Nightkey can replace it, and waits for a person to start that."""
    NOTIFY = "notify"
    """Only its owner can replace it; Nightkey tells them in time."""


class PrincipalKind(StrEnum):
    """Who asks: somebody, or a program."""

    PERSON = "person"
    SERVICE = "service"


class ConsumerKind(StrEnum):
    WORKFLOW = "workflow"
    """A node of a workflow uses the item."""
    ROTATOR = "rotator"
    """The rotator of another item uses it, to be let in where it issues and revokes."""


class Consumers(StrEnum):
    """Whether something here must read an item before Nightkey may replace its value."""

    REQUIRED = "required"
    NONE = "none"
    """Somebody says that nothing here needs to read it."""


class Staleness(StrEnum):
    MISSING = "missing"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    UNUSED = "unused"
    IDLE = "idle"


class Hygiene(StrEnum):
    NO_OWNER = "no-owner"
    NO_EXPIRY = "no-expiry"
    NO_PLAN = "no-plan"
    GENERIC_NAME = "generic-name"
    NO_VALUE = "no-value"
    """It came in as metadata alone, and waits for its value."""
    MISFIT = "misfit"
    """Its replacements live too shortly for its policy."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How an item is kept from lapsing. All times are durations; `thresholds` are days before expiry.

    `stated` tells a policy that somebody chose from the default that nobody did. `spread`: how far before
    the lead an item may fall due, by a stable hash (None: a quarter of the lead). `windows` and `freezes`
    are texts such as `0 2 * * 1-5 for 4h in Europe/Zurich`; where a value would lapse before one opens, it
    is replaced all the same (`expiry_first`) or waits. `canary` names the workflow that moves first
    (`auto`: the one that runs soonest and is not critical; None: all at once). `approval` is how long a
    request waits for a person, `pickup` how long a generated key waits to be collected, and `propagation` how
    long the other side may take to accept a new value; `answers` in a row are believed of it (None: as many as
    its rotator asks for). `renew`:
    where the old value stops working when the new one is issued, a refused one is followed by another
    without asking a person. `urgent`: its owners hear of it in their quiet hours, too. `consumers` says
    whether something here must read what is replaced. `target` names the system outside, where the
    rotator's own name for it is not the one meant. `copy_of` is the id of the item of which it holds the
    same credential. `named`: the named policy that it follows, whose parts it has but for those of its own.
    """

    mode: Mode = Mode.NOTIFY
    stated: bool = False
    rotator: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    lifetime: timedelta | None = None
    lead: timedelta = timedelta(days=14)
    spread: timedelta | None = None
    overlap: timedelta = timedelta(days=1)
    idle_after: timedelta = timedelta(days=90)
    thresholds: tuple[int, ...] = (30, 14, 7, 3, 1, 0)
    windows: tuple[str, ...] = ()
    freezes: tuple[str, ...] = ()
    expiry_first: bool = True
    canary: str | None = None
    four_eyes: bool = False
    approval: timedelta = timedelta(days=7)
    pickup: timedelta = timedelta(days=14)
    urgent: bool = False
    propagation: timedelta = timedelta(seconds=30)
    answers: int | None = None
    renew: bool = False
    target: str | None = None
    consumers: Consumers = Consumers.REQUIRED
    copy_of: str | None = None
    named: str | None = None


@dataclass(frozen=True, kw_only=True)
class NamedPolicy:
    """A policy under a name, for items to follow: `parts` are those that it says, as a file has them. Items
    have all of it stored with them, so that nothing has to be looked up when one is decided of.
    """

    id: str
    name: str
    parts: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Label:
    """What somebody has written on an item, to find it again: `env=prod`. The value may be empty."""

    key: str
    value: str


@dataclass(frozen=True, kw_only=True)
class LabelMatch:
    """Which labels are meant: those of that key, with that value; None: whichever value."""

    key: str
    value: str | None


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item as everybody may see it. `version` and `expires_at` are those of its current version, `owners`
    the names of those who answer for it; `labels` stand in the order of their keys.

    One without a version waits for its value: it came in as metadata, and its expiry is what that said. `life`
    is how long its current version lives from the day on which a rotation made it; None: none did, or it never
    lapses.
    """

    id: str
    name: str
    kind: Kind
    owners: tuple[str, ...]
    policy: Policy
    version: int | None
    expires_at: datetime | None
    due_at: datetime | None
    hold_until: datetime | None
    created_at: datetime
    updated_at: datetime
    life: timedelta | None = None
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Twin:
    """Another item that holds the same credential. `name`: what both change on the other side; None: both have
    the same value.
    """

    item_id: str
    item: str
    name: str | None


@dataclass(frozen=True, kw_only=True)
class KnownNames:
    """What the vault has of some names and ids: names by id, ids by name, names by what a reader sees."""

    by_id: Mapping[str, str]
    by_name: Mapping[str, str]
    by_look: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Version:
    """One value of an item, without the value. `external` is what the other side calls it."""

    item_id: str
    number: int
    stage: Stage
    expires_at: datetime | None
    created_at: datetime
    activated_at: datetime | None
    superseded_at: datetime | None
    destroyed_at: datetime | None
    filled: bool
    external: Mapping[str, Any]
    used_at: datetime | None = None
    last_used_at: datetime | None = None
    """When a caller presented this key of ours: first, and last, which is noted while a newer one is there."""
    issued_at: datetime | None = None
    """When a rotation made it; None: a person gave it, whenever it was made."""


@dataclass(frozen=True, kw_only=True)
class NodeReference:
    """What static analysis found: a node (or a rotator) names an item, by name or by id. `mentioned`: nothing
    looks the item up there.
    """

    node_id: str
    name: str | None
    item_id: str | None
    mentioned: bool = False


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One stored reference, with the proof that production runs left on it.

    `held_by` names the rotation that pinned it for a while; None with a pin: somebody pinned it.
    """

    consumer: ConsumerKind
    consumer_id: str
    consumer_name: str
    active: bool
    node_id: str
    written: str
    mentioned: bool
    elsewhere: bool
    item_id: str | None
    pinned: int | None
    held_by: str | None
    last_version: int | None
    last_run_at: datetime | None
    proven_version: int | None
    proven_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class ReferenceState:
    """A reference beside the state of its item: what staleness is decided from."""

    active: bool
    item_id: str | None
    expires_at: datetime | None
    current: int | None
    activated_at: datetime | None
    overlap: timedelta
    pinned: int | None
    last_version: int | None
    idle_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A person or a team. `quiet` are hours in their time zone `zone` in which only what is urgent is sent;
    the deputy hears of what does not reach them, or lapses all the same.
    """

    id: str
    name: str
    zone: str
    quiet: QuietHours | None
    deputy: str | None
    routes: tuple["Route", ...]
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where an owner is told. The URL holds tokens, so it is sealed; `shown` is its masked form.

    `recipients`: whom it leads to, by name; none where it leads to one place, or nobody has looked yet.
    """

    id: str
    owner_id: str
    shown: str
    recipients: tuple[str, ...]
    created_at: datetime
