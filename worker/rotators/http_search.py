"""What of a rotation exists at the service: found by its label, and told from what is somebody else's."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace

from vaultcore.errors import TargetError
from worker.rotators import base
from worker.rotators.http_lists import Entry, Listing, list_all
from worker.rotators.http_requests import settings_of

_CUT_MIN = 12
"""A label that begins as ours does for so long, and ends there, is ours, cut."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """`ids` bear the rotation's label beyond doubt. `doubt`: why there may be others; None: there are none.
    `others` are listed, and do not bear it: never to be revoked for this rotation.
    """

    ids: frozenset[str]
    doubt: str | None = None
    others: frozenset[str] = frozenset()


def find_ours(job: base.Job) -> Found:
    """What is listed under this rotation's label.

    Where the entries tell their labels, only what bears it counts. Where they do not, what the service gives
    for the label is believed, unless a version that is in use is among it: see `doubt_filter`.
    """
    settings = settings_of(job)
    if settings.find is None:
        return Found(ids=frozenset(), doubt="no `find` is set to look it up")
    listing = list_all(settings.find, job, what="find")
    ours, doubt, others = listing.entries, _doubt_of(listing), frozenset[str]()
    if settings.find_label is not None:
        labels = [entry.tells(settings.find_label) for entry in listing.entries]
        ours = [entry for entry, label in zip(listing.entries, labels, strict=True) if label == job.label]
        doubt = doubt or _doubt_labels(labels, settings.find_label, job.label)
        others = _read_others(listing.entries, labels, job.label)
    ids = frozenset(entry.read_id() for entry in ours)
    if ids & job.held:
        why = "find lists versions that are in use under this rotation's label"
        return Found(ids=frozenset(), doubt=why, others=others)
    return Found(ids=ids, doubt=doubt, others=others)


def _read_others(entries: Sequence[Entry], labels: Sequence[object], label: str) -> frozenset[str]:
    """What bears another label, or none, where labels are told. One that was cut off, or added to, may be ours.
    What has no id can be taken for nothing.
    """
    ids = set()
    if any(isinstance(one, str) for one in labels):
        for entry, one in zip(entries, labels, strict=True):
            if isinstance(one, str) and (label in one or _is_cut(one, label)):
                continue
            with suppress(TargetError):
                ids.add(entry.read_id())
    return frozenset(ids)


def doubt_filter(job: base.Job) -> str | None:
    """Why what is listed for a label need not bear it; None: it does. Asked before anything is swept.

    Where the entries do not tell their labels, a label that nobody bears is asked for: a service that lists
    anything for it filters nothing, or finds by parts. The label differs in its last character alone, so that
    one that cuts labels off shows, too.
    """
    settings = settings_of(job)
    if settings.find is None or settings.find_label is not None:
        return None
    fresh = job.label[:-1] + ("0" if job.label[-1:] != "0" else "1")
    listing = list_all(settings.find, replace(job, label=fresh), what="find", none_is_empty=True)
    if not listing.entries and listing.partial is None:
        return None
    if not listing.entries:
        return f"whether find filters by the label cannot be told: {_doubt_of(listing)}"
    return (
        f"find lists what does not bear the label that it asks for ({len(listing.entries)} for a label that "
        "nobody bears), so that what is ours cannot be told: let it filter, or set find_label"
    )


def choose_leftovers(job: base.Job, found: Found, known: AbstractSet[str | None]) -> Found:
    """What may be revoked beside what is `known`: that is this rotation's, whatever else is listed."""
    others = found.ids - known
    if not others:
        return Found(ids=frozenset(), doubt=found.doubt)
    unfiltered = doubt_filter(job)
    if unfiltered is not None:
        return Found(ids=frozenset(), doubt=unfiltered)
    return Found(ids=others, doubt=found.doubt)


def list_working(job: base.Job) -> tuple[list[base.Outside], str | None]:
    """What works there, by `inventory`, or else what bears this rotation's label, by `find`; and why there may
    be more. Ids of versions that are in use are left out.
    """
    settings = settings_of(job)
    by_label = settings.inventory is None
    request, what = (settings.find, "find") if by_label else (settings.inventory, "inventory")
    if request is None:
        return [], None
    listing = list_all(request, job, what=what)
    found = []
    for entry in listing.entries:
        label = entry.tells(settings.find_label if by_label else settings.inventory_label)
        is_theirs = by_label and settings.find_label is not None and label != job.label
        if not is_theirs and entry.tells(settings.inventory_gone) is not True:
            shown = label if isinstance(label, str) else job.label if by_label else None
            found.append(base.Outside(id=entry.read_id(), label=shown))
    held = frozenset(one.id for one in found) & job.held  # asked once for all
    found = [one for one in found if one.id not in held]
    if found and by_label and doubt_filter(job) is not None:
        return [], None
    return found, None if listing.partial is None else f"{what}: {_doubt_of(listing)}"


def _doubt_of(listing: Listing) -> str | None:
    return None if listing.partial is None else f"only a part of the list was read: {listing.partial}"


def _doubt_labels(labels: list[object], path: str, label: str) -> str | None:
    """Whether ours would be known by its label, if it were among them."""
    told = [one for one in labels if isinstance(one, str)]
    if labels and not told:
        return f"no entry that find lists tells its label at {path}"
    if any(_is_cut(one, label) for one in told):
        return "the service cuts labels off, so that what is ours cannot be told"
    return None


def _is_cut(told: str, label: str) -> bool:
    return len(told) >= _CUT_MIN and told != label and label.startswith(told)
