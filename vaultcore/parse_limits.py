"""What a Liquid text may be made of so that the library reads it in proportion to its length. Pure, one pass.

The library finds markup by regular expressions. What is never closed, long stretches of blanks, and brackets
that nothing closes make those look at the rest of the text again for each character.
"""

import re
from typing import Final

from liquid.exceptions import LiquidSyntaxError
from liquid.token import TOKEN_EOF, Token

from vaultcore.markup import CLOSES, Piece, PieceKind, begins_block, split_markup

BLANKS_MAX: Final = 100
LOOKED_AT_MAX: Final = 2_000_000
"""Characters that what is never closed in a text makes the library look at."""
PARTS_MAX: Final = 20_000
"""Names, signs and texts in all the markup: each takes the library some 5 microseconds, at each reading."""
_PER_PIECE: Final = 5
"""So many parts each piece of markup counts for beside what stands in it."""
_PART = re.compile(r"'[^']*'|\"[^\"]*\"|\w+|[^\w\s]")
_BLANKS = re.compile(rf"\s{{{BLANKS_MAX + 1}}}")
_CLOSED_NAME = re.compile(r"\[\s{0,100}(?:'[^']*'|\"[^\"]*\")\s{0,100}\]")
_OPEN_NAME = re.compile(r"\[\s{0,100}['\"]")
_UNCLOSED: Final = {
    "{{": "expected '}}', found end of file",
    "{%": "missing tag name or closing delimiter",
}


def check_markup(text: str) -> None:
    """`LiquidSyntaxError` for what would take long to be read."""
    looked_at = parts = 0
    for piece in split_markup(text):
        if piece.kind in (PieceKind.OUTPUT, PieceKind.TAG):
            parts += _PER_PIECE + sum(1 for _ in _PART.finditer(piece.text, 2, max(2, len(piece.text) - 2)))
            if parts > PARTS_MAX:
                raise _refuse(
                    f"it has more than {PARTS_MAX} names, signs and texts in markup", text, piece.start
                )
        if piece.kind is PieceKind.KEPT:
            looked_at += _check_kept(text, piece)
        elif piece.kind is not PieceKind.TEXT:
            looked_at += _check_piece(text, piece)
        if looked_at > LOOKED_AT_MAX:
            what = "'{{' in comments" if piece.kind is PieceKind.KEPT else "brackets"
            raise _refuse(f"it has too many {what} that are never closed", text, piece.start)


def _check_piece(text: str, piece: Piece) -> int:
    """How many characters it makes the library look at."""
    opening = piece.text[:2]
    if piece.kind is PieceKind.TAG and begins_block(piece.text):
        raise _refuse("a block of text that is kept as it is never ends", text, piece.start)
    if not piece.text.endswith(CLOSES[opening], 2):
        raise _refuse(_UNCLOSED[opening], text, piece.start)
    _check_blanks(text, piece)
    brackets = piece.text.count("(")
    if "['" in piece.text or '["' in piece.text:
        brackets += len(_OPEN_NAME.findall(_CLOSED_NAME.sub("", piece.text)))
    return brackets * len(piece.text)


def _check_kept(text: str, piece: Piece) -> int:
    """As for a piece of markup: a comment is read as that, too; what is raw is not."""
    if begins_block(piece.text) and "comment" not in piece.text[:20]:
        return 0
    _check_blanks(text, piece)
    return piece.text.count("{{", piece.text.rfind("}}") + 1) * (len(text) - piece.start)


def _check_blanks(text: str, piece: Piece) -> None:
    found = _BLANKS.search(piece.text)
    if found is not None:
        raise _refuse(
            f"it has more than {BLANKS_MAX} blanks in a row inside markup", text, piece.start + found.start()
        )


def _refuse(problem: str, text: str, at: int) -> LiquidSyntaxError:
    return LiquidSyntaxError(problem, token=Token(TOKEN_EOF, "", at, text))
