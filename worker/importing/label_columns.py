"""Labels that a file tells of: columns `label:env` or `tags.env`, or one column `labels` with all of them.

What a person writes for an import keeps to the rules of `item create --label`, and says so of a row that does
not. Tags that another store has were not written for us: what of them cannot be a label is left there, and told
of its entry. Pure; no message quotes a cell.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vaultcore.errors import InvalidInputError
from vaultcore.labels import KEY_MAX, LABELS_MAX, VALUE_MAX, check_key, check_value, parse_label, split_line
from vaultcore.model import Label
from worker.domain.fitting import split_words
from worker.importing.headings import CREATED, EXPIRES, LIFETIME, VALUE, VALUE_FILE, find_meaning

_OF_ONE: Final = re.compile(r"(?i)\s*(?:labels?|tags?)\s*[:.]\s*(?P<key>.*?)\s*")
_OF_ALL: Final = frozenset({"labels", "label", "tags"})
_NOT_KEPT: Final = (
    "of its labels cannot be kept: write them like env=prod, team=payments; a key has letters, digits and . _ "
    f"- / ({KEY_MAX} at most), a value up to {VALUE_MAX} characters"
)
_NO_LABELS: Final = "its labels are no text, no list and no object"
_KINDS: Final = {bool: "true or false", float: "a number with a point", list: "a list", dict: "an object"}
_SAYS_MORE: Final = frozenset({EXPIRES, CREATED, LIFETIME})
"""Tags of that meaning are taken for it, and would be no longer true of the next value."""
_OF_VALUES: Final = frozenset({VALUE, VALUE_FILE})
_SYSTEM: Final = "aws:"
"""How the keys begin that AWS itself gives; there nobody else may."""
_TOLD_MAX: Final = 5


@dataclass(frozen=True, kw_only=True)
class FoundLabels:
    """`labels` in the order of their keys; `remark`: what could not be one, or nothing."""

    labels: tuple[Label, ...] = ()
    remark: str = ""


def is_of_labels(heading: str) -> bool:
    return _OF_ONE.fullmatch(heading) is not None or " ".join(split_words(heading)) in _OF_ALL


def read_row_labels(fields: Mapping[str, Any]) -> tuple[Label, ...]:
    """Of a row that was written to be imported. `InvalidInputError` where one of them cannot be kept."""
    found: list[Label] = []
    for heading, cell in fields.items():
        if cell in (None, "") or not is_of_labels(heading):
            continue
        of_one = _OF_ONE.fullmatch(heading)
        if of_one is not None:
            found.append(_make(of_one["key"], cell))
        else:
            found += _read_cell(cell)
    return _sort(found)


def take_tags(tags: Mapping[str, Any]) -> FoundLabels:
    """Of tags by their keys, as another store has them: whatever can be a label, but for what says when it
    lapses.
    """
    kept: list[Label] = []
    others: list[str] = []
    for key, value in tags.items():
        meaning = find_meaning(key)
        if key.startswith(_SYSTEM) or meaning in _SAYS_MORE:
            continue
        try:
            label = None if meaning in _OF_VALUES else _make(key, "" if value is None else value)
        except InvalidInputError:
            label = None
        if label is None:
            others.append(key)
        else:
            kept.append(label)
    return _bound(kept, others)


def add_found(own: FoundLabels, more: FoundLabels) -> FoundLabels:
    """Both; where they differ, our `own` count."""
    both = {one.key: one for one in (*more.labels, *own.labels)}
    found = _bound(both.values(), ())
    remarks = (own.remark, more.remark, found.remark)
    return FoundLabels(labels=found.labels, remark="; ".join(one for one in remarks if one))


def take_field_labels(fields: Mapping[str, Any]) -> FoundLabels:
    """Of the fields beside a secret: all of their labels, or none of them and why."""
    problem = ""
    try:
        return FoundLabels(labels=read_row_labels(fields))
    except InvalidInputError as error:
        problem = f"without its labels: {error}"
    return FoundLabels(remark=problem)


def pair_tags(listed: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """A list of tags by their keys: `{"Key": …, "Value": …}` of AWS, `{"name": …}` of n8n, or words."""
    pairs: dict[str, Any] = {}
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, str):
            pairs[one] = ""
        elif isinstance(one, dict) and isinstance(one.get("Key"), str):
            pairs[one["Key"]] = one.get("Value")
        elif isinstance(one, dict) and isinstance(one.get("name"), str):
            pairs[one["name"]] = ""
    return pairs


def _read_cell(cell: Any) -> Iterator[Label]:  # noqa: ANN401  # JSON
    if isinstance(cell, dict):
        yield from (_make(key, value) for key, value in cell.items())
    elif isinstance(cell, list) and all(isinstance(one, dict) for one in cell):
        yield from (_make(key, "" if value is None else value) for key, value in pair_tags(cell).items())
    elif isinstance(cell, str | list):
        yield from _parse(_split(cell) if isinstance(cell, str) else cell)
    else:
        raise InvalidInputError(_NO_LABELS)


def _split(cell: str) -> list[str]:
    """By commas, semicolons or lines, as owners are; semicolons within quotes stay."""
    problem = ""
    text = cell if '"' in cell else cell.replace(";", ",")
    try:
        return split_line(text.replace("\r\n", ",").replace("\n", ","))
    except InvalidInputError:
        problem = f"one {_NOT_KEPT}"
    raise InvalidInputError(problem)


def _parse(texts: Iterable[Any]) -> Iterator[Label]:
    """What stands in a cell is not quoted: it may have been meant for another column."""
    for place, text in enumerate(texts, start=1):
        label = None
        try:
            label = parse_label(text) if isinstance(text, str) else None
        except InvalidInputError:
            label = None
        if label is None:
            raise InvalidInputError(f"number {place} {_NOT_KEPT}")
        yield label


def _make(key: str, value: Any) -> Label:  # noqa: ANN401  # JSON
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**VALUE_MAX:
        value = str(value)
    key = check_key(key)
    if not isinstance(value, str):
        kind = _KINDS.get(type(value), "no text")
        raise InvalidInputError(f"label {key}: its value is {kind}: write it as a text, in quotes")
    return Label(key=key, value=check_value(key, value))


def _sort(found: Iterable[Label]) -> tuple[Label, ...]:
    kept: dict[str, Label] = {}
    for one in found:
        if kept.setdefault(one.key, one) != one:
            raise InvalidInputError("one of its labels is given twice, with different values: give it once")
    if len(kept) > LABELS_MAX:
        raise InvalidInputError(f"it has {len(kept)} labels: an item has {LABELS_MAX} at most")
    return tuple(kept[key] for key in sorted(kept))


def _bound(labels: Iterable[Label], others: Iterable[str]) -> FoundLabels:
    """As many as an item may have, by their keys; what is left is told with the `others`."""
    kept = sorted(labels, key=lambda one: one.key)
    left = sorted([*others, *(one.key for one in kept[LABELS_MAX:])])
    return FoundLabels(labels=tuple(kept[:LABELS_MAX]), remark=_tell(left))


def _tell(others: Sequence[str]) -> str:
    if not others:
        return ""
    shown = ", ".join(_show(key) for key in others[:_TOLD_MAX])
    more = f" and {len(others) - _TOLD_MAX:,} others" if len(others) > _TOLD_MAX else ""
    verb = "are" if len(others) > 1 else "is"
    return f"without {shown}{more}, which {verb} no label as an item may have"


def _show(key: str) -> str:
    return repr(key[:40]) if key.isprintable() else ascii(key[:40])
