"""What help calls the words behind options and commands: by what they mean to a person, not by their types."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

_NUMBER: Final = re.compile(r"<(?:int|float)(?: range)?>")
_LIST: Final = re.compile(r"<list\[(.+)\]>")


def name_values(command: Any) -> None:  # noqa: ANN401  # typer's
    """Of each parameter of the command that does not say it itself."""
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            parameter.metavar = (parameter.metavar or parameter.name.upper()).strip("[].")
            parameter.display_type_rich = _say_nothing
        elif hasattr(parameter, "display_type"):
            parameter.display_type = partial(_say_type, parameter.opts, parameter.display_type)


def _say_type(options: list[str], show: Callable[[Any], str], ctx: Any) -> str:  # noqa: ANN401  # typer's
    """`<a|b>` as it is, one of a list as one; a number as such, and a text by the name of its option."""
    shown = _LIST.sub(r"<\1>", show(ctx))
    if _NUMBER.fullmatch(shown):
        return "NUMBER"
    if "|" in shown:
        return shown
    return "PATH" if shown == "<path>" else max(options, key=len).rpartition("-")[2].upper()


def _say_nothing(ctx: Any) -> None:  # noqa: ANN401  # typer's
    """Of a word that has a name its type says nothing more."""
