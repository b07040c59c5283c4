"""Takes values out of whatever a run gives back: raw, and in every encoding they are likely to meet.

Where it is in doubt it hides too much. What no search can find, a value that somebody else cut up
or encrypted, it does not find. It takes time in proportion to what it is given, whatever that is.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from vaultcore.forms import VALUE_MAX
from vaultcore.rules import MASKED_MIN
from vaultcore.secret import Secret
from worker.workflows.bare import bare, bare_forms
from worker.workflows.encodings import TOKEN_MIN, forms_of, parts_of
from worker.workflows.finder import Finder, Mark
from worker.workflows.learning import LEARNED_CHARS_MAX, LEARNED_MAX, find_new
from worker.workflows.readings import read_in_every_way
from worker.workflows.spans import hide_spans, replace_spans
from worker.workflows.templates import Rendered

MASK: Final = "[masked]"
SHORT: Final = MASKED_MIN
"""A form shorter than this is masked together with the whole string that holds it."""
DEPTH_MAX: Final = 100
"""Lists and objects inside one another; what lies deeper is left out."""
_SQUEEZE_MIN: Final = 16
_CUT: Final = "… [cut]"
_TRIES_MORE: Final = 100


class Masker:
    """Masks the values it was made with, and what rendered fields made of them."""

    def __init__(self, values: Iterable[Secret]) -> None:
        self._values: dict[str, None] = {}
        self._seen: set[str] = set()
        self._found = Finder()
        self._folded = Finder()
        self._bare = Finder()
        self._material: list[str] = []
        self._learned = 0
        self._learned_chars = 0
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
        for part in parts_of(text):
            for form in bare_forms(part):
                self._bare.add(form)

    def prepare(self) -> None:
        """Builds now what a first search would build: from here on, those of several threads change nothing."""
        for finder in (self._found, self._folded, self._bare):
            finder.build()

    def branch(self) -> "Masker":
        """Another that knows what this one does now, for a run within this run."""
        made = Masker(())
        made._values, made._material, made._seen = dict(self._values), list(self._material), set(self._seen)
        made._found, made._folded, made._bare = self._found.copy(), self._folded.copy(), self._bare.copy()
        made._learned, made._learned_chars = self._learned, self._learned_chars
        return made

    def absorb(self, other: "Masker", *, learned: bool) -> None:
        """Hides the values that the other one hides; and where it is asked for, all that the other learned."""
        known = other.keep()
        for text in known["values"]:
            self.hide(Secret(text))
        if not learned:
            return
        for text in known["learned"]:
            if text not in self._seen and not self._learn(text):
                return
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
            made._learned_chars += len(text)
        made._learned = kept["count"]
        return made

    def learn(self, rendered: Rendered) -> None:
        """A field that a value went into: masked whole, and so is each of its longer words that the
        template does not hold itself, which is what filters make of a value. Pieces of key material as it is
        are none of these: its lines are masked already, and a long key would use up all that can be learned.
        """
        if self._learned > LEARNED_MAX:
            return
        for text in find_new(rendered, known=self._seen, material=self._material):
            if text is None or not self._learn(text):
                self._learned = LEARNED_MAX + 1
                return

    def _learn(self, text: str) -> bool:
        """Whether there was room for it; where there is none, every string is masked from now on."""
        self._learned += 1
        self._learned_chars += len(text)
        if self._learned_chars > LEARNED_CHARS_MAX:
            self._learned = LEARNED_MAX + 1
        if self._learned > LEARNED_MAX:
            return False
        self._add(text)
        return True

    def mask(self, data: Any, *, until: float = math.inf) -> Any:  # noqa: ANN401  # JSON
        """The same JSON-like structure with every string masked, keys included, and numbers that hold
        a value; what is not JSON-like is replaced by its type, or by text for an infinite number.

        Keys that become the same by it are counted: `[masked]`, `[masked] (2)`. What is not looked at by
        `until`, on the monotonic clock, is masked whole.
        """
        return self._mask(data, until, 0)

    def _mask(self, data: Any, until: float, depth: int) -> Any:  # noqa: ANN401  # JSON
        if depth > DEPTH_MAX:
            return "[nested too deeply]"
        match data:
            case str():
                return self._mask_text(data, until)
            case float() if not math.isfinite(data):
                return str(data)
            case None | bool() | int() | float():
                return (
                    data
                    if data is None or isinstance(data, bool) or self._mask_text(str(data), until) == str(data)
                    else MASK
                )
            case dict():
                names = tell_apart([self._mask_text(str(key), until) for key in data], self._hides_nothing)
                if names is None:
                    return MASK
                parts = [self._mask(part, until, depth + 1) for part in data.values()]
                return dict(zip(names, parts, strict=True))
            case list() | tuple():
                return [self._mask(part, until, depth + 1) for part in data]
            case _:
                return f"[{type(data).__name__}]"

    def _mask_text(self, text: str, until: float = math.inf) -> str:
        if self._learned > LEARNED_MAX or (until < math.inf and time.monotonic() > until):
            return MASK if text else text
        if len(text) < TOKEN_MIN and len(text) < self._found.least:
            return text
        spans = hide_spans(text, self._found.walk(text))
        if spans is None:
            return MASK
        shown = replace_spans(text, spans, MASK)
        # A mark beside what is left may spell a value again, and other encodings may hold one.
        if any(self._holds(variant) for variant in read_in_every_way(shown)):
            return MASK
        return shown

    def _hides_nothing(self, text: str) -> bool:
        return not self._holds(text)

    def _holds(self, text: str) -> bool:
        if self._found.stands_in(text):
            return True
        if len(text) >= TOKEN_MIN and (
            self._folded.stands_in(text.casefold()) or self._bare.stands_in(bare(text))
        ):
            return True
        squeezed = "".join(text.split())
        return squeezed != text and self._found.stands_in(squeezed, least=_SQUEEZE_MIN)

    def _add(self, value: str) -> None:
        if not value or value in self._seen:
            return
        self._seen.add(value)
        for text in parts_of(value):
            if not text or (len(text) < SHORT <= len(value)):
                continue
            if len(text) >= TOKEN_MIN:
                self._folded.add(text.casefold())
            for form, in_words in forms_of(text).items():
                if len(form) < SHORT:
                    self._found.add(form, Mark.WITH_TEXT)
                else:
                    self._found.add(form, Mark.IN_WORD if in_words else Mark.PLAIN)


def tell_apart(names: Sequence[str], may_be: Callable[[str], bool]) -> list[str] | None:
    """The names, each once: a second one is counted, `name (2)`, by a number that is taken by no other and may
    be in it. None: too many numbers may not.
    """
    taken, given, counts = set(names), set[str](), dict[str, int]()
    left = 2 * len(names) + _TRIES_MORE
    apart: list[str] = []
    for name in names:
        shown = name
        while shown in given or (shown is not name and (shown in taken or not may_be(shown))):
            left -= 1
            if left < 0:
                return None
            counts[name] = counts.get(name, 1) + 1
            shown = f"{name} ({counts[name]})"
        given.add(shown)
        apart.append(shown)
    return apart


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
