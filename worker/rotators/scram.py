"""What PostgreSQL stores for a password (RFC 5802 and 7677), made here: no statement holds the password."""

import base64
import hashlib
import hmac
import secrets
import stringprep
import unicodedata

ITERATIONS = 4096
"""As the server itself takes them when it makes a verifier."""
_SALT_BYTES = 16
_PROHIBITED = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def make_verifier(password: str, *, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """`SCRAM-SHA-256$…`; `ValueError` for a password that SASLprep prohibits."""
    salt = salt or secrets.token_bytes(_SALT_BYTES)
    salted = hashlib.pbkdf2_hmac("sha256", prepare(password).encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_encode(salt)}${_encode(stored)}:{_encode(server)}"


def prepare(password: str) -> str:
    """The password as both sides hash it: SASLprep, RFC 4013. `ValueError` for one that it prohibits.

    PostgreSQL takes such a password as it is, but no client of ours could log in with it.
    """
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not prepared or any(is_prohibited(c) for is_prohibited in _PROHIBITED for c in prepared):
        raise ValueError("the password is empty, or has characters that SASLprep prohibits")
    if any(map(stringprep.in_table_d1, prepared)) and not _runs_right_to_left(prepared):
        raise ValueError("the password mixes directions of writing, which SASLprep prohibits")
    return prepared


def _runs_right_to_left(text: str) -> bool:
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(map(stringprep.in_table_d2, text))


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
