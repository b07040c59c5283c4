"""Items that a file tells of: what is read of it, and what becomes of each. Pure. Values are `Secret`s."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from vaultcore.errors import InvalidInputError
from vaultcore.model import KnownNames, Label, Policy
from vaultcore.names import explain_likeness, normalise, skeleton
from vaultcore.rules import check_given, check_name, check_value, is_item_id
from vaultcore.secret import Secret
from worker.domain.commands import quote_word
from worker.domain.fitting import fit_name
from worker.domain.proposals import ExpirySource, Plan, propose

ENTRIES_MAX: Final = 500
"""Of a call over HTTP, so that its body stays small; the command line sends more by several."""


@dataclass(frozen=True, kw_only=True)
class IncomingItem:
    """One item as the file tells of it; `place` counts from 1: entries or lines.

    `written` is what the file calls it, where that is not its name. `fits`: a name that the vault does not take
    may be made to fit; otherwise others name it as it is. `value` None: the file holds none. `value_file` is
    where it stands instead. `lapses` false: the file says that it never does. `owners` are whom the file names,
    `hints` are known words that tell what it
    opens. `remark`: what is not taken of it, though it comes in.
    """

    place: int
    name: str
    written: str | None = None
    fits: bool = False
    given_id: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    lapses: bool = True
    lifetime: timedelta | None = None
    value: Secret | None = None
    value_file: str | None = None
    owners: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    labels: tuple[Label, ...] = ()
    remark: str = ""

    @property
    def item_id(self) -> str | None:
        """The given id, if it is one of ours."""
        return self.given_id if self.given_id is not None and is_item_id(self.given_id) else None


@dataclass(frozen=True, kw_only=True)
class EntryFault:
    """An entry of which no item can be made, and why. `passed_over`: there is nothing to mend."""

    place: int
    name: str | None
    why: str
    passed_over: bool = False


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file holds. `fields` and `values` are what is not taken of it, by its name, and how many entries
    have it: fields that are unknown, and those in which a value may stand. `settings` are fields and variables
    that hold no secret by their name. `undated`: entries whose time of creation cannot be kept; `metadata`: why
    those without a value have none. `unit` is what a place counts.
    """

    entries: Sequence[IncomingItem] = ()
    faults: Sequence[EntryFault] = ()
    fields: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, int] = field(default_factory=dict)
    undated: int = 0
    metadata: str = ""
    unit: str = "entry"


class Arrival(StrEnum):
    """What becomes of an entry."""

    NEW = "new"
    """It comes in: with its value, or it waits for that."""
    THERE = "there"
    """It was there already, and is left alone."""
    LEFT_OUT = "left-out"
    """A person must mend something first."""


@dataclass(frozen=True, kw_only=True)
class JudgedEntry:
    """`item_id` is the item's that is there, or is to be; None: it gets one. `why`: what there is to say.
    `plan` is what a new one comes in with.
    """

    entry: IncomingItem
    arrival: Arrival
    item_id: str | None
    why: str | None = None
    plan: Plan | None = None


def sort_out(contents: Contents) -> Contents:
    """Names and values as they are kept; what cannot be named or stored, or is there twice in the file, is a
    fault, which quotes no value.
    """
    kept: list[IncomingItem] = []
    faults = list(contents.faults)
    ids: dict[str, IncomingItem] = {}
    looks: dict[str, IncomingItem] = {}
    for given in contents.entries:
        name, problem = _name(given)
        problem = problem or _explain_value(name, given.value)
        if problem:
            faults.append(EntryFault(place=given.place, name=given.written or given.name, why=problem))
            continue
        entry = given if name == given.name else replace(given, name=name, written=given.written or given.name)
        look = skeleton(entry.name)
        twin = looks.get(look) or ids.get(entry.item_id or "")
        if twin is not None:
            why = _explain_twin(entry, twin, contents.unit)
            faults.append(EntryFault(place=entry.place, name=entry.written or entry.name, why=why))
            continue
        looks[look] = entry
        if entry.item_id is not None:
            ids[entry.item_id] = entry
        kept.append(entry)
    return replace(contents, entries=kept, faults=sorted(faults, key=lambda one: one.place))


def _name(given: IncomingItem) -> tuple[str, str]:
    """The name as it is kept, or why there is none."""
    try:
        return (fit_name if given.fits else check_name)(given.name), ""
    except InvalidInputError as error:
        return given.name, str(error)


def _explain_value(name: str, value: Secret | None) -> str:
    """Why it cannot be stored; empty: it can be."""
    if value is None:
        return ""
    try:
        check_given(name, is_given=True)
        check_value(value.expose(), name=name)
    except InvalidInputError as error:
        return str(error)
    return ""


def judge(entry: IncomingItem, known: KnownNames) -> JudgedEntry:
    """Against what the vault has: an item is never changed by an entry."""
    given = entry.item_id
    named = known.by_name.get(entry.name)
    held = None if given is None else known.by_id.get(given)
    if given is not None and held is not None and held != entry.name:
        rename = f"nightkey item update {given} --name {quote_word(entry.name)}"
        why = f"its id is that of {held!r} here: if they are one, rename that once nothing names it ({rename})"
        return JudgedEntry(entry=entry, arrival=Arrival.LEFT_OUT, item_id=given, why=why)
    if named is not None:
        differs = given is not None and given != named
        other_id = f"it is there as {named}: what uses it by the id {given} does not find it"
        return JudgedEntry(entry=entry, arrival=Arrival.THERE, item_id=named, why=other_id if differs else None)
    other = known.by_look.get(skeleton(entry.name))
    if other is not None:
        why = f"its name looks like {other!r}, which exists already ({explain_likeness(entry.name, other)})"
        return JudgedEntry(entry=entry, arrival=Arrival.LEFT_OUT, item_id=None, why=why)
    return JudgedEntry(entry=entry, arrival=Arrival.NEW, item_id=given, why=entry.remark or None)


def plan_waiting(entry: IncomingItem, owners: Sequence[str], now: datetime) -> Plan:
    """What an entry that is metadata alone comes in with."""
    lapses = entry.expires_at
    return Plan(
        policy=Policy(),
        owners=tuple(owners),
        expires_at=lapses,
        source=ExpirySource.NOBODY if lapses is None and entry.lapses else ExpirySource.FILE,
        sort=propose(entry.name, entry.hints, None),
        lapsed=lapses is not None and lapses <= now,
    )


def explain_difference(judged: JudgedEntry, stored: Mapping[str, bytes | None], likeness: bytes) -> str | None:
    """Why an item that is there has another value than its entry, or none; None: it has the same, or it is not
    known. `stored`: the likenesses of current values, by the ids of items.
    """
    held = stored.get(judged.item_id or "")
    give = f"nightkey item update {quote_word(judged.entry.name)} --value-file PATH"
    if judged.item_id not in stored:
        return f"it is there, and waits for its value: {give}"
    return None if held in (None, likeness) else f"it is there with another value: {give} gives it this one"


def _explain_twin(entry: IncomingItem, twin: IncomingItem, unit: str) -> str:
    if normalise(twin.name) == entry.name:
        return f"{unit} {twin.place} has that name already"
    if skeleton(twin.name) == skeleton(entry.name):
        likeness = explain_likeness(entry.name, twin.name)
        return f"its name looks like that of {unit} {twin.place}, {twin.name!r} ({likeness})"
    return f"{unit} {twin.place}, {twin.name!r}, has that id already"
