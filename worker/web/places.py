"""Places: how many may do something at once, of all together and of each one alone. Of one event loop."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """`most` in all; `each`, of everybody whom a place is counted for."""

    def __init__(self, *, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._taken = 0
        self._by_name: Counter[str] = Counter()

    @contextmanager
    def hold(self, *names: str) -> Iterator[bool]:
        """Inside, a place is taken, and counted for each of the names; False: there is none left for them."""
        if self._taken >= self._most or any(self._by_name[name] >= self._each for name in names):
            yield False
            return
        self._taken += 1
        self._by_name.update(names)
        try:
            yield True
        finally:
            self._taken -= 1
            self._by_name.subtract(names)
            for name in names:
                if not self._by_name[name]:
                    del self._by_name[name]
