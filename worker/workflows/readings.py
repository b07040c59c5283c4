"""What a reader of URLs, JSON or HTML makes of a text. Pure."""

import html
import re
from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_NUMBER = re.compile("&#([0-9]{8,})")
_NO_CHARACTER = "1114112"
"""The first number that stands for none: whatever is larger is read as this is."""
_PLAIN_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


def read_in_every_way(text: str) -> Iterator[str]:
    """The text as it is, and as each of them reads it, twice over. One at a time: there may be twenty of them,
    each as long as the text.
    """
    yield text
    firsts = list(dict.fromkeys(reading for reading in _read(text) if reading != text))
    yield from firsts
    seen = {hash(reading) for reading in (text, *firsts)}
    for first in firsts:
        for reading in _read(first):
            if hash(reading) not in seen:
                seen.add(hash(reading))
                yield reading


def _read(text: str) -> Iterator[str]:
    if "%" in text or "+" in text:
        yield unquote(text)
        yield unquote_plus(text)
    if "\\" in text:
        yield _unescape(text)
    if "&" in text:
        yield html.unescape(_NUMBER.sub(_shorten, text))


def _shorten(found: re.Match[str]) -> str:
    """Python reads no number of thousands of digits, and none of eight stands for a character."""
    number = found[1].lstrip("0") or "0"
    return f"&#{number if len(number) <= len(_NO_CHARACTER) else _NO_CHARACTER}"


def _unescape(text: str) -> str:
    plain = _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _PLAIN_ESCAPES.get(found[2], found[2]),
        text,
    )
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
