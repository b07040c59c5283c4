"""The text of an authorized_keys file, as sshd(8) has it. Pure: whoever is not meant keeps each byte."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")
_QUOTED = re.compile(rb'"(?:\\"|[^"])*"')
_ENTRY = re.compile(
    rb'[ \t]*(?P<options>(?:"(?:\\"|[^"])*"|[^\s"])+[ \t]+)??'
    rb"(?P<kind>[A-Za-z0-9@.-]+)[ \t]+(?P<blob>[A-Za-z0-9+/]+={0,2})(?:[ \t]+(?P<comment>.*?))?[ \t\r\n]*",
    re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line that lets a key in. `blob` is the public key, decoded; `options` are as they stand there."""

    options: bytes
    blob: bytes
    comment: bytes


def read_entry(line: bytes) -> Entry | None:
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
    return Entry(options=options, blob=blob, comment=found["comment"] or b"")


def read_entries(content: bytes) -> list[Entry]:
    return [entry for line in _LINE.findall(content) if (entry := read_entry(line)) is not None]


def add_beside(content: bytes, *, old: bytes, public_line: bytes, new: bytes) -> bytes:
    """The content with a line for `new` more, for each line of `old` and with its options.

    As it was if `new` is in already; `LookupError` if `old` is not, since nothing says then what it may do.
    """
    entries = read_entries(content)
    if any(entry.blob == new for entry in entries):
        return content
    options = dict.fromkeys(entry.options for entry in entries if entry.blob == old)
    if not options:
        raise LookupError
    if not content.endswith(b"\n"):
        content += b"\n"
    return content + b"".join((each + b" " if each else b"") + public_line + b"\n" for each in options)


def remove(content: bytes, is_dropped: Callable[[Entry], bool]) -> bytes:
    kept = []
    for line in _LINE.findall(content):
        entry = read_entry(line)
        if entry is None or not is_dropped(entry):
            kept.append(line)
    return b"".join(kept)


def sum_as_cksum(content: bytes) -> str:
    """What `cksum` of POSIX says of it on its standard input: CRC and length. It finds what was cut off."""
    length, tail = len(content), []
    while length:
        tail.append(length & 0xFF)
        length >>= 8
    crc = 0
    for byte in (*content, *tail):
        crc = (crc << 8 & 0xFFFF_FFFF) ^ _TABLE[crc >> 24 ^ byte]
    return f"{crc ^ 0xFFFF_FFFF} {len(content)}"


def _shift(byte: int) -> int:
    crc = byte << 24
    for _ in range(8):
        crc = (crc << 1 ^ 0x04C1_1DB7 if crc & 0x8000_0000 else crc << 1) & 0xFFFF_FFFF
    return crc


_TABLE = tuple(_shift(byte) for byte in range(256))
