"""What PostgreSQL stores for a password (RFC 5802 and 7677), as it takes it in the place of one."""

import hashlib
import hmac
import secrets
from base64 import b64encode
from typing import Final

ITERATIONS: Final = 4096
"""Of a server that names no other number."""
_SALT_BYTES: Final = 16


def make_scram_verifier(password: str, *, iterations: int = ITERATIONS, salt: bytes | None = None) -> str:
    """`SCRAM-SHA-256$iterations:salt$stored key:server key`. `ValueError` where the password is not ASCII: it
    would have to be prepared first (RFC 4013). `salt`: drawn, if none is given.
    """
    if not password.isascii():
        raise ValueError("a password that is not ASCII is to be prepared first")
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    shown = [b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{shown[0]}${shown[1]}:{shown[2]}"
