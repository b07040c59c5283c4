"""Where a setting came from, and what is wrong with it, in our words.

A setting is given by a variable or by a line of the file; an error names the one that it came from.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from vaultcore.errors import ConfigurationError
from worker.ownership import GROUP_VARIABLE, open_file

PREFIX: Final = "NIGHTKEY_"
HOME_VARIABLE: Final = "NIGHTKEY_HOME"
WARNED_VARIABLE: Final = "NIGHTKEY_WARNED"
"""What this process's parent has already told of: `up` and its children are one command."""
URL_VARIABLE: Final = "NIGHTKEY_URL"
TOKEN_VARIABLE: Final = "NIGHTKEY_TOKEN"  # noqa: S105  # its name
"""Where the commands ask a server instead of working here, and as whom."""
MOVE_VARIABLE: Final = "NIGHTKEY_MIGRATE_TO"
"""Where `migrate-to` moves the vault, password and all: no argument, which others on the machine see."""
PAGER_VARIABLE: Final = "NIGHTKEY_PAGER"
"""What long answers go through on a terminal."""
_OURS: Final = frozenset(
    {
        HOME_VARIABLE,
        WARNED_VARIABLE,
        GROUP_VARIABLE,
        URL_VARIABLE,
        TOKEN_VARIABLE,
        MOVE_VARIABLE,
        PAGER_VARIABLE,
    }
)
_FILE_MAX: Final = 1_048_576

_WORDS: Final[Mapping[str, str]] = {
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "int_parsing_size": "write a smaller number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "finite_number": "write a number that is finite",
    "string_type": "write a text in quotes",
    "string_unicode": "write it in UTF-8",
    "path_type": "write a path as text",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "tuple_type": 'write a list of texts, such as ["…"]',
    "missing": "it is missing",
}
"""By pydantic's code of the error."""

_BOUNDS: Final = (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))


def read_file(file: Path) -> dict[str, Any]:
    """What the settings' file holds; nothing where there is none. The error says what is wrong and where; that
    somebody else may have written it, too.
    """
    problem = ""
    try:
        descriptor = open_file(file, "the settings")
        if descriptor is None:
            return {}
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(_FILE_MAX + 1)
        if len(content) <= _FILE_MAX:
            return tomllib.loads(content.decode())
        problem = f"it is larger than {_FILE_MAX} bytes"
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except OSError as error:
        problem = f"it cannot be read: {error.strerror or type(error).__name__}"
    except tomllib.TOMLDecodeError as error:
        problem = f"it is not TOML: {error}"
    except (ValueError, RecursionError) as error:
        problem = f"it holds a number that is too long, or is nested too deeply ({type(error).__name__})"
    raise ConfigurationError(f"the settings {file}: {problem}")


def read_list(given: object) -> object:
    """A list of texts as a variable or the file has it: a JSON list, or one text, which is a list of one."""
    if not isinstance(given, str):
        return given
    if not given.strip():
        return ()
    if not given.lstrip().startswith("["):
        return (given,)
    try:
        return tuple(json.loads(given))
    except (ValueError, RecursionError):
        pass
    raise ValueError('this list does not end well: write ["…", "…"], or one text as it is')


def explain_setting(
    problem: Mapping[str, Any], *, file: Path, environment: Mapping[str, str], known: Iterable[str]
) -> str:
    """One of pydantic's errors as a line: what, why, and which variable or line to change."""
    name = " ".join(str(problem["loc"][0]).split()) if problem["loc"] else ""
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(name, known, n=1)
        meant = f": did you mean {close[0]}?" if close else ""
        said = f"there is no such setting{meant}"
    else:
        said = say_problem(problem)
    return f"setting {name}: {said} ({_say_origin(name, file, environment)})"


def find_unknown(environment: Mapping[str, str], known: Iterable[str]) -> dict[str, str]:
    """Each variable of our prefix that is not a setting, with the sentence that says so."""
    names = {f"{PREFIX}{name.upper()}" for name in known} | _OURS
    meant_by = {name.removeprefix(PREFIX): name for name in names - {WARNED_VARIABLE}}
    told = set(environment.get(WARNED_VARIABLE, "").split())
    found = {}
    for variable in sorted(environment):
        if not variable.upper().startswith(PREFIX) or variable.upper() in names or variable in told:
            continue
        close = get_close_matches(variable.upper().removeprefix(PREFIX), sorted(meant_by), n=1)
        meant = f": did you mean {meant_by[close[0]]}?" if close else ", and has no effect"
        found[variable] = f"variable {variable} is not a setting{meant}"
    return found


def say_problem(problem: Mapping[str, Any]) -> str:
    context = problem.get("ctx", {})
    bounds = [f"{words} {context[bound]:g}" for bound, words in _BOUNDS if bound in context]
    if bounds:
        return f"write a number that is {' and '.join(bounds)}"
    if problem["type"] == "value_error":
        return str(problem["msg"]).removeprefix("Value error, ")
    if len(problem["loc"]) > 1:  # an entry of a list
        return 'write a list of texts, such as ["…"]'
    return _WORDS.get(problem["type"], "it is not of the right kind")


def find_origin(
    name: str, *, stored: Mapping[str, Any], file: Path, environment: Mapping[str, str]
) -> str | None:
    """`NIGHTKEY_NIGHT_AT`, or `line 3 of nightkey.toml`; None: nothing gives it."""
    variable = _find_variable(name, environment)
    if variable is not None:
        return variable
    if name not in stored:
        return None
    line = _find_line(name, file)
    return file.name if line is None else f"line {line} of {file.name}"


def _say_origin(name: str, file: Path, environment: Mapping[str, str]) -> str:
    variable = _find_variable(name, environment)
    if variable is not None:
        return f"from the variable {variable}"
    line = _find_line(name, file)
    return "as it was given" if line is None else f"from line {line} of {file}"


def _find_variable(name: str, environment: Mapping[str, str]) -> str | None:
    return next((each for each in environment if each.upper() == f"{PREFIX}{name.upper()}"), None)


def _find_line(name: str, file: Path) -> int | None:
    """Where the file has it: `name = …`, `"name" = …` or `[name]`."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(name)}[\"']?\s*(?:[=.\]]|$)")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((number for number, text in enumerate(lines, start=1) if pattern.match(text)), None)
