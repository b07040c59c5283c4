"""The contract of a rotator: one way to replace a credential.

Found by entry point `nightkey.rotators`. Every method is safe to repeat: a crash may have cut the
last call off before or after it took effect. Failures are `TargetError` with a cause; nothing
else should leave a rotator, and whatever does is taken for a mistake of ours.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from pydantic import BaseModel, ConfigDict

from vaultcore.model import Kind
from vaultcore.secret import Secret

if TYPE_CHECKING:  # whoever only plans makes no calls
    from worker.outbound import HttpClient, Network


ANSWERS_NEEDED: Final = 3
"""Good answers in a row, of whom nothing else is known: a service has several machines, and one may lag."""


class RotatorSettings(BaseModel):
    """The base of a rotator's settings: unknown ones are refused by name. Jobs of one policy share
    them, so that nobody changes what is in them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a rotator is given. `values` holds the items that its settings name, by name and by id.

    `label` is the same for every try of one rotation: put it on what you make outside, so that it
    can be found again when the answer was lost. `new_external` and `old_external` are what
    `Candidate.external` said of the two versions. `unanswered`: the other side was asked for a value,
    and it is not known whether it made one. `accepted`: the other side accepted `new` before, and it is in use.
    `held`: what the other side calls versions of the vault that are in use, of any item, as text: never to be
    swept. Ask whether one is in it: it may be too large to be listed. `shown`: `verify` has accepted `new`
    before, and refused a made-up value, so that what is refused by now is gone.

    `unproven`: no check can tell whether a value is accepted, and a person answers for `new`.
    `expires_at`: when `new` lapses, as far as is known here (None: nothing says it); `now` is the vault's time.
    """

    label: str
    item: str
    settings: RotatorSettings
    old: Secret | None
    new: Secret | None
    old_external: Mapping[str, Any]
    new_external: Mapping[str, Any]
    values: Mapping[str, Secret]
    http: "HttpClient"
    network: "Network"
    unanswered: bool = False
    accepted: bool = False
    held: AbstractSet[str] = frozenset()
    shown: bool = False

    unproven: bool = False
    expires_at: datetime | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A replacement. `external` is what the other side calls it (ids, never values). The nearest of the expiry
    that the other side set, of what the value bears in itself (a JWT, a certificate) and of the policy's
    lifetime is its own; one that is over rejects it (`worker.domain.ends` reads what another side says).
    """

    value: Secret
    external: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A credential that exists on the other side, as that calls it; `label` is what it bears there, if told."""

    id: str
    label: str | None = None


class FixedSentence(str):
    """What a rotator says that stands in the code as it is, and has no value in it: so it is not searched for
    values, as all else is that a rotator says. A module makes its own once, and never of what it was given.
    """

    __slots__ = ()


class ListsOutside(Protocol):
    """What a rotator may have beside the rest: after a restore, it tells of what the vault has forgotten."""

    def list_outside(self, job: Job, own: Sequence[Secret]) -> list[Outside] | None:
        """The credentials that work there, without the vault's `own`: those of the item's account, or at least
        those that bear `job.label`. None: the settings name no way to ask.
        """


def answers_needed(rotator: "Rotator", wanted: int | None) -> int:
    """How many good answers of `verify` in a row are believed: as many as a policy wants, else the rotator."""
    return wanted or int(getattr(rotator, "answers_needed", ANSWERS_NEEDED))


def asks_nobody(rotator: "Rotator", settings: RotatorSettings) -> bool:
    """Whether no other side could say that a value is accepted."""
    ask = getattr(rotator, "asks_nobody", None)
    return bool(ask(settings) if callable(ask) else ask)


class TellsEnds(Protocol):
    """What a rotator may have beside the rest: the other side puts an end to values by itself."""

    def read_end(self, job: Job) -> datetime | None:
        """When `job.new` ends there, asked once it is accepted; None: never. `install` extends it to
        `job.expires_at` where it may.
        """


class Names(Protocol):
    """What a rotator may have beside the rest: it names what there is one of on the other side."""

    def accounts(self, settings: Any) -> Sequence[str]:  # noqa: ANN401  # its own Settings
        """What it changes at its target, where that has room for one credential alone, such as
        `role orders`: another item of that name is dead once this one is rotated. Nothing: it cannot be told.
        """


class Foresees(Protocol):
    """What a rotator may have beside the rest: by its settings it knows where its first rotation stops."""

    def explain_first(self, settings: Any) -> str | None:  # noqa: ANN401  # its own Settings
        """Why it could not revoke a value that another hand issued, and what to do; None: it can, for all that
        the settings say.
        """


class SetsAnew(Protocol):
    """What a rotator may have beside the rest: it has rights of its own on the other side."""

    def sets_anew(self, settings: Any) -> bool:  # noqa: ANN401  # its own Settings
        """Whether it can put a new value in the place of one that is refused there: no step of it needs the
        old value to be accepted.
        """


def sets_anew(rotator: "Rotator", settings: RotatorSettings) -> bool:
    """As `SetsAnew` has it; one that does not say so needs a value that works."""
    ask = getattr(rotator, "sets_anew", None)
    return ask is not None and bool(ask(settings))


class Rotator(Protocol):
    """`create → install → verify → revoke`, and `undo` for the way back.

    The docstring of its class is its page in `nightkey rotator show`: what it changes on the other side, what
    it needs, what happens when it fails half-way. `needs` is a module that comes with an extra of ours, as
    (module, extra). `example` are settings that work as they stand.

    What it says of a step is searched for values before it is stored, unless it is a `FixedSentence`.

    These are its own to have or not: `asks_nobody(settings)`, true where the value works here alone and no
    other side could say whether it is accepted; `installs_nothing`, true where the value is accepted since it
    was made and `install` asks nobody; `creates_here`, true where `create` asks nobody and takes no time worth
    speaking of, so that the database may wait for it; `list_outside`, see `ListsOutside`; `read_end`, see
    `TellsEnds`; `accounts`, see `Names`; `explain_first`, see `Foresees`; `sets_anew`, see `SetsAnew`;
    `answers_needed`, a number, where other than three good answers of `verify` in a row are believed;
    `refuses_others`, true where whoever accepts a value in `verify` has shown that it knows it, and so would
    refuse any other.
    """

    Settings: ClassVar[type[RotatorSettings]]
    kind: ClassVar[Kind]
    """Which items it is for."""
    issues: ClassVar[bool]
    """Whether the other side makes the value: then a failed `create` may have left one there."""
    needs: ClassVar[tuple[str, str] | None]
    example: ClassVar[Mapping[str, Any]]

    def overlaps(self, settings: Any) -> bool:  # noqa: ANN401  # its own Settings
        """Whether the other side accepts the old and the new value at once: then the old one must still be
        accepted before the new one is taken away.
        """

    def target(self, settings: Any) -> str | None:  # noqa: ANN401  # its own Settings
        """Whom it talks to, such as a host: one rotation there tells of the next. None: nobody."""

    def create(self, job: Job) -> Candidate:
        """Makes the replacement. Nothing that works today stops working."""

    def install(self, job: Job) -> str:
        """The other side accepts `job.new` beside `job.old`. Says what was done."""

    def verify(self, job: Job, value: Secret) -> str:
        """Proves that the other side accepts the value; a rejection has cause `REJECTED`."""

    def revoke(self, job: Job) -> str:
        """The other side stops accepting `job.old`, and whatever else was made for this rotation beside
        `job.new`. Says what was done, and how it was proven.
        """

    def undo(self, job: Job) -> str:
        """Takes `job.new` away outside, as far as it ever got there. `job.new` may be None."""
