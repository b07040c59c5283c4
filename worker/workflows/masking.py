"""Takes values out of whatever a run gives back: raw, and in every encoding they are likely to meet."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from vaultcore.secret import Secret
from worker.workflows.templates import Rendered

MASK = "[masked]"
_SHORT = 4
_TOKEN_MIN = 8
_CUT = "… [cut]"


class Masker:
    """Masks the values it was made with, and what rendered fields made of them."""

    def __init__(self, values: Iterable[Secret]) -> None:
        self._short: set[str] = set()
        self._long: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        for value in values:
            self._add(value.expose())

    def learn(self, rendered: Rendered) -> None:
        """A field that a value went into: it is masked whole, and so are the parts that a filter made."""
        if not rendered.holds_value:
            return
        self._add(rendered.text)
        for token in rendered.text.split():
            if len(token) >= _TOKEN_MIN and token not in rendered.template:
                self._add(token)

    def mask(self, data: Any) -> Any:  # noqa: ANN401  # JSON
        """The same structure with every string masked, keys included."""
        if isinstance(data, str):
            return self._mask_text(data)
        if isinstance(data, dict):
            return {self._mask_text(str(key)): self.mask(part) for key, part in data.items()}
        if isinstance(data, list | tuple):
            return [self.mask(part) for part in data]
        if isinstance(data, int | float) and not isinstance(data, bool):
            shown = self._mask_text(json.dumps(data))
            return data if MASK not in shown else shown
        return data

    def _mask_text(self, text: str) -> str:
        if any(short in text for short in self._short):
            return MASK
        if not self._long:
            return text
        if self._pattern is None:
            longest_first = sorted(self._long, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
        return self._pattern.sub(MASK, text)

    def _add(self, value: str) -> None:
        if not value:
            return
        if len(value) < _SHORT:
            self._short.add(value)
            return
        self._long |= {form for form in _forms(value) if len(form) >= _SHORT}
        self._pattern = None


def _forms(value: str) -> set[str]:
    """The value raw, JSON-escaped, URL-quoted, in hex, and in base64 at each of its three alignments."""
    raw = value.encode()
    forms = {
        value,
        value.strip(),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        raw.hex(),
    }
    for alignment in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(_inner_base64(raw, alignment, encode))
    return forms


def _inner_base64(raw: bytes, alignment: int, encode: Any) -> str:  # noqa: ANN401  # one of two functions
    """What base64 makes of the value behind `alignment` other bytes: the characters that are all its own."""
    text: str = encode(b"\0" * alignment + raw).decode().rstrip("=")
    first = -(-alignment * 8 // 6)
    whole = (alignment + len(raw)) * 8 // 6
    return text[first:whole]


def cut(data: Any, limit: int) -> Any:  # noqa: ANN401  # JSON
    """The data, or its beginning as text if its JSON is longer than `limit` characters."""
    text = json.dumps(data, ensure_ascii=False, default=str)
    return data if len(text) <= limit else text[:limit] + _CUT
