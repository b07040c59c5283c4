"""What is wrong with the words of a command, in the one form that all errors have: what, where, and what to do.

The library underneath words it otherwise, and after a line about its usage.
"""

import re
from typing import Any, Final, cast

import typer

from worker.origins import say_problem

UsageError: Final = cast("type[Exception]", typer.BadParameter.__base__)
"""What the library raises of words that it cannot use; its own place has moved between releases."""

_EXTRA: Final = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", re.DOTALL)
_CHOICE: Final = re.compile(r"(?:Value error, )?(.+) is not one of (.+?)\.?", re.DOTALL)
_COMMAND: Final = re.compile(r"No such command '(.*?)'\.?(?: Did you mean (.+)\?)?", re.DOTALL)


def shows_help(error: Any) -> bool:  # noqa: ANN401  # the library's
    """Whether it is help: nothing was asked at all."""
    return type(error).__name__ == "NoArgsIsHelpError"


def describe_usage(error: Any) -> str:  # noqa: ANN401  # likewise
    noun = ""
    if error.ctx is not None:
        noun = error.ctx.command_path.removeprefix(error.ctx.find_root().info_name or "").strip()
    path = f"nightkey {noun}".strip()
    lead = f"{noun}: " if noun else ""
    kind, message = type(error).__name__, str(error.message or "")
    lists, says = f"{path} --help lists them", f"{path} --help says what it takes"
    if kind == "NoSuchOption":
        return f"{lead}there is no option {error.option_name}{_guess(error.possibilities or ())}: {lists}"
    if kind == "MissingParameter":
        return f"{lead}{_name(error.param)} is missing: {says}"
    if kind == "BadParameter":
        return f"{lead}{_say_bad(error, message)}"
    if kind == "BadOptionUsage":  # of which command is not said
        takes = "takes no word behind a =" if "does not take" in message else "needs a word behind it"
        return f"{error.option_name} {takes}"
    command, extra = _COMMAND.match(message), _EXTRA.fullmatch(message)
    if command is not None:
        meant = command[2].replace("'", "").split(", ") if command[2] else ()
        return f"{lead}there is no command {command[1]!r}{_guess(meant)}: {lists}"
    if extra is not None:
        return f"{lead}{extra[1]!r} is more than it takes: {says}"
    return f"{lead}{message[:1].lower()}{message[1:].rstrip('.')}: {says}"


def _say_bad(error: Any, message: str) -> str:  # noqa: ANN401  # likewise
    name = error.param_hint or _name(error.param)
    choice = _CHOICE.fullmatch(message)
    if choice is not None:
        return f"{name} {choice[1]}: use one of {choice[2].replace(chr(39), '')}"
    problems = getattr(error.__cause__, "errors", None)
    if problems is not None:
        message = say_problem(problems()[0])
    return f"{name}: {message[:1].lower()}{message[1:].rstrip('.')}"


def _name(parameter: Any) -> str:  # noqa: ANN401  # likewise
    """As it is typed: the long form of an option, or what help calls the argument."""
    if parameter is None:
        return "a part of it"
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name).upper()


def _guess(meant: Any) -> str:  # noqa: ANN401  # likewise
    return f" (did you mean {' or '.join(sorted(meant))}?)" if meant else ""
