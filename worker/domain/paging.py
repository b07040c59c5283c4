"""What is asked of a list, and what a page of it is. Pure."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from vaultcore.errors import UnreadableError

T = TypeVar("T")
LIMIT: Final = 50
LIMIT_MAX: Final = 200
COUNTED_MAX: Final = 1000
"""Beyond it a list is not counted: that there are more is all that a page says."""


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """`sort`: a column, with `-` before it for the other direction; None: as the list usually is. `cursor`:
    from the page before. `counted`: how many rows there are in all is wanted, too.
    """

    sort: str | None = None
    limit: int = LIMIT
    cursor: str | None = None
    counted: bool = False


@dataclass(frozen=True, kw_only=True)
class Total:
    """How many rows there are in all; `more`: more than that."""

    number: int
    more: bool

    def __str__(self) -> str:
        return f"{self.number:,}+" if self.more else f"{self.number:,}"


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """In the place of a row that cannot be read, or was edited, is the error that says so. `next`: the cursor
    of the page after it; None: there is none.
    """

    rows: tuple[T | UnreadableError, ...]
    next: str | None
    total: Total | None = None
