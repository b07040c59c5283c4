"""Commands that a text tells its reader to run, written so that they can be pasted. Pure."""

import shlex


def quote_word(word: str) -> str:
    """The word as a shell takes it: quoted where it must be."""
    return shlex.quote(word)
