"""Key material may be longer than a password, and is told by the whole of its form."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from vaultcore.errors import InvalidInputError
from vaultcore.forms import KEY_MAX, VALUE_MAX, Form, form_of
from vaultcore.rules import check_value

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def export(form: PrivateFormat, encryption: KeySerializationEncryption | None = None) -> str:
    return KEY.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


PKCS8 = export(PrivateFormat.PKCS8)
LINES = PKCS8.splitlines()
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
ACCOUNT = json.dumps({"type": "service_account", "private_key": PKCS8, "client_email": "robot@example.org"})


def pem_of(length: int) -> str:
    """A block of just that many characters."""
    head, tail = "-----BEGIN PRIVATE KEY-----\n", "\n-----END PRIVATE KEY-----\n"
    body = "\n".join(["A" * 63] * 300)
    return head + body[: length - len(head) - len(tail)] + tail


def json_of(length: int) -> str:
    return json.dumps({"k": "v" * (length - len('{"k": ""}'))})


@pytest.mark.parametrize(
    "text",
    [
        PKCS8,
        PKCS8.strip(),
        f"\n {PKCS8}\n\n",
        PKCS8.replace("\n", "\r\n"),
        PUBLIC,
        PUBLIC + "\n" + PKCS8,
        export(PrivateFormat.OpenSSH),
        export(PrivateFormat.TraditionalOpenSSL),
        export(PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"a-pass-phrase")),
    ],
)
def test_a_pem_key_is_one_in_whichever_format(text):
    assert form_of(text) is Form.PEM


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(LINES[:-1]),
        "\n".join(LINES[1:]),
        "\n".join([LINES[0], LINES[-1]]),
        PKCS8.replace("BEGIN PRIVATE", "BEGIN PUBLIC"),
        PKCS8.replace("\n", "\\n"),
        f"the key:\n{PKCS8}",
        f"{PKCS8}\nand more",
        PKCS8.replace(LINES[3], LINES[3] + "!"),
        "-----BEGIN PRIVATE KEY-----",
        "",
        '["a"]',
        '"a"',
        "{",
        '{"a": 1} and more',
        "{" * 3000,
        '{"a":' * 3000,
        '{"n": ' + "9" * 5000 + "}",
    ],
)
def test_what_only_begins_like_key_material_is_a_regular_value(text):
    assert form_of(text) is Form.REGULAR


@pytest.mark.parametrize("text", [ACCOUNT, json.dumps(json.loads(ACCOUNT), indent=2), " {}\n"])
def test_a_json_object_is_a_key_document(text):
    assert form_of(text) is Form.JSON


@pytest.mark.parametrize("value", ["x" * VALUE_MAX, pem_of(KEY_MAX), json_of(KEY_MAX), json_of(VALUE_MAX + 1)])
def test_each_form_may_have_its_own_length(value):
    assert check_value(value, name="prod-x-key") == value


MORE = "a regular value (a PEM key or a JSON key document may have 16000)"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("x" * (VALUE_MAX + 1), f"2001 characters: 2000 at most, since it was taken for {MORE}"),
        (pem_of(KEY_MAX + 1), "16001 characters: 16000 at most, since it was taken for a PEM key"),
        (json_of(KEY_MAX + 1), "16001 characters: 16000 at most, since it was taken for a JSON key document"),
        (pem_of(3000)[:-5], f"taken for {MORE}: it begins like a PEM key, but not all of it is one"),
        (json_of(3000)[:-1], f"taken for {MORE}: it begins like JSON, but is not a JSON object"),
    ],
)
def test_what_is_too_long_is_told_with_its_length_its_limit_and_what_it_was_taken_for(value, says):
    with pytest.raises(InvalidInputError) as caught:
        check_value(value, name="prod-x-key")

    assert says in str(caught.value)
    assert value[30:60] not in str(caught.value)
    assert caught.value.__context__ is None, "the parser's error would hold the value"
