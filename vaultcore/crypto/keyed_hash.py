"""HMAC-SHA256 with one key, for many short texts: what is to be done with the key is done once."""

from collections.abc import Callable

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


class KeyedHash:
    """`begin` gives one that knows the key and no text yet: `update` it, then `finalize` it. Any thread may."""

    def __init__(self, key: bytes) -> None:
        self.begin: Callable[[], HMAC] = HMAC(key, SHA256()).copy

    def __repr__(self) -> str:
        return "<KeyedHash>"

    def make(self, text: bytes) -> bytes:
        hashed = self.begin()
        hashed.update(text)
        return hashed.finalize()
