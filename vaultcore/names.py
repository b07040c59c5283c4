"""Names of items, owners and workflows: one judge for all of them. Pure.

A name is judged when it is given, never when it is read: what older releases took goes on working.
Two names that a reader cannot tell apart in a usual font have one `skeleton`, and only one of them is given.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final

from vaultcore.errors import InvalidInputError

_NEVER: Final = {
    "Cc": "a control character",
    "Cf": "a character that is not shown, or turns the direction of a text",
    "Cs": "half a character",
    "Co": "a character for private use",
    "Cn": "a character that this release does not know",
    "Zl": "a line break",
    "Zp": "a line break",
    "Zs": "an unusual blank",
}
"""By Unicode's categories; the one blank that is let in is U+0020."""

_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What is shown as nothing although it counts as a letter or a mark."""

_LOOKS: Final = str.maketrans(
    {
        look: letter
        for letter, looks in {
            "A": "\u0391\u0410",
            "B": "\u0392\u0412",
            "C": "\u0421",
            "E": "\u0395\u0415",
            "H": "\u0397\u041d",
            "I": "\u0399\u0406",
            "J": "\u0408",
            "K": "\u039a\u041a",
            "L": "\u053c",
            "M": "\u039c\u041c",
            "N": "\u039d",
            "O": "\u039f\u041e",
            "P": "\u03a1\u0420",
            "S": "\u0405",
            "T": "\u03a4\u0422",
            "X": "\u03a7\u0425",
            "Y": "\u03a5\u0423",
            "Z": "\u0396",
            "a": "\u0251\u03b1\u0430",
            "c": "\u03f2\u0441",
            "d": "\u0501",
            "e": "\u0435",
            "g": "\u0261",
            "h": "\u04bb",
            "i": "\u0131\u03b9\u0456",
            "j": "\u0458",
            "l": "\u01c0\u217c",
            "o": "\u03bf\u043e\u0585",
            "p": "\u03c1\u0440",
            "q": "\u051b",
            "s": "\u0455",
            "u": "\u03c5\u057d",
            "v": "\u03bd",
            "w": "\u051d",
            "x": "\u03c7\u0445",
            "y": "\u0443",
            "'": "\u0060\u00b4\u02b9\u02bc\u2018\u2019\u201b\u2032",
            "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58",
            ".": "\u00b7\u2022\u2024\u2219",
            "/": "\u2044\u2215",
            "_": "\uff3f",
        }.items()
        for look in looks
    }
)
"""Cyrillic, Greek, Armenian and rare Latin letters, and marks of punctuation, by what they are taken for.

Numbers stay: 0 and O, 1 and l are told apart by their height, or in the font of a terminal, and names are
numbered far more often than forged. Accents stay: a reader sees them.
"""

_ALIKE: Final = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "COPTIC", "CHEROKEE"})
"""Scripts whose letters are taken for each other's: no word is written in two of them."""


def normalise(name: str) -> str:
    """The one spelling of it: é is one character, however it came (NFC)."""
    return unicodedata.normalize("NFC", name)


def fold(name: str) -> str:
    """The name, or a part of it, as a search has it: whatever its case and its spelling."""
    return normalise(normalise(name).casefold())


def judge(name: str, *, what: str, least: int, most: int, example: str) -> str:
    """The name as it is kept. `InvalidInputError` shows what is wrong with it, and where.

    `what` is what it names, such as `item`; its length is counted as it is kept.
    """
    kept = normalise(name)
    shown = _show(kept)
    if not least <= len(kept) <= most:
        raise InvalidInputError(
            f"{what} name {shown} has {len(kept)} characters: use {least} to {most}, for example {example}"
        )
    problem = next(_find_problems(kept), None)
    if problem is not None:
        raise InvalidInputError(f"{what} name {shown} {problem}")
    return kept


def skeleton(name: str) -> str:
    """What a reader sees of it: the same for names that only a machine can tell apart."""
    letters = unicodedata.normalize("NFD", name).translate(_LOOKS)  # apart from their accents
    plain = unicodedata.normalize("NFKD", letters).translate(_LOOKS).casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", plain).translate(_LOOKS))


def spellings(name: str) -> list[str]:
    """How a row may have it that is meant by this name: as it was given first, since older rows are kept so."""
    return list(dict.fromkeys([name, normalise(name)]))


def explain_likeness(name: str, other: str) -> str:
    """Where a name differs from one that looks like it."""
    pairs = zip_longest(name, other, fillvalue="")
    position, mine, its = next((n, a, b) for n, (a, b) in enumerate(pairs, start=1) if a != b)
    shown = [describe_character(character) if character else "nothing" for character in (mine, its)]
    return f"at position {position} it has {shown[0]}, and that one {shown[1]}"


def describe_character(character: str) -> str:
    """`U+202E RIGHT-TO-LEFT OVERRIDE`."""
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}{' ' if name else ''}{name}"


def _find_problems(name: str) -> Iterator[str]:
    for position, character in enumerate(name, start=1):
        category = unicodedata.category(character)
        if character == " " or (category not in _NEVER and not _UNSEEN.match(character)):
            continue
        why = _NEVER.get(category, "a character that is not shown")
        yield f"holds {describe_character(character)} at position {position}, {why}: leave it out"
    if name != name.strip() or "  " in name:
        yield "has blanks at an end, or two beside each other: write one between words"
    if name.startswith("-"):
        yield "begins with -, as options of a command do: begin with a letter or a digit"
    if name in (".", ".."):
        yield "is a step of a path, so that no address would lead to it: use letters or digits"
    if unicodedata.combining(name[0]):
        yield f"begins with {describe_character(name[0])}, which belongs to a letter before it: leave it out"
    for word in re.findall(r"[^\W\d_]+", name):
        scripts = {script: letter for letter in word if (script := _script(letter)) in _ALIKE}
        if len(scripts) > 1:
            letters = " and ".join(describe_character(letter) for letter in scripts.values())
            yield f"mixes letters that look alike in {word!r}: {letters}; write a word in one script"


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]


def _show(name: str) -> str:
    seen = name.isprintable() and not _UNSEEN.search(name) and not unicodedata.combining(name[:1] or "x")
    return repr(name[:60]) if seen else ascii(name[:60])
