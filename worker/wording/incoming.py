"""What is said of a file of items: line by line what became of each, what is not taken, and what is next."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from vaultcore.labels import join_line
from vaultcore.model import Kind
from vaultcore.rules import kind_of, show_duration
from worker.domain.incoming import Arrival, Contents, EntryFault, JudgedEntry
from worker.domain.proposals import ExpirySource, Plan

_FIELDS_MAX: Final = 10
_SHOWN_MAX: Final = 60
_OWNERS_MAX: Final = 20
_UNITS: Final = {"entry": "entries", "line": "lines"}
_GIVE: Final = "nightkey item update NAME --value-file PATH"


def explain_fault(fault: EntryFault, unit: str = "entry") -> str:
    named = "" if fault.name is None else f" ({_show(fault.name)})"
    left = "passed over" if fault.passed_over else "left out"
    return f"{unit} {fault.place}{named} is {left}: {fault.why}"


def describe_judged(judged: JudgedEntry, unit: str = "entry") -> str:
    """What became of an entry, in a line."""
    entry, plan = judged.entry, judged.plan
    if judged.arrival is Arrival.LEFT_OUT:
        return f"{unit} {entry.place} ({_show(entry.written or entry.name)}) is left out: {judged.why}"
    if judged.arrival is Arrival.THERE or plan is None:
        return f"{entry.name} is left alone: {judged.why or 'it is there already'}"
    made = "" if entry.written is None else f", from {_show(entry.written)}"
    has = "waits for its value" if entry.value is None else "has its value"
    parts = [has, describe_expiry(plan)]
    if plan.owners:
        parts.append(f"owner {', '.join(plan.owners)}")
    if entry.labels:
        parts.append(f"labels {join_line(entry.labels)}")
    if judged.why:
        parts.append(judged.why)
    return f"{entry.name} ({judged.item_id or 'with a new id'}){made}: {', '.join(parts)}"


def describe_expiry(plan: Plan) -> str:
    if plan.expires_at is None:
        return "never lapses" if plan.source in (ExpirySource.FILE, ExpirySource.SAID) else "no expiry"
    verb = "lapsed at" if plan.lapsed else "expires"
    said = {
        ExpirySource.PROPOSED: (
            f" (proposed for {plan.sort.called}: {show_duration(plan.sort.lifetime)} at most)"
        ),
        ExpirySource.VALUE: " (as its value says)",
    }
    return f"{verb} {plan.expires_at:%Y-%m-%d %H:%M} UTC{said.get(plan.source, '')}"


def describe_proposal(plan: Plan) -> str:
    """How it is kept from lapsing, and what could be: the dry run's second line."""
    mode = f"mode {plan.policy.mode}"
    if plan.policy.lifetime is not None:
        mode += f", lifetime {show_duration(plan.policy.lifetime)}"
    if plan.sort.rotator is None:
        return f"  {mode}; {plan.sort.called}: no rotator is known for it"
    return f"  {mode}; {plan.sort.called}: rotator {plan.sort.rotator} could replace it"


def summarise(contents: Contents, judged: Sequence[JudgedEntry], *, dry_run: bool) -> str:
    """How many of each, and what is next."""
    counted = Counter(one.arrival for one in judged)
    passed = sum(fault.passed_over for fault in contents.faults)
    out = counted[Arrival.LEFT_OUT] + len(contents.faults) - passed
    new, there = counted[Arrival.NEW], counted[Arrival.THERE]
    verb = "would come in" if dry_run else "came in"
    numbers = f"{_items(new)} {verb}, {there:,} there already, {out:,} left out"
    if passed:
        numbers += f", {passed:,} passed over"
    lapsed = sum(one.plan is not None and one.plan.lapsed for one in judged)
    if lapsed:
        numbers += f"; {_items(lapsed)} lapsed before"
    waits = any(_needs_value(one) for one in judged)
    give = f"; give each its value: {_GIVE}" if waits and not dry_run else ""
    return f"{numbers}{give}"


def describe_not_taken(contents: Contents) -> list[str]:
    """What of the file is not kept, a sentence for each."""
    told = [
        f"values are not taken from such a file: {_show(name)} of {_count(number, contents)} is left there; "
        f"give each by {_GIVE}"
        for name, number in _first(contents.values)
    ]
    told += [
        f"{_show(name)} of {_count(number, contents)} is not a field that is known here, and is left out"
        for name, number in _first(contents.fields)
    ]
    others = len(contents.fields) + len(contents.values) - len(told)
    if others:
        told.append(f"so are {others} other fields")
    if contents.settings:
        told.append(_describe_settings(contents.settings))
    if contents.undated:
        told.append(
            f"created_at of {_count(contents.undated, contents)} is not a time that can be kept: now is taken "
            "for it"
        )
    renamed = sum(entry.given_id is not None and entry.item_id is None for entry in contents.entries)
    if renamed:
        told.append(
            f"the id of {_count(renamed, contents)} is not vlt_ and a ULID in lower case: here it is another"
        )
    waits = sum(entry.value is None for entry in contents.entries)
    if contents.metadata and waits:
        told.append(f"the values of {_count(waits, contents)} are not in the file: {contents.metadata}")
    return told


def describe_strangers(names: Collection[str], owners: Sequence[str]) -> list[str]:
    """Owners that a file names and that there are not."""
    under = ", ".join(owners) or "nobody"
    told = [
        f"{_show(name)} is no owner here: what names it comes in under {under} "
        "(nightkey owner create makes one)"
        for name in sorted(names)[:_OWNERS_MAX]
    ]
    return [*told, f"so are {len(names) - _OWNERS_MAX} others"] if len(names) > _OWNERS_MAX else told


def _describe_settings(settings: Mapping[str, int]) -> str:
    shown = ", ".join(_show(name) for name, _ in _first(settings))
    others = f" and {len(settings) - _FIELDS_MAX} others" if len(settings) > _FIELDS_MAX else ""
    verb = "are no secrets by their names, and are" if len(settings) > 1 else "is no secret by its name, and is"
    return f"{shown}{others} {verb} left there: --all takes such, too"


def _needs_value(judged: JudgedEntry) -> bool:
    is_given = judged.entry.value is not None or kind_of(judged.entry.name) is Kind.API_KEY
    return judged.arrival is Arrival.NEW and not is_given


def _items(number: int) -> str:
    return "one item" if number == 1 else f"{number:,} items"


def _first(counted: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counted.items())[:_FIELDS_MAX]


def _count(number: int, contents: Contents) -> str:
    return f"one {contents.unit}" if number == 1 else f"{number:,} {_UNITS[contents.unit]}"


def _show(text: str) -> str:
    short = text[:_SHOWN_MAX]
    return repr(short) if short.isprintable() else ascii(short)


def describe_import(contents: Contents, judged: Sequence[JudgedEntry], *, dry_run: bool) -> dict[str, object]:
    """What became of each entry, as a program is given it."""
    items = [_describe(one) for one in judged]
    items += [
        {
            "place": fault.place,
            "name": fault.name,
            "arrival": "passed-over" if fault.passed_over else Arrival.LEFT_OUT,
            "why": fault.why,
        }
        for fault in contents.faults
    ]
    return {"dry_run": dry_run, "items": items, "not_taken": describe_not_taken(contents)}


def _describe(one: JudgedEntry) -> dict[str, object]:
    plan = one.plan
    told = {
        "place": one.entry.place,
        "name": one.entry.name,
        "written": one.entry.written,
        "id": one.item_id,
        "given_id": one.entry.given_id,
        "labels": {label.key: label.value for label in one.entry.labels},
        "has_value": one.entry.value is not None,
        "expires_at": one.entry.expires_at if plan is None else plan.expires_at,
        "arrival": one.arrival,
        "why": one.why,
    }
    if plan is None:
        return told
    return told | {
        "expiry_from": plan.source,
        "lapsed": plan.lapsed,
        "owners": list(plan.owners),
        "mode": plan.policy.mode,
        "lifetime": plan.policy.lifetime,
        "sort": plan.sort.called,
        "proposed_lifetime": plan.sort.lifetime,
        "proposed_rotator": plan.sort.rotator,
    }
