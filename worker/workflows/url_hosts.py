"""Where in the template of a URL something may stand: in its path and query, and never in its host. Pure.

A host is looked up, and shown; a path and a query are neither.
"""

import re
from collections.abc import Collection

from vaultcore.errors import InvalidInputError
from vaultcore.markup import Piece, PieceKind, split_markup
from worker.workflows.templates import Path, find_all_reads

_PLAIN = re.compile(r"\{\{-?\s*[A-Za-z_][\w.-]*\s*-?\}\}")
_ENCODED = re.compile(r"\{\{-?\s*[A-Za-z_][\w.-]*\s*\|\s*url_encode\s*-?\}\}")
_BEGINS = re.compile(r"[^/?#]*:/+|//+")
_HARMLESS, _ESCAPED, _HIDDEN = "\x01", "\x02", "\x03"
"""Stand for markup: without any of what is kept out, with it as one escaped part, and in whatever form else."""


def check_host(text: str, kept_out: Collection[Path], *, escapes: bool) -> None:
    """`InvalidInputError` where the scheme, the host or the port of a URL could be made of any of these.

    One may stand in the login as one escaped part: `| url_encode`, or as it is where whoever renders `escapes`
    it. What a tag before the path makes is not known, and may not stand with any of them.
    """
    names = find_kept_out(text, kept_out)
    if not names:
        return
    skeleton = "".join(_mark(piece, kept_out, escapes=escapes) for piece in split_markup(text))
    begins = _BEGINS.match(skeleton)
    start = 0 if begins is None else begins.end()
    authority = re.split(r"[/?#]", skeleton[start:], maxsplit=1)[0]
    place = skeleton[:start] + authority.rpartition("@")[2]
    if _HIDDEN in skeleton[:start] + authority or _ESCAPED in place:
        raise InvalidInputError(
            f"{names[0]} may stand in the path or the query of a URL, and not where its host could be made of "
            "it: write the host out, or send it in a header"
        )


def find_kept_out(text: str, kept_out: Collection[Path]) -> list[str]:
    """Which of these the template reads, by their names; also where it reads a whole: `{{ rotation }}`."""
    paths = find_all_reads(text)
    return [
        ".".join(map(str, one))
        for one in kept_out
        if any(one[: len(path)] == path or path[: len(one)] == one for path in paths)
    ]


def _mark(piece: Piece, kept_out: Collection[Path], *, escapes: bool) -> str:
    if piece.kind is PieceKind.TEXT:
        return piece.text
    if piece.kind is not PieceKind.OUTPUT:
        return _HIDDEN
    if not find_kept_out(piece.text, kept_out):
        return _HARMLESS
    whole = _ENCODED.fullmatch(piece.text) or (escapes and _PLAIN.fullmatch(piece.text))
    return _ESCAPED if whole else _HIDDEN
