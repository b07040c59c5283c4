"""Signing keys: read from what an item holds, made anew, and their public half.

A key of an algorithm with two halves is a private key in PEM; a JSON Web Key is read as well. One of HS256 is
text, 32 bytes or more, that everybody who checks its tokens holds too.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from vaultcore.errors import Cause, ConfigurationError, TargetError
from vaultcore.secret import Secret

if TYPE_CHECKING:
    from joserfc.jwk import Key

Algorithm = Literal["HS256", "ES256", "EdDSA", "RS256"]
ALGORITHMS: tuple[str, ...] = get_args(Algorithm)

_SHARED_MIN = 32
"""Bytes of a shared key: as many as SHA-256 has (RFC 7518, 3.2)."""
_RSA_BITS, _RSA_BITS_MAX = 2048, 4096
"""Of a key that is made. A longer one takes minutes to make."""


@dataclass(frozen=True, kw_only=True, repr=False)
class SigningKey:
    """`kid` is what a JWK says of itself, or the thumbprint of a key with two halves (RFC 7638); None for
    another shared one, of which a thumbprint would tell.
    """

    algorithm: str
    kid: str | None
    key: "Key"

    def public(self) -> dict[str, Any] | None:
        """The half that may be shown, as JWK; None: there is none."""
        if self.algorithm == "HS256":
            return None
        shown = {str(name): part for name, part in self.key.as_dict(private=False).items()}
        return {**shown, "kid": self.kid, "alg": self.algorithm, "use": "sig"}


def check_installed() -> None:
    """`ConfigurationError` without the package that reads keys."""
    missing = _explain_missing()
    if missing:
        raise ConfigurationError(missing)


def _explain_missing() -> str:
    return "" if find_spec("joserfc") is not None else "signing keys need joserfc: pip install 'nightkey[jwt]'"


def generate(algorithm: str, *, like: Secret | None = None) -> Secret:
    """A new key, as text that an item holds; an RSA key is as long as the one that it is `like`."""
    if algorithm == "HS256":
        return Secret(secrets.token_urlsafe(_SHARED_MIN))
    makers: dict[str, Callable[[], Any]] = {
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
        "RS256": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=_bits_like(like)),
    }
    made = makers[algorithm]()
    return Secret(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


def _bits_like(value: Secret | None) -> int:
    """As many as the key has, within what is made; the fewest for what is no RSA key."""
    try:
        size = getattr(read_key(value).key.private_key, "key_size", 0) if value is not None else 0
    except TargetError:
        size = 0
    return max(_RSA_BITS, min(size, _RSA_BITS_MAX))


def read_key(value: Secret, algorithm: str | None = None) -> SigningKey:
    """The key that an item holds. One that does not fit the algorithm is a mistake; nothing of it is quoted."""
    problem = _explain_missing()
    if problem:
        raise TargetError(problem, cause=Cause.MISTAKE)
    problem = (
        "cannot be read: give a private key in PEM, not encrypted, or as JWK; for HS256, text of "
        f"{_SHARED_MIN} bytes or more"
    )
    try:
        key, found = _read(value.expose().strip())
    except Exception:  # noqa: BLE001, S110  # two libraries with a tree of errors each, whose text may quote the key
        pass
    else:
        problem = _judge(key, found, algorithm)
        if not problem and found is not None:
            kid = key.kid or (None if found == "HS256" else key.thumbprint())
            return SigningKey(algorithm=found, kid=kid, key=key)
    raise TargetError(f"the signing key {problem}", cause=Cause.MISTAKE)


def _read(text: str) -> "tuple[Key, str | None]":
    from joserfc import jwk  # noqa: PLC0415  # an extra

    key: Any
    if text.startswith("{"):
        stored: Mapping[str, Any] = json.loads(text)
        key = jwk.import_key(dict(stored))
    elif text.startswith("-----BEGIN"):
        key = _import_pem(text)
    else:
        key = jwk.OctKey.import_key(text) if len(text.encode()) >= _SHARED_MIN else None
        if key is None:
            raise ValueError
    return key, _algorithm_of(key)


def _import_pem(text: str) -> "Key":
    from joserfc import jwk  # noqa: PLC0415  # an extra

    loaded = load_pem_private_key(text.encode(), password=None)
    pem = loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(loaded, rsa.RSAPrivateKey):
        return jwk.RSAKey.import_key(pem)
    if isinstance(loaded, ec.EllipticCurvePrivateKey):
        return jwk.ECKey.import_key(pem)
    return jwk.OKPKey.import_key(pem)


def _algorithm_of(key: "Key") -> str | None:
    curve = None if key.key_type == "oct" else key.as_dict(private=False).get("crv")
    known: dict[tuple[str, object], str] = {
        ("oct", None): "HS256",
        ("EC", "P-256"): "ES256",
        ("OKP", "Ed25519"): "EdDSA",
        ("RSA", None): "RS256",
    }
    return known.get((key.key_type, curve))


def _judge(key: "Key", found: str | None, wanted: str | None) -> str:
    """What is wrong with it; empty: nothing."""
    if found is None:
        return f"is of a kind that no algorithm of ours uses: there are {', '.join(ALGORITHMS)}"
    if wanted is not None and found != wanted:
        return f"is one for {found}, and {wanted} is asked for"
    if not key.is_private:
        return "is a public one: tokens are signed by the private half"
    if found == "HS256" and len(getattr(key, "raw_value", b"")) < _SHARED_MIN:
        return f"is too short: HS256 needs {_SHARED_MIN} bytes or more"
    if found == "RS256" and getattr(key.private_key, "key_size", 0) < _RSA_BITS:
        return f"is too short: RS256 needs {_RSA_BITS} bits or more"
    return ""
