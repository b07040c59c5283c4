"""The public keys of another issuer, from the key set that it publishes (RFC 7517)."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from worker.signing.keys import SigningKey

KEYS_MAX: Final = 100
_RSA_BITS: Final = 2048
_KINDS: Final[Mapping[str, tuple[str, str | None]]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "PS256": ("RSA", None),
    "PS384": ("RSA", None),
    "PS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Of which kind and curve a key of each algorithm is."""


def read_key_set(document: object, algorithms: Collection[str]) -> list[SigningKey]:
    """A key for each algorithm that it may be used with. What is for something else, is shared, too short, or
    cannot be read, is left out: other keys of the set still hold.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    entries = listed[:KEYS_MAX] if isinstance(listed, list) else []
    return [key for entry in entries if isinstance(entry, Mapping) for key in _read(entry, algorithms)]


def _read(entry: Mapping[str, Any], algorithms: Collection[str]) -> Iterator[SigningKey]:
    from joserfc import jwk  # noqa: PLC0415  # an extra
    from joserfc.errors import JoseError  # noqa: PLC0415  # as above

    kind, kid = (entry.get("kty"), entry.get("crv")), entry.get("kid")
    fitting = [one for one in algorithms if _KINDS.get(one) == (kind[0], kind[1] if kind[0] != "RSA" else None)]
    if entry.get("alg") is not None:
        fitting = [one for one in fitting if one == entry["alg"]]
    if not fitting or entry.get("use", "sig") != "sig":
        return
    try:
        # Without what it says of its use, which the library would hold against ours
        told = {name: part for name, part in entry.items() if name not in ("alg", "use", "key_ops", "x5c")}
        key = jwk.import_key(told)
        size = getattr(key.public_key, "key_size", 0) if kind[0] == "RSA" else _RSA_BITS
    except (JoseError, ValueError, TypeError, KeyError):
        return
    if size >= _RSA_BITS:
        yield from (
            SigningKey(algorithm=one, kid=kid if isinstance(kid, str) else None, key=key) for one in fitting
        )
