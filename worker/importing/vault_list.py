"""SDX's answer to `GET /workflows/vault`: a JSON array of items, as metadata without values.

`{"data": […]}` around it, and a single object of `GET /workflows/vault/{vaultId}`, are taken, too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from vaultcore.model import Label
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.domain.proposals import EARLIEST, FAR
from worker.importing.json_items import check_number
from worker.importing.label_columns import read_row_labels

_LABELS: Final = "labels"
_FIELDS: Final = frozenset({"id", "name", "created_at", "expires_at", _LABELS})
"""SDX's answer has no labels: whoever writes such a list for us may give them."""
_VALUES: Final = frozenset({"secret", "value", "password", "passphrase", "token", "key", "private_key"})
"""Fields in which others keep a value. SDX's answer has none of them, so they are not even looked at."""
_AROUND: Final = frozenset({"data", "links", "meta"})


def is_vault_list(raw: Any) -> bool:  # noqa: ANN401  # JSON
    """Whether one of its items has an id of such a vault; a page of that answer is one, too."""
    around = isinstance(raw, dict) and isinstance(raw.get("data"), list) and raw.keys() <= _AROUND
    listed = raw["data"] if around else raw if isinstance(raw, list) else [raw]
    ids = (one.get("id") for one in listed if isinstance(one, dict))
    return around or any(isinstance(one, str) and one.startswith("vlt_") for one in ids)


def read_listed(raw: Any, *, now: datetime) -> Contents:  # noqa: ANN401  # JSON
    """What it tells of. `InvalidInputError` where it is no such answer; it quotes none of it."""
    fields = Counter[str]()
    listed = _find_list(raw, fields)
    check_number(listed)
    return read_entries(listed, now=now, around=fields)


def read_entries(listed: Sequence[Any], *, now: datetime, around: Mapping[str, int] | None = None) -> Contents:
    """The same of the entries alone. `around`: fields beside them that are unknown."""
    fields, values = Counter[str](around or {}), Counter[str]()
    entries: list[IncomingItem] = []
    faults: list[EntryFault] = []
    undated = 0
    for place, one in enumerate(listed, start=1):
        made = _read_entry(place, one, now)
        if isinstance(made, EntryFault):
            faults.append(made)
            continue
        entries.append(made)
        undated += made.created_at is None and one.get("created_at") is not None
        for name in one.keys() - _FIELDS:
            (values if name.lower() in _VALUES else fields)[name] += 1
    return Contents(entries=entries, faults=faults, fields=fields, values=values, undated=undated)


def _find_list(raw: Any, fields: Counter[str]) -> list[Any]:  # noqa: ANN401  # JSON
    data = raw.get("data") if isinstance(raw, dict) else raw
    if isinstance(data, list):
        fields.update(raw.keys() - _AROUND if data is not raw else ())
        return data
    if isinstance(raw, dict) and "name" in raw:
        return [raw]
    raise InvalidInputError(
        "it holds no items: a JSON array of them is read, as GET /workflows/vault answers it"
    )


def _read_entry(place: int, raw: Any, now: datetime) -> IncomingItem | EntryFault:  # noqa: ANN401  # JSON
    if not isinstance(raw, dict):
        return EntryFault(place=place, name=None, why="it is not an object with a name")
    name, given_id = raw.get("name"), raw.get("id")
    if not isinstance(name, str):
        return EntryFault(place=place, name=None, why="it has no name")
    expires_at = raw.get("expires_at")
    lapses = _read_time(expires_at, now)
    if expires_at is not None and lapses is None:
        taken = "a text such as 2026-12-24T18:00:00.000000Z, or null"
        why = f"its expires_at is not a time that can be kept: {taken}"
        return EntryFault(place=place, name=name, why=why)
    problem, labels = "", tuple[Label, ...]()
    try:
        labels = read_row_labels({_LABELS: raw.get(_LABELS)})
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        return EntryFault(place=place, name=name, why=problem)
    created = _read_time(raw.get("created_at"), now)
    return IncomingItem(
        place=place,
        name=name,
        given_id=given_id if isinstance(given_id, str | None) else "",  # what is not text is not shown either
        created_at=created if created is None or created <= now else None,
        expires_at=lapses,
        labels=labels,
    )


def _read_time(raw: object, now: datetime) -> datetime | None:
    """RFC 3339, and UTC where it names no zone; None for what is none, or lies centuries away."""
    if not isinstance(raw, str):
        return None
    try:
        read = datetime.fromisoformat(raw)
        time = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time if EARLIEST <= time <= now + FAR else None
