"""JSON in one form alone: what is equal is written equally, so that it can be signed, chained and compared."""

import json

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


def write_canonical(value: object) -> str:
    """Of JSON-like data, in ASCII: names in order, and no blanks between."""
    return _encode(value)
