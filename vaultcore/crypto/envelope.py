"""A value at rest: the value under a data key of its own, and that key under the keyring's.

Every length is in bytes, every integer big-endian. `ctx` is `Binding.encode()`: a record opens only
for the deployment, the subject, the version and the purpose that it was sealed for.

    wrapped key, 112 bytes                      record, 161 to 65,697 bytes
    ---------------------------------------     ------------------------------------------------
    magic        4  "NKW1"                      magic        4  "NKR1"
    key id      16  of the key-encryption key   algorithm    1  1, the only one
    salt        32  random                      salt        32  random
    nonce       12  random                      commitment  32  derived
    ciphertext  32  of the data key             nonce       12  random
    tag         16                              ciphertext  64n of the plaintext
                                                tag         16

- Wrapped key: AES-256-GCM under the 32 bytes of HKDF-SHA512(key-encryption key, salt,
  "nightkey wrapping key 1"). With a salt for each, no AES key comes near 2^32 random nonces.
- Record: AES-256-GCM under K, where K (32) and the commitment (32) follow each other in
  HKDF-SHA512(data key, salt, ctx), 64 bytes. GCM alone can be made to open under two keys; the
  commitment cannot. The data key is random, and new for every call of `seal`.
- Plaintext: the value's length (4), the value in UTF-8, and as few zeros as make a multiple of 64,
  so that the length of a short value does not show.
- The additional data of both is what stands before the ciphertext, and then ctx.

There is one way to write a value: a record with other lengths or other padding does not open. What is no
value (what a run keeps while it waits) may be longer, where both who seals it and who opens it say so.
"""

import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vaultcore.crypto.keyring import KeyEncryptionKey
from vaultcore.errors import InvalidInputError, SealError
from vaultcore.secret import Secret

VALUE_MAX_BYTES: Final = 65_536
"""The longest value, in UTF-8. The vault's own limit, in characters, is far below."""

_KEY: Final = 32
_SALT: Final = 32
_NONCE: Final = 12
_TAG: Final = 16
_BLOCK: Final = 64
_LENGTH: Final = 4

_WRAP_MAGIC: Final = b"NKW1"
_WRAP_INFO: Final = b"nightkey wrapping key 1"
_WRAP_SALT_AT: Final = len(_WRAP_MAGIC) + 16
_WRAP_NONCE_AT: Final = _WRAP_SALT_AT + _SALT
_WRAP_HEADER: Final = _WRAP_NONCE_AT + _NONCE

_RECORD_START: Final = b"NKR1" + bytes([1])  # magic and algorithm
_COMMITMENT_AT: Final = len(_RECORD_START) + _SALT
_RECORD_NONCE_AT: Final = _COMMITMENT_AT + 32
_RECORD_HEADER: Final = _RECORD_NONCE_AT + _NONCE


@dataclass(frozen=True, kw_only=True)
class Binding:
    """What a record belongs to. `version` is 0 to 2^64 - 1; no name is part of it: names change."""

    deployment_id: str
    subject_id: str
    version: int
    purpose: str

    def encode(self) -> bytes:
        """The fields, each behind its length (4 bytes): two bindings never give the same bytes.

        `OverflowError` and `UnicodeEncodeError` mean that the caller made the fields up.
        """
        fields = (
            self.deployment_id.encode(),
            self.subject_id.encode(),
            self.version.to_bytes(8, "big"),
            self.purpose.encode(),
        )
        return b"".join(len(part).to_bytes(4, "big") + part for part in fields)


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A value as it is stored. `key_id` (32 hex digits) says which key-encryption key opens it."""

    key_id: str
    wrapped_key: bytes = field(repr=False)
    record: bytes = field(repr=False)


def seal(value: Secret, *, key: KeyEncryptionKey, binding: Binding, max_bytes: int = VALUE_MAX_BYTES) -> Sealed:
    """The value under a fresh data key. Up to `max_bytes` of text that UTF-8 can write."""
    ctx = binding.encode()
    plain = _encode_value(value, max_bytes)
    if plain is None:
        raise InvalidInputError(
            f"a value to seal is text that UTF-8 can write, {max_bytes:,} bytes at most: "
            f"{binding.subject_id} was given another"
        )
    data_key = secrets.token_bytes(_KEY)
    return Sealed(
        key_id=key.id,
        wrapped_key=_wrap(data_key, key, ctx),
        record=_seal_record(plain, data_key, ctx),
    )


def open_sealed(
    sealed: Sealed, *, key: KeyEncryptionKey, binding: Binding, max_bytes: int = VALUE_MAX_BYTES
) -> Secret:
    """The value, of `max_bytes` at most; `SealError` for every reason why it does not open.

    What it works out on the way stays in functions that return: the frames and the context of the
    error hold nothing but the arguments.
    """
    value = _open(sealed, key, binding.encode(), max_bytes)
    if value is None:
        raise SealError
    return value


def _open(sealed: Sealed, key: KeyEncryptionKey, ctx: bytes, max_bytes: int) -> Secret | None:
    if sealed.key_id != key.id:
        return None
    data_key = _unwrap(sealed.wrapped_key, key, ctx)
    if data_key is None:
        return None
    plain = _open_record(sealed.record, data_key, ctx, max_bytes)
    return None if plain is None else _decode_value(plain)


def _wrap(data_key: bytes, key: KeyEncryptionKey, ctx: bytes) -> bytes:
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    header = _WRAP_MAGIC + bytes.fromhex(key.id) + salt + nonce
    wrapping_key = _derive(key.material, salt=salt, info=_WRAP_INFO, length=_KEY)
    return header + AESGCM(wrapping_key).encrypt(nonce, data_key, header + ctx)


def _unwrap(wrapped: bytes, key: KeyEncryptionKey, ctx: bytes) -> bytes | None:
    if len(wrapped) != _WRAP_HEADER + _KEY + _TAG:
        return None
    header = wrapped[:_WRAP_HEADER]
    if header[:_WRAP_SALT_AT] != _WRAP_MAGIC + bytes.fromhex(key.id):
        return None
    salt = header[_WRAP_SALT_AT:_WRAP_NONCE_AT]
    wrapping_key = _derive(key.material, salt=salt, info=_WRAP_INFO, length=_KEY)
    return _decrypt(wrapping_key, header[_WRAP_NONCE_AT:], wrapped[_WRAP_HEADER:], header + ctx)


def _seal_record(plain: bytes, data_key: bytes, ctx: bytes) -> bytes:
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    record_key, commitment = _record_keys(data_key, salt, ctx)
    header = _RECORD_START + salt + commitment + nonce
    return header + AESGCM(record_key).encrypt(nonce, plain, header + ctx)


def _open_record(record: bytes, data_key: bytes, ctx: bytes, max_bytes: int) -> bytes | None:
    padded = len(record) - _RECORD_HEADER - _TAG
    if padded % _BLOCK or not _BLOCK <= padded <= _padded_length(max_bytes):
        return None
    header = record[:_RECORD_HEADER]
    if header[: len(_RECORD_START)] != _RECORD_START:
        return None
    record_key, expected = _record_keys(data_key, header[len(_RECORD_START) : _COMMITMENT_AT], ctx)
    if not hmac.compare_digest(header[_COMMITMENT_AT:_RECORD_NONCE_AT], expected):
        return None
    return _decrypt(record_key, header[_RECORD_NONCE_AT:], record[_RECORD_HEADER:], header + ctx)


def _record_keys(data_key: bytes, salt: bytes, ctx: bytes) -> tuple[bytes, bytes]:
    """The key of a record, and the commitment to it."""
    both = _derive(data_key, salt=salt, info=ctx, length=2 * _KEY)
    return both[:_KEY], both[_KEY:]


def _encode_value(value: Secret, max_bytes: int) -> bytes | None:
    """The plaintext of a record; None for what cannot be sealed."""
    try:
        text = value.expose().encode()
    except UnicodeEncodeError:  # it holds the value: it ends here
        return None
    if len(text) > max_bytes:
        return None
    return (len(text).to_bytes(_LENGTH, "big") + text).ljust(_padded_length(len(text)), b"\0")


def _decode_value(plain: bytes) -> Secret | None:
    """The value of a plaintext that only `_encode_value` can have made; None for any other."""
    length = int.from_bytes(plain[:_LENGTH], "big")
    if len(plain) != _padded_length(length) or any(plain[_LENGTH + length :]):
        return None
    try:
        return Secret(plain[_LENGTH : _LENGTH + length].decode())
    except UnicodeDecodeError:  # it holds the value: it ends here
        return None


def _padded_length(length: int) -> int:
    return -(-(_LENGTH + length) // _BLOCK) * _BLOCK


def _derive(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA512(), length=length, salt=salt, info=info).derive(secret)


def _decrypt(key: bytes, nonce: bytes, ciphertext: bytes, additional: bytes) -> bytes | None:
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, additional)
    except InvalidTag:
        return None
