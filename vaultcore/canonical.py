"""JSON in one form alone: what is equal is written equally, so that it can be signed, chained and compared."""

import json
from collections.abc import Callable
from json import encoder
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _make_encode() -> Callable[[object], str]:
    """What `json` makes anew for each value, once."""
    make: Any = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return _ENCODER.encode
    quote = encoder.encode_basestring_ascii
    encode = make(None, _ENCODER.default, quote, None, ":", ",", True, False, True)  # by place alone
    return lambda value: "".join(encode(value, 0))


_encode = _make_encode()


def write_canonical(value: object) -> str:
    """Of JSON-like data, in ASCII: names in order, and no blanks between."""
    return _encode(value)
