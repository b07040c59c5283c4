"""Short messages between the processes of one vault: nobody else reads one, or makes one.

Every length is in bytes. `ctx` is the deployment's id and the use that the messages have.

    message, 52 bytes more than what it says
    ----------------------------------------
    magic        4  "NKM1"
    name        16  of the key: derived
    number      16  random
    ciphertext   n  of what it says
    tag         16

- Keys: a key-encryption key gives, for each vault and use, the 48 bytes of HKDF-SHA512(key-encryption key,
  no salt, "nightkey message key 1", ctx): a name (16) and a message key (32). So a name says nothing of the
  key that it comes from, and what is sealed for another vault or use bears another one.
- Message: AES-256-GCM under key (32) and nonce (12) of HKDF-SHA512(message key, number, "nightkey message 1"):
  a key of its own for each. The additional data is what stands before the ciphertext.

The active key seals; every key of the keyring opens. A restricted keyring does neither.
"""

import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vaultcore.crypto.envelope import Binding
from vaultcore.crypto.keyring import KeyEncryptionKey, Keyring

_MAGIC: Final = b"NKM1"
_NAME: Final = 16
_NUMBER: Final = 16
_KEY: Final = 32
_NONCE: Final = 12
_TAG: Final = 16
_NUMBER_AT: Final = len(_MAGIC) + _NAME
_HEADER: Final = _NUMBER_AT + _NUMBER
_OF_A_KEY: Final = b"nightkey message key 1\0"
_OF_A_MESSAGE: Final = b"nightkey message 1"


@dataclass(frozen=True, kw_only=True)
class OpenedMessage:
    """`number` is the message's own, 32 hex digits: two that were sealed never have the same."""

    number: str
    said: bytes = field(repr=False)


class MessageKeys:
    """Seals and opens the messages of one vault for one use. `NoKeyError` for a restricted keyring."""

    def __init__(self, keyring: Keyring, *, deployment_id: str, use: str) -> None:
        ctx = Binding(deployment_id=deployment_id, subject_id="", version=0, purpose=use).encode()
        derived = {key.id: _derive_key(key, ctx) for key in keyring.keys}
        self._active, _ = derived[keyring.active.id]
        self._keys = dict(derived.values())

    def __repr__(self) -> str:
        return f"<MessageKeys {self._active.hex()}>"

    def seal(self, said: bytes) -> bytes:
        header = _MAGIC + self._active + secrets.token_bytes(_NUMBER)
        cipher, nonce = _derive_cipher(self._keys[self._active], header)
        return header + cipher.encrypt(nonce, said, header)

    def open(self, message: bytes) -> OpenedMessage | None:
        """None for what this vault did not seal for this use."""
        header, rest = message[:_HEADER], message[_HEADER:]
        key = self._keys.get(header[len(_MAGIC) : _NUMBER_AT])
        if key is None or len(rest) < _TAG or not header.startswith(_MAGIC):
            return None
        cipher, nonce = _derive_cipher(key, header)
        try:
            said = cipher.decrypt(nonce, rest, header)
        except InvalidTag:
            return None
        return OpenedMessage(number=header[_NUMBER_AT:].hex(), said=said)

    def is_foreign(self, message: bytes) -> bool:
        """Whether it has the form of a message, and names a key that is none of these."""
        return (
            message.startswith(_MAGIC)
            and len(message) >= _HEADER + _TAG
            and message[len(_MAGIC) : _NUMBER_AT] not in self._keys
        )


def _derive_key(key: KeyEncryptionKey, ctx: bytes) -> tuple[bytes, bytes]:
    """The name of a message key, and that key."""
    both = HKDF(algorithm=SHA512(), length=_NAME + _KEY, salt=None, info=_OF_A_KEY + ctx).derive(key.material)
    return both[:_NAME], both[_NAME:]


def _derive_cipher(key: bytes, header: bytes) -> tuple[AESGCM, bytes]:
    """What one message is sealed with, and the nonce."""
    number = header[_NUMBER_AT:]
    both = HKDF(algorithm=SHA512(), length=_KEY + _NONCE, salt=number, info=_OF_A_MESSAGE).derive(key)
    return AESGCM(both[:_KEY]), both[_KEY:]
