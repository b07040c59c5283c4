"""A made-up value of the same form as a real one: a check that takes it, too, could not tell good from bad."""

import json
import re
import secrets
import string
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from vaultcore.secret import Secret

_KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
_PREFIX = re.compile(r"(?:[A-Za-z]{1,12}[_\-.:])+(?=[^_\-.:]{8})")
"""`ghp_`, `sk-live-`: what says of which kind a token is, and is no part of the secret."""
_JWT = re.compile(r"[\w-]{8,}\.[\w-]{4,}\.(?=[\w-]{8,}$)", re.ASCII)
"""What stands before the signature."""
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----")
_URL = re.compile(
    r"([A-Za-z][A-Za-z0-9+.\-]*://)(?:([^/?#@]*)(?=@))?(@?[^/?#]*)(?:(/(?:[^?#]*/)?)([^/].*)?)?", re.DOTALL
)
_TRIES = 20


def make_up(value: Secret) -> Secret | None:
    """Another value with the same kinds of characters at the same places; a private key becomes another key of
    its kind, and of a JSON document only the texts are others. None: nothing in it could be another.
    """
    text = value.expose()
    for _ in range(_TRIES):
        made = _make_up(text)
        if made is None:
            return None
        if made != text:
            return Secret(made)
    return None


def _make_up(text: str) -> str | None:
    document = _read_object(text)
    if document is not None:
        return json.dumps(_make_up_leaves(document, only_keys=_PEM.search(text) is not None))
    if _PEM.search(text):
        return _make_up_key(text)
    url = _URL.match(text)
    if url is not None:
        return _make_up_url(url)
    kept = _JWT.match(text) or _PREFIX.match(text)
    start = 0 if kept is None else kept.end()
    return text[:start] + _draw(text[start:])


def _make_up_url(url: re.Match[str]) -> str | None:
    """Its password is another, or else what follows its last slash: who is called, and as whom, stays."""
    before, login, place, path, last = url.groups()
    user, colon, password = (login or "").partition(":")
    if password:
        return f"{before}{user}{colon}{_draw(password)}{place}{path or ''}{last or ''}"
    return f"{before}{login or ''}{place}{path}{_draw(last)}" if path and last else None


def _draw(text: str) -> str:
    return "".join(map(_draw_like, text))


def _draw_like(character: str) -> str:
    kind = next((kind for kind in _KINDS if character in kind), None)
    return secrets.choice(kind or _neighbours(character))


def _neighbours(character: str) -> list[str]:
    """Letters of the same alphabet and case; what is no letter stays."""
    if not character.isalpha():
        return [character]
    first = ord(character) // 32 * 32
    near = [chr(code) for code in range(first, first + 32)]
    alike = [one for one in near if one.isalpha() and one.islower() == character.islower()]
    return [one for one in alike if one.isupper() == character.isupper()] or [character]


def _read_object(text: str) -> dict[str, Any] | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _make_up_leaves(part: Any, *, only_keys: bool) -> Any:  # noqa: ANN401  # JSON
    if isinstance(part, dict):
        return {name: _make_up_leaves(inner, only_keys=only_keys) for name, inner in part.items()}
    if isinstance(part, list):
        return [_make_up_leaves(inner, only_keys=only_keys) for inner in part]
    if not isinstance(part, str) or (only_keys and not _PEM.search(part)):
        return part
    return _make_up(part) or part


def _make_up_key(text: str) -> str | None:
    """Another private key of the same kind, in the same wrapping; None for what cannot be read."""
    openssh = "BEGIN OPENSSH PRIVATE KEY" in text
    data = text.encode()
    try:
        key = (
            serialization.load_ssh_private_key(data, None)
            if openssh
            else serialization.load_pem_private_key(data, None)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    made: Any
    if isinstance(key, ed25519.Ed25519PrivateKey):
        made = ed25519.Ed25519PrivateKey.generate()
    elif isinstance(key, ed448.Ed448PrivateKey):
        made = ed448.Ed448PrivateKey.generate()
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        made = ec.generate_private_key(key.curve)
    elif isinstance(key, rsa.RSAPrivateKey):
        made = rsa.generate_private_key(public_exponent=65537, key_size=key.key_size)
    else:
        return None
    form = serialization.PrivateFormat.OpenSSH if openssh else serialization.PrivateFormat.PKCS8
    if "BEGIN RSA PRIVATE KEY" in text or "BEGIN EC PRIVATE KEY" in text:
        form = serialization.PrivateFormat.TraditionalOpenSSL
    written: bytes = made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return written.decode()
