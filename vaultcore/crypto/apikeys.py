"""`wfk_` keys that callers present to us: made, recognised, and kept as a digest alone.

`wfk_`, 43 base62 characters (256 bits), and 6 base62 characters of the CRC-32 of all that stands
before them: 53 characters. The checksum spares scanners false alarms; it protects nothing.
"""

import hmac
import re
import secrets
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final
from zlib import crc32

from vaultcore.secret import Secret

PREFIX: Final = "wfk_"
PATTERN: Final = re.compile(r"(?<![0-9A-Za-z_])wfk_[0-9A-Za-z]{49}(?![0-9A-Za-z_])")
"""Finds whatever has the shape of a key in a longer text."""

_BASE62: Final = digits + ascii_uppercase + ascii_lowercase
_RANDOM: Final = 43
_CHECKSUM: Final = 6


def generate() -> Secret:
    """A new key."""
    body = PREFIX + "".join(secrets.choice(_BASE62) for _ in range(_RANDOM))
    return Secret(body + _checksum(body))


def looks_real(text: str) -> bool:
    """Whether the whole text is a key by its shape and its checksum. It need not be one of ours."""
    if PATTERN.fullmatch(text) is None:
        return False
    return _checksum(text[:-_CHECKSUM]) == text[-_CHECKSUM:]


def digest(key: Secret, pepper: bytes) -> bytes:
    """HMAC-SHA256 of the key, 32 bytes: what is stored, and looked up by a unique index.

    Any text has one, a lone surrogate too, because what a caller presents can be anything and an
    encoding error would hold it.
    """
    return hmac.digest(pepper, key.expose().encode(errors="surrogatepass"), "sha256")


def _checksum(body: str) -> str:
    """CRC-32 in base62, the highest digit first. The body is ASCII."""
    rest, characters = crc32(body.encode("ascii")), ""
    for _ in range(_CHECKSUM):
        rest, digit = divmod(rest, len(_BASE62))
        characters = _BASE62[digit] + characters
    return characters
