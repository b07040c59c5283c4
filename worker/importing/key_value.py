"""Vault's and OpenBao's KV: what `kv get -format=json` answers, and what one gathers of it.

- one answer, of either version of KV; it does not say its path, so the name of its file is the item's
- an object of paths, each with such an answer or with its fields
- an array of such answers with `path` beside each
- an array of names, as `kv list -format=json` answers it: metadata alone

`secret/data/prod/billing` makes `prod-billing`; `secret_fields` says which fields are items. Of
`custom_metadata` owner, expiry and lifetime are taken, and all but those as labels. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from worker.domain.fitting import name_of_path
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.importing.headings import CREATED, NAME, VALUE, VALUE_FILE, Said, find_columns, read_said
from worker.importing.json_items import check_number
from worker.importing.label_columns import take_tags
from worker.importing.secret_fields import Gathered, gather_secrets

_ANSWER: Final = frozenset({"request_id", "lease_id", "lease_duration", "renewable"})
_OF_METADATA: Final = frozenset({"versions", "current_version"})
"""What `kv metadata get` answers of a secret, without its fields."""
_MOUNT: Final = re.compile(r"^/?[^/]+/(?:data|metadata)/")
_WHY: Final = "a list of keys holds none: kv get -format=json gives each"
_NO_PATH: Final = (
    "the answer does not say its path: write it to a file that is called as the item, prod-billing.json"
)
_NO_ITEMS: Final = "it holds nothing as kv get -format=json or kv list -format=json answers"


def is_key_value(raw: Any) -> bool:  # noqa: ANN401  # JSON
    if isinstance(raw, dict):
        if _is_answer(raw):
            return True
        parts = list(raw.values())
        return bool(parts) and all(isinstance(part, dict) for part in parts)
    if not isinstance(raw, list) or not raw:
        return False
    return all(isinstance(one, str) for one in raw) or (isinstance(raw[0], dict) and _is_with_path(raw[0]))


def read_key_values(
    raw: Any,  # noqa: ANN401  # JSON
    *,
    now: datetime,
    stem: str | None = None,
    takes_all: bool = False,
) -> Contents:
    """`stem`: the name of the file, without its ending."""
    into = Gathered()
    for place, (path, part) in enumerate(_walk(raw, stem), start=1):
        _gather(into, place, path, part, now, takes_all=takes_all)
    return Contents(
        entries=into.entries,
        faults=into.faults,
        settings=into.settings,
        undated=into.undated,
        metadata=_WHY if any(one.value is None for one in into.entries) else "",
    )


def _walk(raw: Any, stem: str | None) -> Iterator[tuple[str | None, Any]]:  # noqa: ANN401  # JSON
    """Each path with its answer or its fields; None: only the path is known."""
    if isinstance(raw, dict) and _is_answer(raw):
        if stem is None:
            raise InvalidInputError(_NO_PATH)
        yield stem, raw
        return
    if not isinstance(raw, dict | list) or not raw:
        raise InvalidInputError(_NO_ITEMS)
    check_number(raw)
    if isinstance(raw, dict):
        yield from raw.items()
        return
    for one in raw:
        if isinstance(one, str):
            yield one, None
        elif isinstance(one, dict) and _is_with_path(one):
            yield one["path"], {name: part for name, part in one.items() if name != "path"}
        else:
            yield None, one


def _gather(
    into: Gathered,
    place: int,
    path: str | None,
    part: Any,  # noqa: ANN401  # JSON
    now: datetime,
    *,
    takes_all: bool,
) -> None:
    if path is None or not (part is None or isinstance(part, dict)):
        why = "it is no secret of KV: an object of fields, or an answer of kv get"
        into.faults.append(EntryFault(place=place, name=path, why=why))
        return
    if path.endswith("/"):
        why = "it is a folder: list what is in it"
        into.faults.append(EntryFault(place=place, name=path, why=why, passed_over=True))
        return
    name = name_of_path(_MOUNT.sub("", path))
    written = path if path != name else None
    if part is None:
        into.entries.append(IncomingItem(place=place, name=name, written=written, fits=True))
        return
    fields, metadata = _open(part)
    if fields is None and _is_gone(metadata):
        why = "it was deleted there"
        into.faults.append(EntryFault(place=place, name=path, why=why, passed_over=True))
        return
    said = _read_metadata(metadata, now)
    if isinstance(said, str):
        into.faults.append(EntryFault(place=place, name=path, why=said))
        return
    into.undated += said.undated
    tagged = take_tags(_find_custom(metadata))
    entry = IncomingItem(
        place=place,
        name=name,
        written=written,
        fits=True,
        created_at=said.created_at,
        expires_at=said.expires_at,
        lapses=said.lapses,
        lifetime=said.lifetime,
        owners=said.owners,
        hints=said.hints,
        labels=tagged.labels,
        remark=tagged.remark,
    )
    if fields is None:
        into.entries.append(entry)
    else:
        gather_secrets(into, entry, fields, now, takes_all=takes_all)


def _open(part: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """The fields, and what is said of them: of an answer, of its `data`, or of the fields themselves."""
    inner = part.get("data")
    if not isinstance(inner, dict) or not (_is_answer(part) or _is_second(part)):
        return (None, dict(part["metadata"])) if _is_second(part) else (dict(part), {})
    if inner.keys() >= _OF_METADATA:
        return None, inner
    if _is_second(inner):
        return inner["data"], inner["metadata"]
    return inner, part["metadata"] if _is_second(part) else {}


def _is_second(inner: Mapping[str, Any]) -> bool:
    """Whether it is `data` of KV's second version, with the fields inside; None where they are gone."""
    both = inner.keys() == {"data", "metadata"}
    return both and isinstance(inner["metadata"], dict) and isinstance(inner["data"], dict | None)


def _read_metadata(metadata: Mapping[str, Any], now: datetime) -> Said | str:
    fields = _find_custom(metadata)
    columns = {
        meaning: named
        for meaning, named in find_columns(fields).items()
        if meaning not in (NAME, VALUE, VALUE_FILE, CREATED)
    }
    made = {"created_time": metadata.get("created_time")}
    try:
        return read_said({**columns, CREATED: ["created_time"]}, {**fields, **made}, now)
    except InvalidInputError as error:
        return str(error)


def _find_custom(metadata: Mapping[str, Any]) -> dict[str, Any]:
    custom = metadata.get("custom_metadata")
    return dict(custom) if isinstance(custom, dict) else {}


def _is_gone(metadata: Mapping[str, Any]) -> bool:
    return bool(metadata.get("deletion_time")) or metadata.get("destroyed") is True


def _is_answer(raw: Mapping[str, Any]) -> bool:
    is_one = isinstance(raw.get("data"), dict) and len(raw.keys() & _ANSWER) > 1
    return is_one or (_is_second(raw) and "created_time" in raw["metadata"])


def _is_with_path(raw: Mapping[str, Any]) -> bool:
    return isinstance(raw.get("path"), str) and len(raw) > 1
