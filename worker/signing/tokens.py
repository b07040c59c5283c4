"""Tokens: signed by one key, checked against all that may have signed them."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vaultcore.errors import InvalidInputError
from worker.domain.strict_json import parse_json
from worker.signing.keys import SigningKey

TOKEN_MAX = 16_384
"""Characters of a token that is looked at."""


@dataclass(frozen=True, kw_only=True)
class CheckedToken:
    """What a token that holds says, and by which key it was signed (None: a shared one)."""

    claims: Mapping[str, Any]
    kid: str | None


class RefusedTokenError(Exception):
    """A token that does not hold. Its text says why, and nothing that the token says."""


def sign(key: SigningKey, claims: Mapping[str, Any]) -> str:
    """The claims as they are, in the compact form."""
    from joserfc import jwt  # noqa: PLC0415  # an extra

    _accept_name(key)
    header = {"alg": key.algorithm} | ({} if key.kid is None else {"kid": key.kid})
    return jwt.encode(header, dict(claims), key.key, algorithms=[key.algorithm])


def check(
    token: str,
    keys: Sequence[SigningKey],
    *,
    now: datetime,
    leeway: float = 0,
    issuer: str | None = None,
    audience: str | None = None,
) -> CheckedToken:
    """What the token says, if one of the keys signed it, it has an expiry, and that and the rest hold.

    A key is used with its own algorithm alone, whatever the token's header asks for. `leeway`: seconds.
    """
    if len(token) > TOKEN_MAX:
        raise RefusedTokenError(f"the token has {len(token)} characters: {TOKEN_MAX} at most")
    header = _read_header(token)
    kid = header.get("kid")
    for key in _candidates(keys, kid):
        claims = _open(token, key)
        if claims is not None:
            _check_claims(claims, now=now, leeway=leeway, issuer=issuer, audience=audience)
            return CheckedToken(claims=claims, kid=key.kid)
    raise RefusedTokenError(
        "the token was signed by none of the keys that are in use"
        if kid is None or any(key.kid == kid for key in keys)
        else "the token names a key that is not in use"
    )


def read_kid(token: str) -> str | None:
    """The key that the token names; None where it names none. Nothing of it has been checked."""
    if len(token) > TOKEN_MAX:
        raise RefusedTokenError(f"the token has {len(token)} characters: {TOKEN_MAX} at most")
    kid = _read_header(token).get("kid")
    return kid if isinstance(kid, str) else None


def _candidates(keys: Iterable[SigningKey], kid: object) -> list[SigningKey]:
    """The key that the token names; one without a name may be any."""
    return [key for key in keys if kid is None or key.kid in (None, kid)]


def _read_header(token: str) -> Mapping[str, Any]:
    from joserfc import jws  # noqa: PLC0415  # an extra
    from joserfc.errors import JoseError  # noqa: PLC0415  # as above

    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError):
        header = None
    if not isinstance(header, Mapping):
        raise RefusedTokenError("this is not a JSON Web Token")
    return header


def _open(token: str, key: SigningKey) -> Mapping[str, Any] | None:
    """What it says; None if this key did not sign it."""
    from joserfc import jws  # noqa: PLC0415  # an extra
    from joserfc.errors import JoseError  # noqa: PLC0415  # as above

    _accept_name(key)
    try:
        payload = jws.deserialize_compact(token, key.key, algorithms=[key.algorithm]).payload
    except (JoseError, ValueError, TypeError):
        return None
    try:
        claims = parse_json(payload.decode())
    except (InvalidInputError, UnicodeDecodeError):
        claims = None
    if not isinstance(claims, dict):
        raise RefusedTokenError("the token holds no claims")
    return claims


def _accept_name(key: SigningKey) -> None:
    """The library warns of the name `EdDSA`; what RFC 9864 calls it now, those who check do not know yet."""
    from joserfc.errors import SecurityWarning  # noqa: PLC0415  # an extra

    if key.algorithm == "EdDSA":
        warnings.filterwarnings("ignore", message="EdDSA is deprecated", category=SecurityWarning)


def _check_claims(
    claims: Mapping[str, Any], *, now: datetime, leeway: float, issuer: str | None, audience: str | None
) -> None:
    from joserfc.errors import ExpiredTokenError, JoseError, MissingClaimError  # noqa: PLC0415  # an extra
    from joserfc.jwt import JWTClaimsRegistry  # noqa: PLC0415  # as above

    wanted: dict[str, Any] = {"exp": {"essential": True}}
    if issuer is not None:
        wanted["iss"] = {"essential": True, "value": issuer}
    if audience is not None:
        wanted["aud"] = {"essential": True, "value": audience}
    problem = ""
    try:
        JWTClaimsRegistry(now=int(now.timestamp()), leeway=int(leeway), **wanted).validate(dict(claims))
    except ExpiredTokenError:
        problem = "the token has expired"
    except MissingClaimError as error:
        problem = f"the token has no {error.claim}"
    except JoseError as error:
        problem = (
            f"the token does not hold: {getattr(error, 'claim', None) or 'a claim'} is not what it must be"
        )
    except (ValueError, TypeError):
        problem = "the token does not hold: a claim is not what it must be"
    if problem:
        raise RefusedTokenError(problem)
