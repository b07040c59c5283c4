"""What PostgreSQL stores for a password (RFC 5802 and 7677), made here: no statement holds the password."""

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096
"""As the server itself takes them when it makes a verifier."""
_SALT_BYTES = 16


def make_verifier(password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """`SCRAM-SHA-256$…`, for a password of printable ASCII, which needs no SASLprep."""
    if not (password.isascii() and password.isprintable() and password):
        raise ValueError("a password of printable ASCII characters is needed")
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_encode(salt)}${_encode(stored)}:{_encode(server)}"


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
