"""Every form that a value is looked for in: its parts, and what JSON, URLs, hex and base64 make of it. Pure."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from worker.workflows.bare import inner

TOKEN_MIN: Final = 8
"""Characters of a word that is looked for by itself."""
_LINE_MIN: Final = 16


def parts_of(value: str) -> set[str]:
    """The value, its longer lines, and the texts in it where it is a JSON document, with their lines: whoever
    reads the document hands those on one by one.
    """
    wholes = [value, *(text for text in _texts_in(value) if len(text) >= TOKEN_MIN)]
    parts = {text for whole in wholes for text in (whole, whole.strip())}
    return parts | {line for whole in wholes for line in whole.splitlines() if len(line) >= _LINE_MIN}


def _texts_in(value: str) -> Iterator[str]:
    """Every text in a JSON object or list; none where the value is neither."""
    if value.lstrip()[:1] not in ("{", "["):
        return
    try:
        todo = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while todo:
        match todo.pop():
            case str() as text:
                yield text
            case int() | float() as number:
                yield str(number)
            case dict() as mapping:
                todo += mapping.values()
            case list() as parts:
                todo += parts
            case _:
                pass


def forms_of(value: str) -> dict[str, bool]:
    """The value raw, JSON-escaped, URL-quoted, in hex, and in base64; True: a part of a longer word."""
    raw = value.encode(errors="surrogatepass")
    quoted = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    plain = {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value)[1:-1])[1:-1],
        raw.hex(),
        raw.hex().upper(),
        *_as_number(value),
        *quoted,
        *(re.sub("%..", lambda found: found[0].lower(), text) for text in quoted),
    }
    forms = dict.fromkeys(plain, False)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            forms.setdefault(inner(raw, before, encode, 6), True)
    forms |= {form.replace("/", "\\/"): in_words for form, in_words in forms.items()}
    forms.pop("", None)
    return forms


def _as_number(value: str) -> set[str]:
    """How a value that is a number is written once JSON has read it."""
    try:
        number = json.loads(value)
    except (ValueError, RecursionError):
        return set()
    return {json.dumps(number), str(number)} if type(number) in (int, float) else set()
