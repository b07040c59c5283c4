"""`Secret`: a value in memory, and every accidental way out of it closed."""

import hmac
from typing import NoReturn


class Secret:
    """Holds one value. Only `expose()` gives it back, so that every place that does can be found.

    `repr` names the type alone, because a debugger or a traceback must not fail on it; `str`,
    `format`, iteration, JSON, pickle and copies of it raise, because each would be a mistake that
    sends the wrong thing out. Python cannot wipe memory: a `Secret` is hidden, not erased.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError("a Secret is made of text")
        self._value = value

    def expose(self) -> str:
        """The value. Call it where the value is sent, at the last moment, and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return "<Secret>"

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError("a Secret is never turned into text: call expose() where it is used")

    __str__ = _refuse
    __format__ = _refuse
    __reduce__ = _refuse
    __reduce_ex__ = _refuse
    __getstate__ = _refuse
    __copy__ = _refuse
    __deepcopy__ = _refuse
    __iter__ = _refuse

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine = self._value.encode(errors="surrogatepass")
        return hmac.compare_digest(mine, other._value.encode(errors="surrogatepass"))

    __hash__ = None  # type: ignore[assignment]  # a hash of a value would be a fingerprint of it

    def __len__(self) -> int:
        return len(self._value)
