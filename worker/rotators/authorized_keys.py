"""The text of an authorized_keys file, as sshd(8) has it. Pure: whoever is not meant keeps each byte."""

import base64
import binascii
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_QUOTED = re.compile(rb'"(?:\\"|[^"])*"')
_ENTRY = re.compile(
    rb'[ \t]*(?P<options>(?:"(?:\\"|[^"])*"|[^\s"])+[ \t]+)??'
    rb"(?P<kind>[A-Za-z0-9@.-]+)[ \t]+(?P<blob>[A-Za-z0-9+/]+={0,2})(?:[ \t]+(?P<comment>.*?))?[ \t\r\n]*",
    re.DOTALL,
)

_OPTION = re.compile(rb'(?:"(?:\\"|[^"])*"|[^",])+')
_ENDS = re.compile(rb'expiry-time="([0-9]{8})([0-9]{4})?([0-9]{2})?(Z?)"', re.IGNORECASE)
_ENDS_ANYHOW = re.compile(rb"expiry-time=", re.IGNORECASE)
_EAST = timedelta(hours=14)
"""How far ahead of UTC a host's own time zone is at most, by which it reads an end without a Z."""


@dataclass(frozen=True, kw_only=True)
class KeyLine:
    """A line that lets a key in. `blob` is the public key, decoded; `options` are as they stand there."""

    options: bytes
    blob: bytes
    comment: bytes


def read_entry(line: bytes) -> KeyLine | None:
    """None for comments, empty lines, and what is no key. A line for an authority is none of a key's own."""
    if line.lstrip(b" \t").startswith(b"#"):
        return None
    found = _ENTRY.fullmatch(line)
    if found is None:
        return None
    kind, options = found["kind"], (found["options"] or b"").strip()
    try:
        blob = base64.b64decode(found["blob"], validate=True)
    except (binascii.Error, ValueError):
        return None
    if not blob.startswith(len(kind).to_bytes(4, "big") + kind):
        return None
    if b"cert-authority" in _QUOTED.sub(b"", options).lower().split(b","):
        return None
    return KeyLine(options=options, blob=blob, comment=found["comment"] or b"")


def read_entries(content: bytes) -> list[KeyLine]:
    return [entry for line in _LINE.findall(content) if (entry := read_entry(line)) is not None]


def find_end(options: bytes) -> datetime | None:
    """When a line with these options lets nobody in any more (`expiry-time=`), at the earliest: without a Z it
    is a time of the host's own zone, which is not known here. None: never. `ValueError` if it is no time.
    """
    ends = [_read_end(option) for option in _OPTION.findall(options) if _ENDS_ANYHOW.match(option)]
    return min(ends, default=None)


def _read_end(option: bytes) -> datetime:
    found = _ENDS.fullmatch(option)
    if found is None:
        raise ValueError("no time that sshd knows")
    day, clock, seconds, utc = (part or b"" for part in found.groups())
    text = f"{(day + (clock or b'0000') + (seconds or b'00')).decode()}+0000"
    return datetime.strptime(text, "%Y%m%d%H%M%S%z") - (timedelta(0) if utc else _EAST)


def move_end(options: bytes, end: datetime | None) -> bytes:
    """The options of a line that ends with a new key's own end: later if they end before it, and not at all
    where that key has no end (None). What ends later, or never, stays. As it was written: with a Z or without.
    """
    moved = []
    for option in _OPTION.findall(options):
        if not _ENDS_ANYHOW.match(option):
            moved.append(option)
        elif end is not None:
            moved.append(_write_end(option, end))
    return b",".join(moved)


def _write_end(option: bytes, end: datetime) -> bytes:
    with suppress(ValueError):  # what is no time gives way to one
        if _read_end(option) >= end:
            return option
    utc = option.rstrip(b'"').endswith((b"Z", b"z"))
    whole = end.replace(microsecond=0) + timedelta(seconds=1) + (timedelta(0) if utc else _EAST)
    return f'expiry-time="{whole:%Y%m%d%H%M%S}{"Z" if utc else ""}"'.encode()


def add_beside(
    content: bytes, *, old: bytes, public_line: bytes, new: bytes, end: datetime | None = None
) -> bytes:
    """The content with a line for `new` more, for each line of `old` and with its options; what these say of
    the old key's end is moved to `end`.

    As it was if `new` is in already; `LookupError` if `old` is not, since nothing says then what it may do.
    """
    entries = read_entries(content)
    if any(entry.blob == new for entry in entries):
        return content
    options = dict.fromkeys(move_end(entry.options, end) for entry in entries if entry.blob == old)
    if not options:
        raise LookupError
    if not content.endswith(b"\n"):
        content += b"\n"
    return content + b"".join((each + b" " if each else b"") + public_line + b"\n" for each in options)


def remove(content: bytes, is_dropped: Callable[[KeyLine], bool]) -> bytes:
    kept = []
    for line in _LINE.findall(content):
        entry = read_entry(line)
        if entry is None or not is_dropped(entry):
            kept.append(line)
    return b"".join(kept)
