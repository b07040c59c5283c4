"""What `n8n export:credentials` writes: an array of credentials, or one of them (`--separate`).

With `--decrypted` the secrets among a credential's fields come in; `secret_fields` says which. Without it the
values are sealed under that installation's key: such a credential comes in as metadata, under its own name.
Pure.
"""

from datetime import datetime
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.domain.proposals import find_hints
from worker.importing.headings import read_said
from worker.importing.json_items import check_number
from worker.importing.label_columns import pair_tags, take_tags
from worker.importing.secret_fields import Gathered, gather_secrets

_ITS_OWN: Final = frozenset(
    {"nodesAccess", "createdAt", "updatedAt", "isManaged", "shared", "homeProject", "id"}
)
_WHY: Final = "they are encrypted there: n8n export:credentials --all --decrypted writes them"


def is_n8n(raw: Any) -> bool:  # noqa: ANN401  # JSON
    first = raw[0] if isinstance(raw, list) and raw else raw
    if not isinstance(first, dict) or not first.keys() >= {"name", "type", "data"}:
        return False
    return bool(first.keys() & _ITS_OWN) and isinstance(first["data"], str | dict)


def read_credentials(raw: Any, *, now: datetime, takes_all: bool = False) -> Contents:  # noqa: ANN401  # JSON
    listed = raw if isinstance(raw, list) else [raw]
    if not listed or not any(isinstance(one, dict) and "data" in one for one in listed):
        raise InvalidInputError("it holds no credentials as n8n export:credentials writes them")
    check_number(listed)
    into, sealed = Gathered(), 0
    for place, one in enumerate(listed, start=1):
        fault = _find_fault(place, one)
        if fault is not None:
            into.faults.append(fault)
            continue
        said = read_said({"created at": ["createdAt"]}, one, now)
        into.undated += said.undated
        kind, tagged = one.get("type"), take_tags(pair_tags(one.get("tags")))
        entry = IncomingItem(
            place=place,
            name=one["name"],
            fits=True,
            created_at=said.created_at,
            hints=find_hints(kind) if isinstance(kind, str) else (),
            labels=tagged.labels,
            remark=tagged.remark,
        )
        if isinstance(one["data"], dict):
            gather_secrets(into, entry, one["data"], now, takes_all=takes_all)
        else:
            sealed += 1
            into.entries.append(entry)
    return Contents(
        entries=into.entries,
        faults=into.faults,
        settings=into.settings,
        undated=into.undated,
        metadata=_WHY if sealed else "",
    )


def _find_fault(place: int, one: Any) -> EntryFault | None:  # noqa: ANN401  # JSON
    if not isinstance(one, dict) or not isinstance(one.get("name"), str) or not one["name"].strip():
        return EntryFault(place=place, name=None, why="it is no credential with a name")
    if not isinstance(one.get("data"), str | dict):
        return EntryFault(place=place, name=one["name"], why="it has no data")
    return None
