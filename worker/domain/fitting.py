"""Names of elsewhere, made to fit the vault's rule by a rule of their own. Pure: one text gives one name."""

import hashlib
import re
import unicodedata
from typing import Final

from vaultcore.errors import InvalidInputError
from vaultcore.names import normalise
from vaultcore.rules import NAME_MAX, NAME_MIN, check_name

_DIGEST: Final = 8
"""Hexadecimal digits that tell a name that was cut from others of the same beginning."""
_SHORT: Final = "-secret"
_NEVER: Final = re.compile(
    r'["{}\\|%\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]'
)
_PART: Final = re.compile(r"[^\W_]+")


def fit_name(written: str) -> str:
    """What the vault takes stays as it is. Of anything else characters that it does not take become `-`, blanks
    one blank; to what is too short `-secret` is added, and what is too long is cut and ends with a digest of
    the whole. `InvalidInputError` where that does not make a name of it.
    """
    kept = _check(written)
    if kept is not None:
        return kept
    plain = "".join(map(_replace, normalise(written)))
    plain = re.sub(r"-{2,}", "-", re.sub(r" {2,}", " ", plain)).strip(" -")
    if not plain:
        return check_name(written)
    if len(plain) < NAME_MIN:
        plain += _SHORT
    if len(plain) > NAME_MAX:
        digest = hashlib.sha256(written.encode(errors="surrogatepass")).hexdigest()[:_DIGEST]
        plain = f"{plain[: NAME_MAX - _DIGEST - 1].rstrip(' -')}-{digest}"
    return check_name(plain)


def name_of_variable(variable: str) -> str:
    """`PROD_BILLING_TOKEN` is `prod-billing-token`."""
    return "-".join(_PART.findall(variable)).lower()


def name_of_path(path: str) -> str:
    """`prod/billing/db` is `prod-billing-db`."""
    return "-".join(part for part in path.split("/") if part)


def name_of_field(name: str, field: str) -> str:
    """Of one of several secrets under one name: `prod-billing` and `apiKey` make `prod-billing-api-key`."""
    return f"{name}-{'-'.join(split_words(field))}"


def split_words(text: str) -> list[str]:
    """`accessKeyId`, `ACCESS_KEY_ID` and `access-key id` are the same words, in lower case."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return [word.lower() for word in _PART.findall(parted)]


def _check(written: str) -> str | None:
    try:
        return check_name(written)
    except InvalidInputError:
        return None


def _replace(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Zs", "Zl", "Zp") or character in "\t\r\n":
        return " "
    return "-" if category[0] == "C" or _NEVER.match(character) else character
