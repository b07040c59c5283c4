"""How fields are read that people write in more than one way, and how it is told where we do not read one."""

import json
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _as_text(given: object) -> object:
    return json.dumps(given) if isinstance(given, bool | int | float) else given


def _as_list(given: object) -> object:
    return [given] if isinstance(given, str) else given


Text = Annotated[str, BeforeValidator(_as_text)]
"""A template; a number, true or false is the text that JSON writes it by."""
Texts = Annotated[list[str], BeforeValidator(_as_list)]
"""Templates; one text is a list of one."""


def lacks(what: str) -> PydanticCustomError:
    """For a field that others make necessary, told as pydantic tells one that always is."""
    return PydanticCustomError("missing", "{what}", {"what": what})


def unknown(what: str) -> PydanticCustomError:
    """For a value that is none of those known here, but may be elsewhere, as pydantic tells one of a list."""
    return PydanticCustomError("literal_error", "{what}", {"what": what})
