"""Sentences that name options of the command line, said to who fills in a form: what to choose there. Pure.

A command between backquotes stays: it can be pasted.
"""

import re
from typing import Final

_CHOICES: Final = {
    "rotator": "choose a rotator, which an admin may",
    "mode notify": "leave it to its owner",
    "mode auto": "have Nightkey replace it by itself",
    "consumers none": "say so below",
    "compromised": "choose on its page that somebody else knows it",
    "in-freeze": "tick that you mean it on its page",
    "expires-at": "say when it lapses",
    "lifetime": "give it a lifetime",
    "no-expiry": "say that it never lapses",
    "value-file": "give its value",
    "owner": "name an owner",
    "name": "rename it",
}
_OPTION: Final = re.compile(
    r"(?:(?:add|choose|give) )?--(mode notify|mode auto|consumers none|[a-z]+(?:-[a-z]+)*)(?: [A-Z]{2,}\b)?"
)


def say_for_forms(sentence: str) -> str:
    """The same with choices for options."""
    parts = sentence.split("`")
    parts[::2] = [_OPTION.sub(_say, part) for part in parts[::2]]
    return "`".join(parts)


def _say(found: re.Match[str]) -> str:
    return _CHOICES.get(found[1], found[0])
