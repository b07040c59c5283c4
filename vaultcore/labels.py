"""Labels of items: words that somebody gives them, by which lists and changes of many find them again. Pure.

A label is a key and a value: `env=prod`. Keys are told apart by their case, as those of Kubernetes are; a
value is kept in its one spelling (NFC). A label decides nothing: what is replaced, and when, is the policy's
business.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from vaultcore.errors import InvalidInputError
from vaultcore.model import Label, LabelMatch
from vaultcore.names import describe_character, normalise

KEY_MAX: Final = 63
VALUE_MAX: Final = 100
LABELS_MAX: Final = 32
JOINED_MAX: Final = 500
"""Bytes of the labels of one item that are kept in an index."""

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,62}")
_NEVER: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""By Unicode's categories: what is not shown, ends a line or turns the direction of a text."""
_QUOTED: Final = re.compile(r'\s*(?:(?P<plain>[^",]*)|(?P<begins>[^",]*)"(?P<quoted>(?:[^"]|"")*)"\s*)(?:,|$)')


def check_key(key: str) -> str:
    """The key, if it is one."""
    if not _KEY.fullmatch(key):
        raise InvalidInputError(
            f"label key {_show(key)}: use 1 to {KEY_MAX} letters from a to z, digits, and . _ - /, with a "
            "letter or a digit first, for example env"
        )
    return key


def check_value(key: str, value: str) -> str:
    """The value of that key as it is kept, if it can be; it may be empty."""
    kept = normalise(value.strip(" "))
    if len(kept) > VALUE_MAX:
        raise InvalidInputError(
            f"label {key} has a value of {len(kept):,} characters: {VALUE_MAX} at most, for example {key}=prod"
        )
    for position, character in enumerate(kept, start=1):
        if unicodedata.category(character) in _NEVER:
            raise InvalidInputError(
                f"label {key}: its value holds {describe_character(character)} at position {position}, which "
                "is not shown or ends a line: leave it out"
            )
    return kept


def parse_label(text: str) -> Label:
    """`KEY=VALUE`, or `KEY` alone, whose value is empty."""
    key, _, value = text.partition("=")
    key = check_key(key.strip(" "))
    return Label(key=key, value=check_value(key, value))


def parse_match(text: str) -> LabelMatch:
    """`KEY=VALUE`: that very value, which may be empty; `KEY` alone: whichever value."""
    found = parse_label(text)
    return LabelMatch(key=found.key, value=found.value if "=" in text else None)


def parse_labels(texts: Iterable[str]) -> tuple[Label, ...]:
    """In the order of their keys; none is given twice."""
    return sort_labels([parse_label(text) for text in texts])


def read_labels(given: Mapping[str, str]) -> tuple[Label, ...]:
    """The same, of values by their keys."""
    return sort_labels(
        [Label(key=check_key(key), value=check_value(key, value)) for key, value in given.items()]
    )


def sort_labels(labels: Sequence[Label]) -> tuple[Label, ...]:
    """In the order of their keys; `InvalidInputError` where there are too many, or one is there twice."""
    found: dict[str, Label] = {}
    for one in labels:
        if found.setdefault(one.key, one) != one:
            raise InvalidInputError(f"label {one.key} is given twice, with different values: give it once")
    if len(found) > LABELS_MAX:
        raise InvalidInputError(f"labels: an item has {LABELS_MAX} at most, and would have {len(found)}")
    return tuple(found[key] for key in sorted(found))


def change_labels(before: Sequence[Label], wanted: Mapping[str, str | None]) -> tuple[Label, ...]:
    """The labels after a change: by their keys the values that are set, None for what is taken away. What is
    not named stays; to take away what is not there changes nothing.
    """
    after = {one.key: one.value for one in before}
    for key, value in wanted.items():
        if value is None:
            after.pop(check_key(key), None)
        else:
            after[check_key(key)] = check_value(key, value)
    return sort_labels([Label(key=key, value=value) for key, value in after.items()])


def compare_labels(before: Sequence[Label], after: Sequence[Label]) -> dict[str, str | None]:
    """The change that makes the second of the first."""
    was, now = ({one.key: one.value for one in labels} for labels in (before, after))
    taken: dict[str, str | None] = dict.fromkeys(key for key in was if key not in now)
    return taken | {key: value for key, value in now.items() if was.get(key) != value}


def show_label(label: Label | LabelMatch) -> str:
    """As it is written: `env=prod`, and `env` alone where the value is empty, or whichever it may be."""
    if isinstance(label, LabelMatch):
        return label.key if label.value is None else f"{label.key}={label.value}"
    return f"{label.key}={label.value}" if label.value else label.key


def join_labels(labels: Iterable[Label]) -> str | None:
    """All of them as one text, in which `text_of` finds each; None: too long to be kept in an index."""
    joined = "".join(f"\n{one.key}={one.value}" for one in labels)
    text = f"{joined}\n" if joined else ""
    return text if len(text.encode()) <= JOINED_MAX else None


def text_of(match: LabelMatch) -> str:
    """What stands in the joined text of an item that has such a label, and of no other."""
    return f"\n{match.key}=" if match.value is None else f"\n{match.key}={match.value}\n"


# One line of several


def split_line(line: str) -> list[str]:
    """The labels of one line, apart: `env=prod, team=payments`. A value with a comma or a double quote stands
    in double quotes, in which two of them are one: `note="a, b"`.
    """
    found, position = list[str](), 0
    while position < len(line):
        match = _QUOTED.match(line, position)
        if match is None:
            raise InvalidInputError(
                "labels: write them like env=prod, team=payments; a value with a comma in double quotes: "
                'note="a, b"'
            )
        text = (
            match["plain"]
            if match["plain"] is not None
            else match["begins"] + match["quoted"].replace('""', '"')
        )
        if text.strip():
            found.append(text.strip())
        position = match.end()
    return found


def join_line(labels: Iterable[Label | LabelMatch]) -> str:
    """One line, of which `split_line` makes the same again."""
    return ", ".join(_quote(show_label(one)) for one in labels)


def _quote(text: str) -> str:
    key, separator, value = text.partition("=")
    if not any(character in value for character in ',"'):
        return text
    doubled = value.replace('"', '""')
    return f'{key}{separator}"{doubled}"'


def _show(text: str) -> str:
    return repr(text[:80]) if text.isprintable() else ascii(text[:80])
