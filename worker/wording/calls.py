"""Sentences that name commands and options, said to who calls over HTTP: what to send instead. Pure.

What the services refuse is one sentence, and a command in it can be pasted (`worker.domain.commands`).
So it can be read back: here each is said as the call that does the same, its options as fields of the body.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

_WORD: Final = r"(?:'[^']*'|\"[^\"]*\"|[^\s`'\",;:)(]|:(?=\S))+"
_COMMAND: Final = re.compile(rf"`nightkey ([^`\n]+)`|(?<![\w/`'\"])nightkey ([a-z]+(?:-[a-z]+)*(?: {_WORD})*)")
"""In backquotes up to their end, else up to the next sign of punctuation."""
_OPTION: Final = re.compile(r"(?<![\w'\"-])--([a-z]+(?:-[a-z]+)*)")

WORDS_HEADER: Final = "Nightkey-Words"
COMMANDS: Final = "commands"
"""What a caller sends that shows answers to a person who types commands: it gets the sentences as they are."""

CALLS: Final = {
    "audit anchor": "POST /nightkey/audit/anchor",
    "audit export": "GET /nightkey/audit/export",
    "audit key": "GET /nightkey/audit/key",
    "audit list": "GET /nightkey/audit",
    "audit verify": "GET /nightkey/audit/verify",
    "finding list": "GET /nightkey/findings",
    "finding ack": "POST /nightkey/findings/{}/ack",
    "item create": "POST /workflows/vault",
    "item delete": "DELETE /workflows/vault/{}",
    "item import": "POST /nightkey/imports",
    "item list": "GET /workflows/vault",
    "item rotate": "POST /nightkey/rotations",
    "item show": "GET /nightkey/items/{}",
    "item update": "PUT /workflows/vault/{}",
    "key check": "POST /nightkey/keys/check",
    "night": "POST /nightkey/nights",
    "night list": "GET /nightkey/nights",
    "notice list": "GET /nightkey/notices",
    "notice show": "GET /nightkey/notices/{}",
    "owner create": "POST /nightkey/owners",
    "owner delete": "DELETE /nightkey/owners/{}",
    "owner leave": "POST /nightkey/owners/{}/leave",
    "owner list": "GET /nightkey/owners",
    "owner rename": "POST /nightkey/owners/{}/rename",
    "owner route": "POST /nightkey/owners/{}/routes",
    "owner test": "POST /nightkey/owners/{}/test",
    "owner update": "PATCH /nightkey/owners/{}",
    "principal create": "POST /nightkey/principals",
    "principal list": "GET /nightkey/principals",
    "principal token": "POST /nightkey/principals/{}/tokens",
    "reconcile accept": "POST /nightkey/comparisons/{}/accept",
    "reconcile list": "GET /nightkey/comparisons",
    "reconcile run": "POST /nightkey/comparisons/run",
    "rotation accept": "POST /nightkey/rotations/{}/accept",
    "rotation approve": "POST /nightkey/rotations/{}/approve",
    "rotation cancel": "POST /nightkey/rotations/{}/cancel",
    "rotation extend": "POST /nightkey/rotations/{}/extend",
    "rotation list": "GET /nightkey/rotations",
    "rotation prove": "POST /nightkey/rotations/{}/prove",
    "rotation retry": "POST /nightkey/rotations/{}/retry",
    "rotation rollback": "POST /nightkey/rotations/{}/rollback",
    "rotation show": "GET /nightkey/rotations/{}",
    "rotation waive": "POST /nightkey/rotations/{}/waive",
    "run list": "GET /nightkey/runs",
    "run report": "POST /nightkey/runs/report",
    "workflow apply": "POST /workflows",
    "workflow lint": "POST /workflows/validate",
    "workflow list": "GET /workflows",
    "workflow run": "POST /workflows/{}/execute",
    "workflow show": "GET /workflows/{}",
    "workflow unpin": "POST /nightkey/workflows/{}/unpin",
}
"""What does the same as a command; `{}` is its first argument. Others are the machine's own."""
_PLAN: Final = frozenset({"mode", "lifetime", "lead", "overlap", "window", "freeze", "canary"})
_TARGET: Final = frozenset({"rotator", "set", "unset", "copy-of", "consumers", "four-eyes", "no-four-eyes"})
_FIELDS: Final = {
    "value": "secret",
    "value-file": "secret",
    "no-expiry": "expires_at null",
    "key-file": "X-API-Key, to POST /workflows/sync",
    "compromised": "emergency",
    "window": "windows",
    "freeze": "freezes",
    "no-four-eyes": "four_eyes false",
    "owner": "owners",
    "no-owner": "owners []",
    "id": "run_id",
    "callers": "neither workflow nor check",
}
"""The field that an option is, where it has not the same name."""


def say_for_calls(sentence: str) -> str:
    """The same with calls for commands, and with fields for options."""
    said = _COMMAND.sub(lambda found: _say_command(found[1] or found[2]), sentence)
    return _OPTION.sub(lambda found: _name_field(found[1]), said)


def _say_command(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError:  # a quote that stands alone: it was no command
        return f"nightkey {command}"
    name, rest = " ".join(words[:2]), words[2:]
    if name not in CALLS:
        known = " ".join(word for word in words if not word.startswith("--"))
        return f"nightkey {known}, on the vault's own machine"
    arguments = [word for word in rest[:1] if not word.startswith("--")]
    options = list(_read_options(rest[len(arguments) :]))
    given = {option for option, _ in options}
    call = CALLS[name]
    if name == "item update" and given & _TARGET:
        call = "PATCH /nightkey/policies/{}/target"
    elif name == "item update" and given & _PLAN:
        call = "PATCH /nightkey/policies/{}"
    shown = [f"{_name_field(option)} {' '.join(values)}".rstrip() for option, values in options]
    if "{}" not in call and arguments:
        shown.insert(0, f"{'item' if name.startswith('item') else 'workflow'} {arguments[0]}")
    path = call.replace("{}", quote(arguments[0], safe="") if arguments else "ID")
    return path + (f" with {', '.join(shown)}" if shown else "")


def _read_options(words: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each with what is written behind it; a file's name means nothing to a caller."""
    option, values = "", list[str]()
    for word in [*words, "--"]:
        if not word.startswith("--"):
            values.append(word)
            continue
        if option:
            yield option, [] if option in ("value-file", "key-file") else values
        option, values = word.removeprefix("--"), []


def _name_field(option: str) -> str:
    return _FIELDS.get(option, option.replace("-", "_"))
