"""Several fields that stand together under one name, and which of them are secrets: one rule for all formats.

A field is a secret if its last word says so (`apiKey`, `db_password`), or if it is an address with a login in
it. One secret is the item of that name. Several are an item each: `prod-billing` with `apiKey` and
`webhook_secret` makes `prod-billing-api-key` and `prod-billing-webhook-secret`. Where no field says that it is
one, a field that stands alone is, and otherwise each field that says nothing else of the item. A key document
(a JSON object with `private_key` and `client_email`) is one value, whole. Pure.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.domain.fitting import name_of_field, split_words
from worker.domain.incoming import EntryFault, IncomingItem
from worker.domain.proposals import find_hints, holds_login
from worker.importing.headings import NAME, VALUE, VALUE_FILE, find_columns, read_said, read_text_value
from worker.importing.label_columns import FoundLabels, add_found, is_of_labels, take_field_labels

_SECRETS: Final = frozenset(
    "apikey credential credentials dsn key kubeconfig pass passcode passphrase passwd password passwords pat "
    "pin pw pwd secret secrets token tokens value".split()
)
_NO_SECRETS: Final = frozenset({"public key", "host key", "client key id", "primary key", "sort key", "key id"})
_PAIRS: Final = frozenset({"connection string", "service account"})
_KEY_DOCUMENT: Final = frozenset({"private_key", "client_email"})


@dataclass(kw_only=True)
class Gathered:
    """What has been read so far."""

    entries: list[IncomingItem] = field(default_factory=list)
    faults: list[EntryFault] = field(default_factory=list)
    settings: Counter[str] = field(default_factory=Counter)
    undated: int = 0


def is_secret_name(called: str) -> bool:
    words = split_words(called.rpartition(".")[2])
    last_two = " ".join(words[-2:])
    return bool(words) and last_two not in _NO_SECRETS and (words[-1] in _SECRETS or last_two in _PAIRS)


def is_secret(called: str, raw: Any) -> bool:  # noqa: ANN401  # JSON
    """By its name, or because it is an address with a login in it."""
    return is_secret_name(called) or (isinstance(raw, str) and holds_login(raw))


def gather_secrets(
    into: Gathered, base: IncomingItem, fields: Mapping[str, Any], now: datetime, *, takes_all: bool = False
) -> None:
    """An item for each secret among the fields, and what the others say of it. `takes_all`: what is none by its
    name, too.
    """
    columns = {
        meaning: named
        for meaning, named in find_columns(fields).items()
        if meaning not in (NAME, VALUE, VALUE_FILE)
    }
    problem = ""
    try:
        said = read_said(columns, fields, now)
    except InvalidInputError as error:
        problem = str(error)
    if problem:
        into.faults.append(EntryFault(place=base.place, name=base.written or base.name, why=problem))
        return
    into.undated += said.undated
    found, of_labels = _take_labels(fields)
    found = add_found(FoundLabels(labels=base.labels, remark=base.remark), found)
    base = replace(
        base,
        created_at=base.created_at or said.created_at,
        expires_at=base.expires_at or said.expires_at,
        lapses=base.lapses and said.lapses,
        lifetime=base.lifetime or said.lifetime,
        owners=base.owners or said.owners,
        hints=(*base.hints, *said.hints),
        labels=found.labels,
        remark=found.remark,
    )
    if fields.keys() >= _KEY_DOCUMENT:
        into.entries.append(replace(base, value=Secret(json.dumps(fields, ensure_ascii=False))))
        return
    said_by = {one for named in columns.values() for one in named}
    others = {called: raw for called, raw in fields.items() if called not in of_labels}
    chosen = _choose(dict(_flatten(others)), said_by, into, takes_all=takes_all)
    if not chosen:
        why = "it holds no value: each of its fields is empty, or no text"
        into.faults.append(EntryFault(place=base.place, name=base.written or base.name, why=why))
    for called, raw in chosen.items():
        _take(into, base, called, raw, alone=len(chosen) == 1)


def _take_labels(fields: Mapping[str, Any]) -> tuple[FoundLabels, set[str]]:
    """The labels among the fields, and in which of them they stand. Where one of them would be a secret by its
    name, none is a label.
    """
    of_labels = {called for called in fields if is_of_labels(called)}
    if not of_labels:
        return FoundLabels(), set()
    found = take_field_labels({called: fields[called] for called in of_labels})
    if any(is_secret_name(one.key) for one in found.labels):
        return FoundLabels(), set()
    return found, of_labels


def _choose(flat: dict[str, Any], said_by: set[str], into: Gathered, *, takes_all: bool) -> dict[str, Any]:
    there = {called: raw for called, raw in flat.items() if raw not in (None, "")}
    secrets = {called: raw for called, raw in there.items() if is_secret(called, raw)}
    silent = {called: raw for called, raw in there.items() if called not in said_by}
    if takes_all:
        return silent
    chosen = secrets or silent
    if not chosen and len(there) == 1:
        chosen = there
    into.settings.update(called for called in silent if called not in chosen)
    return chosen


def _take(into: Gathered, base: IncomingItem, called: str, raw: Any, *, alone: bool) -> None:  # noqa: ANN401  # JSON
    written = base.written or base.name
    value = read_text_value(raw)
    if isinstance(value, str):
        into.faults.append(EntryFault(place=base.place, name=f"{written} {called}", why=value))
    elif alone:
        into.entries.append(replace(base, value=value, hints=(*base.hints, *find_hints(called))))
    else:
        name, hints = name_of_field(base.name, called), (*base.hints, *find_hints(called))
        into.entries.append(replace(base, name=name, written=f"{written} {called}", value=value, hints=hints))


def _flatten(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Objects inside by their path: `oauth.access_token`."""
    for called, raw in fields.items():
        if isinstance(raw, dict):
            yield from _flatten(raw, f"{above}{called}.")
        else:
            yield f"{above}{called}", raw
