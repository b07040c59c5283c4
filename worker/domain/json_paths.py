"""Dotted paths into JSON-like data: `items.0.id`. Pure."""

import re
from typing import Any

from vaultcore.errors import Cause, TargetError

_INDEX = re.compile(r"[0-9]{1,9}")


def take_path(data: Any, path: str) -> Any:  # noqa: ANN401  # JSON
    """The part of JSON-like data at a dotted path; a number indexes a list. Empty: the whole."""
    found = data
    for part in path.split(".") if path else ():
        if isinstance(found, dict) and part in found:
            found = found[part]
        elif isinstance(found, list) and _INDEX.fullmatch(part) and int(part) < len(found):
            found = found[int(part)]
        else:
            raise TargetError(f"there is nothing at {path}", cause=Cause.MISTAKE)
    return found
