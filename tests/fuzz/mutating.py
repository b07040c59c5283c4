"""Inputs that are nearly right: known good ones, changed here and there, and grown where that may cost."""

import copy
import json
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

SEEDS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "seeds.toml").read_text())
_GROWN = (1, 2, 3, 100, 5_000)
_WORDS = (*SEEDS["odd"]["words"], "\ud800")  # TOML knows no lone surrogate
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**400, -(10**25), float("inf"), float("nan")),
    *("", " ", "\0", "\ud800", [], {}, [[]], {"": ""}, "a" * 5_000, "9" * 400),
)


@st.composite
def texts(draw: st.DrawFn, seeds: Sequence[str], words: Sequence[str] = ()) -> str:
    """A seed with up to six changes: something put in (once, or thousands of times), cut out or doubled."""
    text = draw(st.sampled_from(seeds))
    known = st.sampled_from([*words, *words, *_WORDS]) | st.text(max_size=6)
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        change = draw(st.sampled_from(("put in", "replace", "cut out", "double")))
        piece = draw(known) * draw(st.sampled_from(_GROWN)) if change in ("put in", "replace") else ""
        if change == "put in":
            end = start
        elif change == "double":
            piece = text[start:end] * 2
        text = (text[:start] + piece + text[end:])[:60_000]
    return text


@st.composite
def trees(draw: st.DrawFn, seeds: Sequence[Any], words: Sequence[str] = ()) -> Any:  # JSON
    """A seed with up to five places changed: another value or key, one less, the same within itself."""
    tree = {"": copy.deepcopy(draw(st.sampled_from(seeds)))}
    for _ in range(draw(st.integers(0, 5))):
        places = list(_places(tree))
        parent, key = places[draw(st.integers(0, len(places) - 1))]
        change = draw(st.sampled_from(("odd", "odd", "word", "key", "less", "deeper", "wider", "another's")))
        if change == "odd":
            parent[key] = copy.deepcopy(draw(st.sampled_from(_ODD)))
        elif change == "word":
            parent[key] = draw(texts(("", str(parent[key])[:2_000]), words))
        elif change == "key" and isinstance(parent, dict) and parent is not tree:
            parent[draw(texts(("", key), words))] = parent.pop(key)
        elif change == "less" and parent is not tree:
            del parent[key]
        elif change == "deeper":
            for _ in range(draw(st.sampled_from((1, 3, 60, 900)))):
                parent[key] = [parent[key]]
        elif change == "wider":
            most = 10 if isinstance(parent[key], dict | list) else max(_GROWN)  # of wide ones within wide ones
            parent[key] = [parent[key]] * min(draw(st.sampled_from(_GROWN)), most)
        elif change == "another's":
            other, place = places[draw(st.integers(0, len(places) - 1))]
            with suppress(RecursionError):  # one that is deep already
                parent[key] = copy.deepcopy(other[place])
    return tree[""]


def json_texts(seeds: Sequence[Any], words: Sequence[str] = ()) -> st.SearchStrategy[str]:
    """Trees as JSON, and JSON that is none any more."""
    written = [json.dumps(seed) for seed in seeds]
    return trees(seeds, words).map(write) | texts(written, words)


def write(tree: Any) -> str:  # JSON
    """The tree as JSON; one that is too deep for that is as deep, and nothing else."""
    try:
        return json.dumps(tree)
    except RecursionError:
        return "[" * 2_000 + "]" * 2_000


def _places(tree: Any) -> Any:  # JSON
    """Every container with a key or index of it; without recursion, since deep ones are wanted."""
    waiting = [tree]
    seen = 0
    while waiting and seen < 2_000:
        container = waiting.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            seen += 1
            yield container, key
            if isinstance(container[key], dict | list):
                waiting.append(container[key])
