"""Signing keys and tokens: what is read, what is signed, and what is refused although somebody signed it."""

import base64
import hmac
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwk
from joserfc import jwt as joserfc_jwt

from vaultcore.errors import Cause, TargetError
from vaultcore.forms import VALUE_MAX
from vaultcore.rules import check_value
from vaultcore.secret import Secret
from worker.signing.keys import ALGORITHMS, generate, read_key
from worker.signing.tokens import TOKEN_MAX, RefusedTokenError, check, sign

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
LATER = int((NOW + timedelta(minutes=5)).timestamp())
KEYS = {algorithm: read_key(generate(algorithm)) for algorithm in ALGORITHMS}
VALUES = {algorithm: generate(algorithm) for algorithm in ALGORITHMS}


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def refuse(token, keys, **asked):
    with pytest.raises(RefusedTokenError) as caught:
        check(token, keys, now=NOW, **asked)
    return str(caught.value)


# Keys


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_that_is_made_fits_into_an_item_and_is_read_again(algorithm):
    value = generate(algorithm)
    key = read_key(value, algorithm)
    assert len(value) <= VALUE_MAX
    assert key.algorithm == algorithm
    assert generate(algorithm) != value
    assert (key.kid is None) == (algorithm == "HS256")


def test_an_rsa_key_is_as_long_as_the_one_it_takes_the_place_of():
    old = pem(rsa.generate_private_key(public_exponent=65_537, key_size=3072))
    made = generate("RS256", like=Secret(old))
    key: Any = read_key(made, "RS256").key
    assert key.private_key.key_size == 3072
    assert len(made) > VALUE_MAX
    assert check_value(made.expose(), name="prod-orders-signing-key")
    key = read_key(generate("RS256", like=Secret("no key")), "RS256").key
    assert key.private_key.key_size == 2048


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_the_public_half_holds_nothing_of_the_private_one(algorithm):
    key = read_key(VALUES[algorithm])
    public = key.public()
    private = key.key.as_dict(private=True)
    secret = set(private) - set(key.key.as_dict(private=False))
    assert secret
    assert not secret & set(public)
    assert (public["alg"], public["use"], public["kid"]) == (algorithm, "sig", key.kid)


def test_a_shared_key_has_no_public_half():
    assert read_key(VALUES["HS256"]).public() is None


@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_a_key_is_read_as_jwk_too_and_keeps_the_name_it_has(algorithm):
    key = read_key(VALUES[algorithm]).key.as_dict(private=True)
    assert read_key(Secret(json.dumps(key))).kid == read_key(VALUES[algorithm]).kid
    named = read_key(Secret(json.dumps({**key, "kid": "of-2026"})))
    assert (named.kid, named.public()["kid"]) == ("of-2026", "of-2026")


def test_a_key_in_the_older_form_of_pem_is_read():
    made = ec.generate_private_key(ec.SECP256R1())
    old = made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    assert read_key(Secret(old)).kid == read_key(Secret(pem(made))).kid


UNREADABLE = [
    ("", "cannot be read"),
    ("too short a secret", "cannot be read"),
    ("{}", "cannot be read"),
    ('{"kty": "oct"', "cannot be read"),
    ("[1, 2]", "cannot be read"),
    ('{"kty": "oct", "k": "c2hvcnQtYnV0LW5vdC10aGF0LXNob3J0"}', "is too short: HS256 needs 32 bytes"),
    ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "cannot be read"),
    (pem(rsa.generate_private_key(public_exponent=65_537, key_size=1024)), "too short: RS256 needs 2048"),
    (pem(ec.generate_private_key(ec.SECP384R1())), "is of a kind that no algorithm of ours uses"),
    (pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"x")), "cannot be read"),
    (json.dumps(KEYS["ES256"].public()), "is a public one"),
]


@pytest.mark.filterwarnings("ignore:Key size should be")
@pytest.mark.parametrize(("text", "problem"), UNREADABLE)
def test_what_is_no_key_is_a_mistake_that_quotes_nothing(text, problem):
    with pytest.raises(TargetError, match=problem) as caught:
        read_key(Secret(text))
    assert caught.value.cause is Cause.MISTAKE
    assert caught.value.__context__ is None
    assert all(word not in str(caught.value) for word in text.split() if len(word) > 12)


def test_a_key_of_another_algorithm_than_is_asked_for_is_refused():
    with pytest.raises(TargetError, match="is one for EdDSA, and ES256 is asked for"):
        read_key(VALUES["EdDSA"], "ES256")


# Tokens


json_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
claims_made = st.dictionaries(
    json_text.filter(lambda name: name not in ("exp", "iat", "nbf", "iss", "aud", "sub")),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | json_text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=5,
)


@given(claims=claims_made, algorithm=st.sampled_from(ALGORITHMS))
def test_what_was_signed_is_read_again_as_it_was(claims, algorithm):
    claims = claims | {"exp": LATER}
    checked = check(sign(KEYS[algorithm], claims), list(KEYS.values()), now=NOW)
    assert (checked.claims, checked.kid) == (claims, KEYS[algorithm].kid)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_we_sign_two_libraries_accept_and_what_they_sign_we_accept(algorithm):
    value, key = VALUES[algorithm], read_key(VALUES[algorithm])
    shared = algorithm == "HS256"
    public = value.expose() if shared else pyjwt.PyJWK(key.public()).key
    token = sign(key, {"sub": "anna", "exp": LATER + 10**9})
    assert pyjwt.decode(token, public, algorithms=[algorithm])["sub"] == "anna"
    other = jwk.import_key(value.expose(), "oct") if shared else jwk.import_key(key.public())
    assert joserfc_jwt.decode(token, other, algorithms=[algorithm]).claims["sub"] == "anna"
    named = {} if shared else {"kid": key.kid}
    theirs = pyjwt.encode({"sub": "bert", "exp": LATER}, value.expose(), algorithm=algorithm, headers=named)
    assert check(theirs, [key], now=NOW).claims["sub"] == "bert"


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_the_algorithm_is_the_keys_and_never_the_tokens():
    """The oldest trick: a token that is signed with the public half, as if that were a shared secret."""
    rsa_key = KEYS["RS256"]
    head, body = (_encode(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"exp": LATER}))
    public: Any = rsa_key.key
    forged = hmac.new(public.as_pem(private=False), f"{head}.{body}".encode(), "sha256").digest()
    told = refuse(f"{head}.{body}.{_encode(forged)}", [rsa_key])
    assert told == "the token was signed by none of the keys that are in use"
    nothing = pyjwt.encode({"exp": LATER}, key=None, algorithm="none")
    assert refuse(nothing, list(KEYS.values())) == "the token was signed by none of the keys that are in use"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_that_was_changed_holds_no_more(algorithm):
    key = KEYS[algorithm]
    head, body, signature = sign(key, {"sub": "anna", "exp": LATER}).split(".")
    _, other, _ = sign(key, {"sub": "boss", "exp": LATER}).split(".")
    assert "signed by none" in refuse(f"{head}.{other}.{signature}", [key])
    assert "signed by none" in refuse(f"{head}.{body}.", [key])


def test_a_token_that_names_a_key_is_checked_by_no_other():
    first, second = read_key(generate("ES256")), read_key(generate("ES256"))
    token = sign(first, {"exp": LATER})
    assert check(token, [second, first], now=NOW).kid == first.kid
    assert refuse(token, [second]) == "the token names a key that is not in use"
    private: Any = first.key
    nameless = pyjwt.encode({"exp": LATER}, private.as_pem(private=True), algorithm="ES256")
    assert check(nameless, [second, first], now=NOW).kid == first.kid


SAID = {"exp": LATER, "iss": "us", "aud": ["them", "others"], "sub": "anna"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"exp": None}, "the token has no exp"),
        ({"exp": LATER - 300}, "the token has expired"),
        ({"exp": "soon"}, "a claim is not what it must be|exp is not what it must be"),
        ({"nbf": LATER}, "the token does not hold"),
        ({"iss": "you"}, "iss is not what it must be"),
        ({"iss": None}, "the token has no iss"),
        ({"aud": "nobody"}, "aud is not what it must be"),
        ({"aud": None}, "the token has no aud"),
    ],
)
def test_what_a_token_says_must_hold(changes, problem):
    key = KEYS["ES256"]
    said = {name: part for name, part in (SAID | changes).items() if part is not None}
    asked: dict[str, Any] = {"issuer": "us", "audience": "them"}
    assert check(sign(key, SAID), [key], now=NOW, **asked).claims["sub"] == "anna"
    assert re.search(problem, refuse(sign(key, said), [key], **asked))


def test_clocks_may_differ_by_the_leeway():
    key = KEYS["ES256"]
    token = sign(key, {"exp": int(NOW.timestamp()) - 20})
    assert check(token, [key], now=NOW, leeway=30)
    assert refuse(token, [key], leeway=10) == "the token has expired"


@pytest.mark.parametrize("token", ["", "a.b.c", "…", "{}", "a.b", "e30.e30.e30", "x" * (TOKEN_MAX + 1)])
def test_what_is_no_token_is_refused_in_one_line(token):
    assert "\n" not in refuse(token, list(KEYS.values()))
