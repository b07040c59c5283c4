"""What a value looks like, since key material may be longer than a password. Pure; nothing is ever quoted.

A form is told by the whole text and not by its beginning: what only starts like a key is a regular value.
"""

import json
import re
from enum import StrEnum
from typing import Final

VALUE_MAX: Final = 2000
"""Characters of a regular value, as SDX has it."""
KEY_MAX: Final = 16_000
"""Characters of key material."""


class Form(StrEnum):
    REGULAR = "a regular value"
    PEM = "a PEM key"
    """One or more blocks `-----BEGIN … -----` to `-----END … -----`, and nothing beside them."""
    JSON = "a JSON key document"
    """A JSON object, such as the key file of a service account."""


LIMITS: Final = {Form.REGULAR: VALUE_MAX, Form.PEM: KEY_MAX, Form.JSON: KEY_MAX}

_PEM_BLOCK = re.compile(
    r"-----BEGIN (?P<label>[0-9A-Z][0-9A-Z ]*)-----[ \t]*\r?\n"
    r"(?:[A-Za-z][0-9A-Za-z-]*: [^\r\n]*\r?\n)*"  # headers of an encrypted one (RFC 1421)
    r"(?P<body>(?:[0-9A-Za-z+/= \t]*\r?\n)+)"
    r"-----END (?P=label)-----[ \t]*(?:\r?\n|$)"
)


def form_of(value: str) -> Form:
    """What the value is taken for."""
    if _is_pem(value.strip()):
        return Form.PEM
    return Form.JSON if _is_json_object(value) else Form.REGULAR


def explain_form(value: str) -> str:
    """Why a value that starts like key material is taken for a regular one; empty: it does not."""
    start = value.lstrip()[:11]
    if form_of(value) is not Form.REGULAR:
        return ""
    if start == "-----BEGIN ":
        return ": it begins like a PEM key, but not all of it is one: look for a line that is missing or cut"
    return ": it begins like JSON, but is not a JSON object" if start.startswith("{") else ""


def _is_pem(text: str) -> bool:
    at = 0
    while at < len(text):
        found = _PEM_BLOCK.match(text, at)
        if found is None or not found["body"].strip():
            return False
        at = found.end()
        while at < len(text) and text[at].isspace():
            at += 1
    return bool(text)


def _is_json_object(text: str) -> bool:
    """The parser's errors hold the text: they end here."""
    if not text.lstrip().startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
