"""Commands that a text tells its reader to run, written so that they can be pasted. Pure."""

import shlex
from datetime import timedelta

from vaultcore.model import Kind
from vaultcore.rules import kind_of

LIVES = "90d"
"""How long a value that a person gives is taken to live in the commands that we write: theirs to correct."""


def quote_word(word: str) -> str:
    """The word as a shell takes it: quoted where it must be."""
    return shlex.quote(word)


def replace_command(item: str, lifetime: timedelta | None) -> str:
    """What gives an item of its owner's a new value, whole but for PATH; `lifetime` is its policy's.

    Without one a value needs an expiry of its own. A key for callers of ours is given by nobody: we make it.
    """
    update = f"nightkey item update {quote_word(item)}"
    if kind_of(item) is Kind.API_KEY:
        return f"{update} --mode auto"
    return f"{update} --value-file PATH" + (f" --expires-at {LIVES}" if lifetime is None else "")


def explain_missing_expiry(name: str) -> str:
    return (
        f"nothing says when the new value of {name} lapses: add --expires-at TIME (such as {LIVES}), "
        "--lifetime TIME for this one and those to come, or --no-expiry if it never does"
    )
