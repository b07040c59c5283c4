"""Takes values out of whatever a run gives back: raw, and in every encoding they are likely to meet.

Where it is in doubt it hides too much. What no search can find, a value that somebody else cut up
or encrypted, it does not find.
"""

import base64
import html
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from vaultcore.forms import VALUE_MAX
from vaultcore.rules import MASKED_MIN
from vaultcore.secret import Secret
from worker.workflows.bare import bare, bare_forms, inner
from worker.workflows.templates import Rendered

MASK: Final = "[masked]"
SHORT: Final = MASKED_MIN
"""A form shorter than this is masked together with the whole string that holds it."""
TOKEN_MIN: Final = 8
LEARNED_MAX: Final = 500
"""Fields and tokens learned in one run; beyond it every string is masked, rather than some missed."""
DEPTH_MAX: Final = 100
"""Lists and objects inside one another; what lies deeper is left out."""
_SQUEEZE_MIN: Final = 16
_LINE_MIN: Final = 16
_CUT: Final = "… [cut]"
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_=-")
_BREAKS = (re.compile(r"\s+"), re.compile(r"[\s?&=#:;,\"'<>(){}\[\]]+"), re.compile(r"[^0-9A-Za-z+_-]+"))
"""What stands between words: in prose, in queries and JSON, and in paths."""
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


class Masker:
    """Masks the values it was made with, and what rendered fields made of them."""

    def __init__(self, values: Iterable[Secret]) -> None:
        self._values: dict[str, None] = {}
        self._seen: set[str] = set()
        self._short: set[str] = set()
        self._long: dict[str, bool] = {}
        self._folded: set[str] = set()
        self._bare: set[str] = set()
        self._material: list[str] = []
        self._learned = 0
        for value in values:
            self.hide(value)

    def hide(self, value: Secret) -> None:
        """A value, such as one that a node made: masked from now on."""
        text = value.expose()
        if text in self._values:
            return
        self._values[text] = None
        if len(text) > VALUE_MAX:
            self._material.append(text)
        self._add(text)
        for part in _parts_of(text):
            self._bare |= bare_forms(part)

    def branch(self) -> "Masker":
        """Another that knows what this one does now, for a run within this run."""
        made = Masker(())
        made._values, made._material = dict(self._values), list(self._material)
        made._seen, made._short, made._folded = set(self._seen), set(self._short), set(self._folded)
        made._long, made._learned, made._bare = dict(self._long), self._learned, set(self._bare)
        return made

    def absorb(self, other: "Masker", *, learned: bool) -> None:
        """Hides the values that the other one hides; and where it is asked for, all that the other learned."""
        known = other.keep()
        for text in known["values"]:
            self.hide(Secret(text))
        if not learned:
            return
        for text in known["learned"]:
            if text not in self._seen:
                self._learned += 1
                if self._learned > LEARNED_MAX:
                    return
                self._add(text)
        if known["count"] > LEARNED_MAX:  # it could not learn all that there was
            self._learned = known["count"]

    def keep(self) -> dict[str, Any]:
        """All that it knows, as JSON-like data: values stand in it, so it is sealed wherever it is stored."""
        learned = sorted(self._seen - self._values.keys())
        return {"values": list(self._values), "learned": learned, "count": self._learned}

    @classmethod
    def recall(cls, kept: Mapping[str, Any]) -> "Masker":
        """One that knows what another had kept."""
        made = cls(map(Secret, kept["values"]))
        for text in kept["learned"]:
            made._add(text)
        made._learned = kept["count"]
        return made

    def learn(self, rendered: Rendered) -> None:
        """A field that a value went into: masked whole, and so is each of its longer words that the
        template does not hold itself, which is what filters make of a value. Pieces of key material as it is
        are none of these: its lines are masked already, and a long key would use up all that can be learned.
        """
        pieces = [piece for breaks in _BREAKS for piece in breaks.split(rendered.text)]
        words = [word for word in pieces if len(word) >= TOKEN_MIN]
        for text in dict.fromkeys([rendered.text, *words]):
            known = text in self._seen or any(text in material for material in self._material)
            if text.strip() and text not in rendered.template and not known:
                self._learned += 1
                if self._learned > LEARNED_MAX:
                    return
                self._add(text)

    def mask(self, data: Any, *, depth: int = 0) -> Any:  # noqa: ANN401  # JSON
        """The same JSON-like structure with every string masked, keys included, and numbers that hold
        a value; what is not JSON-like is replaced by its type, or by text for an infinite number.
        """
        if depth > DEPTH_MAX:
            return "[nested too deeply]"
        match data:
            case str():
                return self._mask_text(data)
            case None | bool():
                return data
            case float() if not math.isfinite(data):
                return str(data)
            case int() | float():
                return data if self._mask_text(str(data)) == str(data) else MASK
            case dict():
                return self._mask_mapping(data, depth)
            case list() | tuple():
                return [self.mask(part, depth=depth + 1) for part in data]
            case _:
                return f"[{type(data).__name__}]"

    def _mask_mapping(self, data: dict[Any, Any], depth: int) -> dict[str, Any]:
        masked: dict[str, Any] = {}
        for key, part in data.items():
            name = self._mask_text(str(key))
            while name in masked:
                name += MASK
            masked[name] = self.mask(part, depth=depth + 1)
        return masked

    def _mask_text(self, text: str) -> str:
        if self._learned > LEARNED_MAX:
            return MASK if text else text
        if any(short in text for short in self._short):
            return MASK
        shown = self._replace(text)
        # A mark beside what is left may spell a value again, and other encodings may hold one.
        if any(self._holds(variant) for variant in _readings(shown)):
            return MASK
        return shown

    def _replace(self, text: str) -> str:
        spans = sorted(self._find(text))
        if not spans:
            return text
        parts: list[str] = []
        done = 0
        for start, end in spans:
            if end <= done:
                continue
            if start >= done and not (parts and start == done):
                parts += [text[done:start], MASK]
            done = end
        return "".join([*parts, text[done:]])

    def _find(self, text: str) -> Iterator[tuple[int, int]]:
        """Where forms stand, overlapping ones too; base64 with the whole word that it stands in."""
        for form, in_words in self._long.items():
            start = text.find(form)
            while start >= 0:
                end = start + len(form)
                if in_words:
                    start, end = _widen(text, start, end)
                yield start, end
                start = text.find(form, end if in_words else start + 1)

    def _holds(self, text: str) -> bool:
        if any(form in text for form in self._short) or any(form in text for form in self._long):
            return True
        folded = text.casefold()
        if any(form in folded for form in self._folded):
            return True
        if self._bare and len(text) >= TOKEN_MIN:
            stripped = bare(text)
            if any(form in stripped for form in self._bare):
                return True
        squeezed = "".join(text.split())
        return squeezed != text and any(len(form) >= _SQUEEZE_MIN and form in squeezed for form in self._long)

    def _add(self, value: str) -> None:
        if not value or value in self._seen:
            return
        self._seen.add(value)
        for text in _parts_of(value):
            if not text or (len(text) < SHORT <= len(value)):
                continue
            if len(text) >= TOKEN_MIN:
                self._folded.add(text.casefold())
            for form, in_words in _forms(text).items():
                if len(form) < SHORT:
                    self._short.add(form)
                else:
                    self._long[form] = self._long.get(form, False) or in_words


def _parts_of(value: str) -> set[str]:
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


def _forms(value: str) -> dict[str, bool]:
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


def _widen(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with all of the base64 word that it stands in."""
    while start > 0 and text[start - 1] in _WORD:
        start -= 1
    while end < len(text) and text[end] in _WORD:
        end += 1
    return start, end


def _readings(text: str) -> set[str]:
    """The text as it is, and as a reader of URLs, JSON or HTML would read it, twice over."""
    readings = {text}
    for _ in range(2):
        for reading in tuple(readings):
            if "%" in reading or "+" in reading:
                readings |= {unquote(reading), unquote_plus(reading)}
            if "\\" in reading:
                readings.add(_unescape(reading))
            if "&" in reading:
                readings.add(html.unescape(reading))
    return readings


def _unescape(text: str) -> str:
    plain = _ESCAPE.sub(
        lambda found: chr(int(found[1], 16)) if found[1] else _PLAIN_ESCAPES.get(found[2], found[2]),
        text,
    )
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def conceal(data: Any) -> Any:  # noqa: ANN401  # JSON
    """The shape alone: every string and number of JSON-like data is replaced."""
    if isinstance(data, dict):
        return {key: conceal(part) for key, part in data.items()}
    if isinstance(data, list):
        return [conceal(part) for part in data]
    return data if data is None or isinstance(data, bool) else MASK


def cut(data: Any, limit: int) -> Any:  # noqa: ANN401  # JSON
    """The data, or its beginning as text if its JSON is longer than `limit` bytes. Mask before."""
    whole = json.dumps(data, ensure_ascii=False, default=str).encode(errors="replace")
    if len(whole) <= limit:
        return data
    return whole[: limit - len(_CUT.encode())].decode(errors="ignore") + _CUT
