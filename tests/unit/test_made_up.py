"""Made-up values: of the same form, never the same, and nothing of the real one in what counts."""

import json
from unicodedata import name

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from vaultcore.secret import Secret
from worker.domain.made_up import make_up


def made_of(text: str) -> str:
    made = make_up(Secret(text))
    assert made is not None
    return made.expose()


def shape(text: str) -> str:
    return "".join(map(kind_of, text))


def kind_of(character: str) -> str:
    if character in "0123456789":
        return "0"
    if not character.isalpha():
        return character
    return f"{character.islower():d}{character.isupper():d}{character.isascii():d}"


@given(st.text(min_size=1, max_size=200))
def test_it_is_another_of_the_same_shape_or_there_is_none(text):
    made = make_up(Secret(text))
    if made is None:
        assert "://" in text or not any(c.isascii() and c.isalnum() for c in text)
    elif not text.lstrip().startswith("{"):
        assert made.expose() != text
        assert shape(made.expose()) == shape(text)


@pytest.mark.parametrize("prefix", ["ghp_", "wfk_", "sk-live-", "xoxb-", "robot:"])
def test_what_tells_of_which_kind_it_is_stays(prefix):
    made = made_of(f"{prefix}A7f3kQ9zLm2XwP0")
    assert made.startswith(prefix)
    assert "A7f3kQ9zLm2XwP0" not in made


def test_of_a_jwt_only_the_signature_is_another():
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJyb2JvdCJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    head, _, signature = token.rpartition(".")
    made = made_of(token)
    assert made.startswith(f"{head}.")
    assert made != token
    assert signature not in made


@pytest.mark.parametrize(
    ("key", "form"),
    [
        (ed25519.Ed25519PrivateKey.generate(), serialization.PrivateFormat.OpenSSH),
        (ed25519.Ed25519PrivateKey.generate(), serialization.PrivateFormat.PKCS8),
        (ec.generate_private_key(ec.SECP256R1()), serialization.PrivateFormat.TraditionalOpenSSL),
        (rsa.generate_private_key(public_exponent=65537, key_size=2048), serialization.PrivateFormat.OpenSSH),
    ],
)
def test_a_private_key_becomes_another_key_of_its_kind(key, form):
    text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    made = made_of(text)
    assert made.splitlines()[0] == text.splitlines()[0]
    read = (
        serialization.load_ssh_private_key
        if form is serialization.PrivateFormat.OpenSSH
        else serialization.load_pem_private_key
    )
    other = read(made.encode(), None)
    assert type(other) is type(key)
    assert other.public_key() != key.public_key()


def test_of_a_document_with_a_key_the_key_alone_is_another():
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    document = {"type": "service_account", "project": "orders", "private_key": key.decode()}
    made = json.loads(made_of(json.dumps(document)))
    assert {**made, "private_key": ""} == {**document, "private_key": ""}
    assert made["private_key"] != document["private_key"]


@pytest.mark.parametrize(
    "value", ["", "---", "!!!!", "{}", "https://hooks.example.org", "-----BEGIN PRIVATE KEY-----\nnot a key\n"]
)
def test_of_what_has_nothing_that_could_be_another_there_is_none(value):
    assert make_up(Secret(value)) is None


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://hooks.example.org/services/T0AAAA/XyZ123abc", "https://hooks.example.org/services/T0AAAA/"),
        ("https://example.org:8443/hook?key=AbC123", "https://example.org:8443/"),
        ("postgresql://orders:S3cretWord@db.example.org:5432/orders?sslmode=require", "postgresql://orders:"),
    ],
)
def test_of_a_url_who_is_called_and_as_whom_stays(value, kept):
    made = made_of(value)
    assert made.startswith(kept)
    assert made != value
    if "@" in value:
        assert made.partition("@")[2] == value.partition("@")[2]


def test_letters_of_another_alphabet_become_others_of_it():
    made = made_of("пароль-абвгд")
    assert made != "пароль-абвгд"
    assert made[6] == "-"
    assert all(name(letter).startswith("CYRILLIC SMALL") for letter in made.replace("-", ""))
