"""Items that a file tells of: what is read of it, and what becomes of each. Pure; never a value."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from vaultcore.errors import InvalidInputError
from vaultcore.model import KnownNames
from vaultcore.names import explain_likeness, normalise, skeleton
from vaultcore.rules import check_name, is_item_id
from worker.domain.commands import quote_word

ENTRIES_MAX: Final = 500
"""Of a call over HTTP, so that its body stays small; the command line sends more by several."""


@dataclass(frozen=True, kw_only=True)
class IncomingItem:
    """One item as the file tells of it; `place` counts from 1."""

    place: int
    name: str
    given_id: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None

    @property
    def item_id(self) -> str | None:
        """The given id, if it is one of ours."""
        return self.given_id if self.given_id is not None and is_item_id(self.given_id) else None


@dataclass(frozen=True, kw_only=True)
class EntryFault:
    """An entry of which no item can be made, and why."""

    place: int
    name: str | None
    why: str


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What a file holds. `fields` and `values` are what is not taken of it, by its name, and how many entries
    have it: fields that are unknown, and those in which a value may stand. `undated`: entries whose time of
    creation cannot be kept.
    """

    entries: Sequence[IncomingItem] = ()
    faults: Sequence[EntryFault] = ()
    fields: Mapping[str, int] = field(default_factory=dict)
    values: Mapping[str, int] = field(default_factory=dict)
    undated: int = 0


class Arrival(StrEnum):
    """What becomes of an entry."""

    NEW = "new"
    """It comes in, and waits for its value."""
    THERE = "there"
    """It was there already, and is left alone."""
    LEFT_OUT = "left-out"
    """A person must mend something first."""


@dataclass(frozen=True, kw_only=True)
class JudgedEntry:
    """`item_id` is the item's that is there, or is to be; None: it gets one. `why`: what there is to say."""

    entry: IncomingItem
    arrival: Arrival
    item_id: str | None
    why: str | None = None


def sort_out(contents: Contents) -> Contents:
    """Names as they are kept; what cannot be named, or is there twice in the file, is a fault."""
    kept: list[IncomingItem] = []
    faults = list(contents.faults)
    ids: dict[str, IncomingItem] = {}
    looks: dict[str, IncomingItem] = {}
    for given in contents.entries:
        try:
            entry = replace(given, name=check_name(given.name))
        except InvalidInputError as error:
            faults.append(EntryFault(place=given.place, name=given.name, why=str(error)))
            continue
        look = skeleton(entry.name)
        twin = looks.get(look) or ids.get(entry.item_id or "")
        if twin is not None:
            faults.append(EntryFault(place=entry.place, name=entry.name, why=_explain_twin(entry, twin)))
            continue
        looks[look] = entry
        if entry.item_id is not None:
            ids[entry.item_id] = entry
        kept.append(entry)
    return replace(contents, entries=kept, faults=sorted(faults, key=lambda one: one.place))


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
    return JudgedEntry(entry=entry, arrival=Arrival.NEW, item_id=given)


def explain_fault(fault: EntryFault) -> str:
    named = "" if fault.name is None else f" ({_show(fault.name)})"
    return f"entry {fault.place}{named} is left out: {fault.why}"


def describe_judged(judged: JudgedEntry) -> str:
    """What became of an entry, in a line."""
    entry = judged.entry
    if judged.arrival is Arrival.LEFT_OUT:
        return f"entry {entry.place} ({_show(entry.name)}) is left out: {judged.why}"
    if judged.arrival is Arrival.THERE:
        return f"{entry.name} is left alone: {judged.why or 'it is there already'}"
    expiry = "no expiry" if entry.expires_at is None else f"expires {entry.expires_at:%Y-%m-%d %H:%M} UTC"
    return f"{entry.name} ({judged.item_id or 'with a new id'}): waits for its value, {expiry}"


def summarise(contents: Contents, judged: Sequence[JudgedEntry], *, dry_run: bool) -> str:
    """How many of each, and what is next."""
    counted = Counter(one.arrival for one in judged)
    out = counted[Arrival.LEFT_OUT] + len(contents.faults)
    new, there = counted[Arrival.NEW], counted[Arrival.THERE]
    verb = "would come in" if dry_run else "came in"
    numbers = f"{_items(new)} {verb}, {there:,} there already, {out:,} left out"
    give = "; give each its value: nightkey item update NAME --value-file PATH" if new and not dry_run else ""
    return f"{numbers}{give}"


def describe_not_taken(contents: Contents) -> list[str]:
    """What of the file is not kept, a sentence for each."""
    told = [
        f"values are not taken from such a file: {_show(name)} of {_count(number)} is left there; give each by "
        "nightkey item update NAME --value-file PATH"
        for name, number in _first(contents.values)
    ]
    told += [
        f"{_show(name)} of {_count(number)} is not a field that is known here, and is left out"
        for name, number in _first(contents.fields)
    ]
    others = len(contents.fields) + len(contents.values) - len(told)
    if others:
        told.append(f"so are {others} other fields")
    if contents.undated:
        told.append(
            f"created_at of {_count(contents.undated)} is not a time that can be kept: now is taken for it"
        )
    renamed = sum(entry.given_id is not None and entry.item_id is None for entry in contents.entries)
    if renamed:
        told.append(f"the id of {_count(renamed)} is not vlt_ and a ULID in lower case: here it is another")
    return told


def describe_import(contents: Contents, judged: Sequence[JudgedEntry], *, dry_run: bool) -> dict[str, object]:
    """What became of each entry, as a program is given it."""
    items: list[dict[str, object]] = [
        {
            "place": one.entry.place,
            "name": one.entry.name,
            "id": one.item_id,
            "given_id": one.entry.given_id,
            "expires_at": one.entry.expires_at,
            "arrival": one.arrival,
            "why": one.why,
        }
        for one in judged
    ]
    items += [
        {"place": fault.place, "name": fault.name, "arrival": Arrival.LEFT_OUT, "why": fault.why}
        for fault in contents.faults
    ]
    return {"dry_run": dry_run, "items": items, "not_taken": describe_not_taken(contents)}


_FIELDS_MAX = 10
_SHOWN_MAX = 60


def _items(number: int) -> str:
    return "one item" if number == 1 else f"{number:,} items"


def _first(counted: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counted.items())[:_FIELDS_MAX]


def _count(number: int) -> str:
    return "one entry" if number == 1 else f"{number:,} entries"


def _show(text: str) -> str:
    short = text[:_SHOWN_MAX]
    return repr(short) if short.isprintable() else ascii(short)


def _explain_twin(entry: IncomingItem, twin: IncomingItem) -> str:
    if normalise(twin.name) == entry.name:
        return f"entry {twin.place} has that name already"
    if skeleton(twin.name) == skeleton(entry.name):
        likeness = explain_likeness(entry.name, twin.name)
        return f"its name looks like that of entry {twin.place}, {twin.name!r} ({likeness})"
    return f"entry {twin.place}, {twin.name!r}, has that id already"
