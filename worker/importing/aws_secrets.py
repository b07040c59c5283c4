"""AWS Secrets Manager: what `list-secrets` (metadata alone), `batch-get-secret-value` and `get-secret-value`
answer.

`prod/billing/db` makes `prod-billing-db`. A `SecretString` that is a JSON object is many fields:
`secret_fields` says which are items. Tags say owner, expiry and lifetime, and are labels. Where AWS rotates a
secret, what is known of its present value ends at `NextRotationDate`. A deleted one is passed over. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.domain.fitting import name_of_path
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.domain.proposals import find_hints
from worker.domain.strict_json import parse_json
from worker.importing.headings import (
    CREATED,
    EXPIRES,
    NAME,
    VALUE,
    VALUE_FILE,
    Said,
    find_columns,
    read_said,
)
from worker.importing.json_items import check_number
from worker.importing.label_columns import pair_tags, take_tags
from worker.importing.secret_fields import Gathered, gather_secrets

_LISTS: Final = ("SecretList", "SecretValues")
_WHY: Final = "list-secrets gives none: batch-get-secret-value does"


def is_aws(raw: Any) -> bool:  # noqa: ANN401  # JSON
    if isinstance(raw, dict):
        return any(isinstance(raw.get(one), list) for one in _LISTS) or _is_secret(raw)
    return isinstance(raw, list) and bool(raw) and isinstance(raw[0], dict) and _is_secret(raw[0])


def read_secrets(raw: Any, *, now: datetime, takes_all: bool = False) -> Contents:  # noqa: ANN401  # JSON
    listed = _find_list(raw)
    check_number(listed)
    into, waits = Gathered(), False
    for place, one in enumerate(listed, start=1):
        entry = _read_entry(place, one, into, now)
        if entry is None:
            continue
        if "SecretString" in one:
            _gather(into, entry, one["SecretString"], now, takes_all=takes_all)
        elif "SecretBinary" in one:
            why = "its value is binary, and a value here is text"
            into.faults.append(EntryFault(place=place, name=one["Name"], why=why))
        else:
            waits = True
            into.entries.append(entry)
    into.faults.extend(_read_errors(raw, len(listed)))
    return Contents(
        entries=into.entries,
        faults=into.faults,
        settings=into.settings,
        undated=into.undated,
        metadata=_WHY if waits else "",
    )


def _find_list(raw: Any) -> list[Any]:  # noqa: ANN401  # JSON
    """The secrets of an answer, one secret by itself, or an array of them."""
    if isinstance(raw, dict):
        lists = [raw[name] for name in _LISTS if isinstance(raw.get(name), list)]
        if lists:
            return [one for listed in lists for one in listed]
        if _is_secret(raw):
            return [raw]
    elif isinstance(raw, list) and any(isinstance(one, dict) and _is_secret(one) for one in raw):
        return raw
    raise InvalidInputError("it holds no SecretList and no SecretValues, as AWS Secrets Manager answers")


def _read_entry(place: int, one: Any, into: Gathered, now: datetime) -> IncomingItem | None:  # noqa: ANN401  # JSON
    """None: it was told as a fault."""
    name = one.get("Name") if isinstance(one, dict) else None
    if not isinstance(name, str) or not name.strip(" /"):
        into.faults.append(EntryFault(place=place, name=None, why="it is no secret with a Name"))
        return None
    if one.get("DeletedDate") is not None:
        why = "it is marked as deleted there"
        into.faults.append(EntryFault(place=place, name=name, why=why, passed_over=True))
        return None
    said = _read_tags(one, now)
    if isinstance(said, str):
        into.faults.append(EntryFault(place=place, name=name, why=said))
        return None
    into.undated += said.undated
    made = name_of_path(name)
    tagged = take_tags(pair_tags(one.get("Tags")))
    owning = one.get("OwningService")
    return IncomingItem(
        place=place,
        name=made,
        written=name if made != name else None,
        fits=True,
        created_at=said.created_at,
        expires_at=said.expires_at,
        lapses=said.lapses,
        lifetime=said.lifetime,
        owners=said.owners,
        hints=(*said.hints, *(find_hints(owning) if isinstance(owning, str) else ())),
        labels=tagged.labels,
        remark=tagged.remark,
    )


def _gather(
    into: Gathered,
    entry: IncomingItem,
    raw: Any,  # noqa: ANN401  # JSON
    now: datetime,
    *,
    takes_all: bool,
) -> None:
    if not isinstance(raw, str):
        why = "its SecretString is no text"
        into.faults.append(EntryFault(place=entry.place, name=entry.written or entry.name, why=why))
        return
    fields = _parse(raw)
    if fields is None:
        into.entries.append(replace(entry, value=Secret(raw)))
    else:
        gather_secrets(into, entry, fields, now, takes_all=takes_all)


def _parse(text: str) -> dict[str, Any] | None:
    """The fields in it; None: it is one value. The parser's errors hold the text, and end here."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        raw = parse_json(text)
    except InvalidInputError:
        return None
    return raw if isinstance(raw, dict) and raw else None


def _read_tags(one: Mapping[str, Any], now: datetime) -> Said | str:
    fields = pair_tags(one.get("Tags"))
    columns = {
        meaning: named
        for meaning, named in find_columns(fields).items()
        if meaning not in (NAME, VALUE, VALUE_FILE, CREATED)
    }
    given = {**fields, "CreatedDate": one.get("CreatedDate"), "NextRotationDate": None}
    if one.get("RotationEnabled") is True and EXPIRES not in columns:
        given["NextRotationDate"] = one.get("NextRotationDate")
        columns = {**columns, EXPIRES: ["NextRotationDate"]}
    try:
        return read_said({**columns, CREATED: ["CreatedDate"]}, given, now)
    except InvalidInputError as error:
        return str(error)


def _read_errors(raw: Any, after: int) -> Iterator[EntryFault]:  # noqa: ANN401  # JSON
    errors = raw.get("Errors") if isinstance(raw, dict) else None
    for number, one in enumerate(errors if isinstance(errors, list) else [], start=1):
        given = one if isinstance(one, dict) else {}
        name, code = given.get("SecretId"), given.get("ErrorCode")
        shown = code if isinstance(code, str) and code.isalnum() and len(code) < 60 else "an error"
        why = f"AWS gave {shown} in the place of its value"
        yield EntryFault(place=after + number, name=name if isinstance(name, str) else None, why=why)


def _is_secret(raw: Mapping[str, Any]) -> bool:
    return isinstance(raw.get("Name"), str) and isinstance(raw.get("ARN"), str)
