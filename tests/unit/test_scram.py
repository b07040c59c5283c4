"""What PostgreSQL stores for a password: by the example of RFC 7677, and as libpq makes it."""

import hashlib
import hmac
import re
from base64 import b64decode

import pytest

from worker.rotators.scram import make_scram_verifier

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
EXCHANGE = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
PROOF = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
SIGNATURE = b64decode("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
FORM = r"SCRAM-SHA-256\$4096:([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]+=*):([A-Za-z0-9+/]+=*)"


def _read(verifier: str) -> list[bytes]:
    """Salt, stored key and server key."""
    found = re.fullmatch(FORM, verifier)
    assert found is not None, "it has another form"
    return [b64decode(part) for part in found.groups()]


def test_it_takes_the_proof_of_the_example_and_signs_as_the_example_does() -> None:
    salt, stored, server = _read(make_scram_verifier("pencil", salt=SALT))
    assert salt == SALT
    mask = hmac.digest(stored, EXCHANGE, "sha256")
    client = bytes(one ^ other for one, other in zip(PROOF, mask, strict=True))
    assert hashlib.sha256(client).digest() == stored
    assert hmac.digest(server, EXCHANGE, "sha256") == SIGNATURE


def test_it_has_the_form_that_libpq_gives_it() -> None:
    pq = pytest.importorskip("psycopg").pq
    theirs = pq.PGconn.connect_start(b"host=127.0.0.1").encrypt_password(b"pencil", b"user", b"scram-sha-256")
    assert [len(part) for part in _read(theirs.decode())] == [
        len(part) for part in _read(make_scram_verifier("pencil"))
    ]


def test_it_has_as_many_iterations_as_are_wanted() -> None:
    assert make_scram_verifier("pencil", iterations=20_000).startswith("SCRAM-SHA-256$20000:")


def test_each_has_a_salt_of_its_own() -> None:
    assert make_scram_verifier("pencil") != make_scram_verifier("pencil")


def test_a_password_that_must_be_prepared_first_is_refused() -> None:
    with pytest.raises(ValueError, match="not ASCII"):
        make_scram_verifier("păsword")
