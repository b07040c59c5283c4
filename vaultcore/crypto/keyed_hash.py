"""HMAC-SHA256 with one key, for many short texts: what is to be done with the key is done once."""

from collections.abc import Iterable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


class KeyedHash:
    """Any thread may use it."""

    def __init__(self, key: bytes) -> None:
        self._begin = HMAC(key, SHA256()).copy

    def __repr__(self) -> str:
        return "<KeyedHash>"

    def make(self, text: bytes) -> bytes:
        hashed = self._begin()
        hashed.update(text)
        return hashed.finalize()

    def make_each(self, texts: Iterable[bytes]) -> list[bytes]:
        """Of each text, in their order."""
        begin, made = self._begin, list[bytes]()
        for text in texts:
            hashed = begin()
            hashed.update(text)
            made.append(hashed.finalize())
        return made
