"""A place where input of others comes in, and what is done with it there."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


@dataclass(frozen=True, kw_only=True)
class Surface:
    """`take` is what a user's action does with an input: it answers, or raises a `NightkeyError`."""

    inputs: st.SearchStrategy[Any]
    take: Callable[[Any], object]
