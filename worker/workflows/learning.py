"""What a rendered field teaches: the texts that a value, or what filters made of it, may stand in. Pure."""

import re
from collections.abc import Collection, Iterator
from typing import Final

from worker.workflows.encodings import TOKEN_MIN
from worker.workflows.templates import Rendered

LEARNED_MAX: Final = 500
"""Fields and tokens learned in one run; beyond it every string is masked, rather than some missed."""
LEARNED_CHARS_MAX: Final = 250_000
"""Characters of all of them."""
_LOOKED_AT_MAX: Final = 10 * LEARNED_MAX
"""Words of one field that are looked for in its template and in key material."""
_BREAKS: Final = (
    re.compile(r"\s+"),
    re.compile(r"[\s?&=#:;,\"'<>(){}\[\]]+"),
    re.compile(r"[^0-9A-Za-z+_-]+"),
)
"""What stands between words: in prose, in queries and JSON, and in paths."""


def find_new(rendered: Rendered, *, known: Collection[str], material: Collection[str]) -> Iterator[str | None]:
    """The field, and each of its longer words, that neither is known nor stands in the template or in the
    material. None ends it: there are too many to look at each.
    """
    said = set(_split(rendered.template))
    left = _LOOKED_AT_MAX
    for text in dict.fromkeys([rendered.text, *_split(rendered.text)]):
        if not text.strip() or text in known or text in said:
            continue
        left -= 1
        if left < 0:
            yield None
            return
        if text not in rendered.template and not any(text in one for one in material):
            yield text


def _split(text: str) -> Iterator[str]:
    for breaks in _BREAKS:
        for word in breaks.split(text):
            if len(word) >= TOKEN_MIN:
                yield word
