"""A text without what a place may take away or put in between: in a host's name, letters of one case, and dots.

What a value becomes there is compared bare: `c2Vj.cmV0` and `C2VJCMV0` are one.
"""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Final

BARE_MIN: Final = 8
"""Letters and digits; what is shorter may stand in any text by chance."""
_BETWEEN = re.compile(r"[\W_]+")


def bare(text: str) -> str:
    return _BETWEEN.sub("", text).casefold()


def bare_forms(value: str) -> set[str]:
    """The value as it is, reversed, in hex, base64 and base32 at whatever place of a longer text, and as the
    name of a host would hold it (punycode), each bare; those that are long enough.
    """
    raw = value.encode(errors="surrogatepass")
    forms = {bare(form) for form in (value, value[::-1], raw.hex(), *_as_host(value), *_in_words(raw))}
    return {form for form in forms if len(form) >= BARE_MIN}


def _in_words(raw: bytes) -> Iterator[str]:
    for encode, whole, bits in _ENCODERS:
        for before in range(whole):
            word = inner(raw, before, encode, bits)
            yield word
            if encode is base64.b32encode:
                yield word.translate(_AS_B32HEX)


def inner(raw: bytes, before: int, encode: Callable[[bytes], bytes], bits: int) -> str:
    """What an encoding of so many bits a character makes of the value behind `before` other bytes: the
    characters that are all its own.
    """
    text = encode(b"\0" * before + raw).decode()
    return text[-(-before * 8 // bits) : (before + len(raw)) * 8 // bits]


_ENCODERS: tuple[tuple[Callable[[bytes], bytes], int, int], ...] = (
    (base64.b64encode, 3, 6),
    (base64.b32encode, 5, 5),
)
"""Each with how many places a value may have in its blocks, and the bits that a character holds."""

_AS_B32HEX: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHIJKLMNOPQRSTUV")
"""The other alphabet of base32: made of the first, which takes a tenth of the time."""


def _as_host(value: str) -> Iterator[str]:
    if value.isascii():
        return
    for text in (value, value.casefold()):
        yield text.encode("punycode", errors="replace").decode("ascii", errors="replace")
