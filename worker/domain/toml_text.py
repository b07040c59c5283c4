"""TOML of tables as we keep them in files: nested tables, texts, numbers, lists. Pure.

`tomllib` reads the same back. What TOML has no word for (null, half a character) is written as JSON in a text,
by whoever knows where that is read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH: Final = 100


def write_toml(document: Mapping[str, Any]) -> str:
    """The text, each table under its own heading; empty for nothing."""
    return "\n".join(_write_tables(document, ())).lstrip("\n") + ("\n" if document else "")


def is_writable(part: object) -> bool:
    """Whether TOML has words for all of it."""
    if isinstance(part, Mapping):
        return all(is_writable(name) and is_writable(one) for name, one in part.items())
    if isinstance(part, list | tuple):
        return all(map(is_writable, part))
    if isinstance(part, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in part)
    return part is not None


def _write_tables(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    plain = {name: part for name, part in table.items() if not isinstance(part, Mapping) or not part}
    if path and (plain or not table):
        yield f"\n[{'.'.join(map(_write_name, path))}]"
    for name, part in plain.items():
        yield f"{_write_name(name)} = {_write_part(part, len(name))}"
    for name, part in table.items():
        if name not in plain:
            yield from _write_tables(part, (*path, name))


def _write_part(part: object, used: int = 0) -> str:
    if isinstance(part, bool):
        return "true" if part else "false"
    if isinstance(part, int):
        return str(part)
    if isinstance(part, float):
        return repr(part)
    if isinstance(part, list | tuple):
        items = [_write_part(one) for one in part]
        line = f"[{', '.join(items)}]"
        if used + len(line) <= _WIDTH:
            return line
        return "[\n" + "".join(f"    {one},\n" for one in items) + "]"
    if isinstance(part, Mapping):
        inner = ", ".join(f"{_write_name(name)} = {_write_part(one)}" for name, one in part.items())
        return f"{{ {inner} }}" if inner else "{}"
    return _write_text(str(part))


def _write_name(name: str) -> str:
    return name if _BARE.fullmatch(name) else _write_text(name)


def _write_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
