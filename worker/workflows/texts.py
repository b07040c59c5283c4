"""The texts inside JSON-like data, names of fields included, each with where it stands. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_NAME_MAX: Final = 60
"""Characters of a field's name that a path shows."""


@dataclass(frozen=True, slots=True)
class Text:
    """`path` is dotted; `is_key`: the text is the name of a field below it."""

    path: str
    text: str
    is_key: bool = False


def find_texts(data: object, path: str = "") -> Iterator[Text]:
    """Every text, in order, as deep as it goes."""
    if isinstance(data, str):
        yield Text(path, data)
    elif isinstance(data, Mapping):
        for key, part in data.items():
            name = str(key)
            if "{" in name or "vlt_" in name:
                yield Text(path, name, is_key=True)
            shown = name[:_NAME_MAX]
            yield from find_texts(part, f"{path}.{shown}" if path else shown)
    elif isinstance(data, list):
        for number, part in enumerate(data):
            yield from find_texts(part, f"{path}.{number}")
