"""What a terminal, or a file in its place, can take: every text is made fit for it here.

Names of older rows, workflows and answers from outside are data: they never steer the terminal, never turn the
direction of a line, and never end the command because it has no Unicode.
"""

import codecs
import json
import os
import sys
import unicodedata
from typing import Final, TextIO

_ASCII: Final = {
    "→": "->",
    "←": "<-",
    "…": "...",
    "\u2013": "-",
    "\u2014": "-",
    "\u2018": "'",
    "\u2019": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "·": "-",
    "✔": "ok",
    "✘": "failed",
    "─": "-",
    "►": ">",
    "│": "|",
    "├": "+",
    "└": "+",
}
"""What we write ourselves, where there is only ASCII; everything else is escaped."""

_STEERS: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SHOWN: Final = "nightkey.shown"


def fit(text: str, *, keep: str = "\n\t") -> str:
    """The text with what steers a terminal, or turns or hides what stands beside it, escaped."""
    if text.isprintable():
        return text
    return "".join(c if c in keep or unicodedata.category(c) not in _STEERS else _escape(c) for c in text)


def fit_cell(text: str) -> str:
    """The same for a cell or a title, which is one line: breaks are escaped, too."""
    return fit(text, keep="")


def fit_json(text: str) -> str:
    """The same for a JSON document, which stays the same document."""
    if text.isascii():
        return text
    return "".join(
        c if c == "\n" or unicodedata.category(c) not in _STEERS else json.dumps(c)[1:-1] for c in text
    )


_closed: set[str] = set()


def prepare_streams() -> None:
    """Before the first word: no stream is closed, and none ends the command by what it cannot encode."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        _open_closed(number, name)
    codecs.register_error(_SHOWN, _show_instead)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_SHOWN)


def was_closed(name: str) -> bool:
    """Whether the stream of that name in `sys` was closed when the command began: what is written is lost."""
    return name in _closed


def is_unicode(stream: TextIO) -> bool:
    """Whether the stream takes every character: one of the UTF encodings."""
    try:
        return codecs.lookup(stream.encoding or "ascii").name.startswith("utf")
    except LookupError:
        return False


def _open_closed(number: int, name: str) -> None:
    """What is closed would be given to the next file that is opened, the database say, and be written into."""
    try:
        os.fstat(number)
    except OSError:
        _closed.add(name)
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
    if getattr(sys, name) is None:
        setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False, encoding="utf-8"))  # noqa: SIM115  # for the whole process, by its number


def _show_instead(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    return "".join(_ASCII.get(c) or _escape(c) for c in part), error.end


def _escape(character: str) -> str:
    return (
        character.encode("ascii", "backslashreplace").decode()
        if ord(character) > 127
        else repr(character)[1:-1]
    )
