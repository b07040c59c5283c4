"""Why somebody decided something, in their own words: it stands in the record. Pure."""

from typing import Final

from vaultcore.errors import InvalidInputError

WHY_MAX: Final = 500
"""Characters."""


def check_why(why: str) -> None:
    """`InvalidInputError` where it says nothing, or more than the record takes."""
    if not why.strip() or len(why) > WHY_MAX or not why.isprintable():
        raise InvalidInputError(f"--why is a reason for the record: 1 to {WHY_MAX} printable characters")
