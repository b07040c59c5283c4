"""Variables of an environment: `NAME=value` lines, as `.env` files have them.

`PROD_BILLING_TOKEN` becomes `prod-billing-token`. `export`, comments, and single or double quotes over several
lines are read as a shell would; `${OTHER}` is not looked up. A variable that is given twice has its last value,
as in a shell. One that is no secret by its name, and no address with a login, is a setting, and left there.
Pure; no error quotes a line.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vaultcore.errors import InvalidInputError
from vaultcore.secret import Secret
from worker.domain.fitting import name_of_variable
from worker.domain.incoming import Contents, EntryFault, IncomingItem
from worker.domain.proposals import find_hints
from worker.importing.csv_table import ENTRIES_MAX
from worker.importing.secret_fields import is_secret

_ASSIGNED: Final = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*")
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$", "`": "`", "\n": ""}
_REFERENCE: Final = re.compile(r"(?<!\\)\$\{[A-Za-z_][A-Za-z0-9_]*[^}]{0,100}\}")
_COMMENT: Final = re.compile(r"(?:^|[ \t]+)#.*$")


@dataclass(frozen=True, kw_only=True)
class _Assignment:
    """`text` is what stands for the value; `problem`: why none does."""

    line: int
    variable: str
    text: Secret
    problem: str = ""


def is_environment(text: str) -> bool:
    """Whether its first line, but for blank ones and comments, assigns something."""
    lines = (line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return _ASSIGNED.match(next(lines, "")) is not None


def read_environment(text: str, *, now: datetime, takes_all: bool = False) -> Contents:  # noqa: ARG001  # as of others
    last: dict[str, _Assignment] = {}
    faults: list[EntryFault] = []
    for number, one in enumerate(_read_assignments(text.replace("\r\n", "\n").replace("\r", "\n"))):
        if number >= ENTRIES_MAX:
            raise InvalidInputError(f"it holds more than {ENTRIES_MAX:,} entries: divide it")
        if not one.variable:
            faults.append(EntryFault(place=one.line, name=None, why=one.problem))
            continue
        before = last.pop(one.variable, None)
        if before is not None:
            why = f"line {one.line} gives it again, and the last one counts"
            faults.append(EntryFault(place=before.line, name=one.variable, why=why, passed_over=True))
        last[one.variable] = one
    entries: list[IncomingItem] = []
    settings = Counter[str]()
    for one in last.values():
        if not takes_all and not is_secret(one.variable, one.text.expose()):
            settings[one.variable] += 1
        elif one.problem:
            faults.append(EntryFault(place=one.line, name=one.variable, why=one.problem))
        else:
            entries.append(
                IncomingItem(
                    place=one.line,
                    name=name_of_variable(one.variable),
                    written=one.variable,
                    fits=True,
                    value=one.text,
                    hints=find_hints(one.text.expose().partition("://")[0])
                    if "://" in one.text.expose()
                    else (),
                )
            )
    return Contents(entries=entries, faults=faults, settings=settings, unit="line")


def _read_assignments(text: str) -> Iterator[_Assignment]:
    at, line = 0, 1
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        written = text[at:end].strip()
        if not written or written.startswith("#"):
            at, line = end + 1, line + 1
            continue
        found = _ASSIGNED.match(text, at, end)
        if found is None:
            yield _Assignment(line=line, variable="", text=Secret(""), problem="it is no NAME=value")
            at, line = end + 1, line + 1
            continue
        value, after, problem = _read_value(text, found.end(), end)
        yield _Assignment(line=line, variable=found["name"], text=Secret(value), problem=problem)
        line += text.count("\n", at, after) + 1
        at = after + 1


def _read_value(text: str, at: int, end: int) -> tuple[str, int, str]:
    """The value, where its last line ends, and why it is none."""
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        value = _COMMENT.sub("", text[at:end]).strip()
        return value, end, _explain_reference(value)
    closing = _find_closing(text, at + 1, quote)
    if closing < 0:
        return "", end, f"its value begins with {quote} and has no other {quote} at its end"
    value = text[at + 1 : closing]
    after = text.find("\n", closing)
    after = len(text) if after < 0 else after
    if text[closing + 1 : after].strip() and not text[closing + 1 : after].lstrip().startswith("#"):
        return "", after, f"something stands behind the {quote} that ends its value"
    if quote == "'":
        return value, after, ""
    return re.sub(r"(?s)\\(.)", _unescape, value), after, _explain_reference(value)


def _find_closing(text: str, at: int, quote: str) -> int:
    if quote == "'":
        return text.find(quote, at)
    found = re.compile(r'(?s)(?:[^"\\]|\\.)*+"').match(text, at)
    return -1 if found is None else found.end() - 1


def _unescape(found: re.Match[str]) -> str:
    return _ESCAPED.get(found[1], found[0])


def _explain_reference(value: str) -> str:
    if _REFERENCE.search(value) is None:
        return ""
    return "its value names another variable: write what that stands for"
