"""What comes in: values by prompt, standard input or file, times, and policies from options or a file."""

import os
import re
import sys
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from getpass import getpass
from pathlib import Path
from typing import Any

from vaultcore.errors import InvalidInputError, RefusedError
from vaultcore.rules import parse_duration
from vaultcore.secret import Secret
from worker.cli.screen import screen
from worker.cli.terminal import fit_cell
from worker.domain.policies import PolicyChange
from worker.domain.strict_json import parse_json

_FILE_MAX = 64 * 1024
NONE = "none"
_SHOWN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?) ([A-Z]{2,5}|[+-]\d{2,4})")
"""A time as answers show it, and the name of its zone."""
_FAR = timedelta(days=200 * 366)


def read_value(path: str | None, *, what: str) -> Secret:
    """The value: of the file, of standard input (`-`), or typed twice. One final newline is no part of it."""
    if path == "-":
        return Secret(_strip_newline(read_input()))
    if path is not None:
        return Secret(_strip_newline(read_text(Path(path))))
    if not sys.stdin.isatty():
        raise InvalidInputError(
            f"there is no terminal to ask for {what}: give --value-file PATH, or - for standard input"
        )
    try:
        first = getpass(f"{fit_cell(what)}: ")
        again = getpass("again: ")
    except UnicodeDecodeError:
        again = None
    if again is None:
        raise InvalidInputError(
            "what was typed is not text in this terminal's encoding: give --value-file PATH"
        )
    if first != again:
        raise InvalidInputError("the two entries differ: nothing was changed")
    return Secret(first)


def read_token(source: str | None) -> str:
    """The token of a pickup: of standard input (`-`), or typed, unseen.

    What is given in its place is refused: others on the machine see a command line, and the shell keeps it.
    """
    if source == "-":
        return read_input().strip()
    if source is not None:
        raise InvalidInputError(
            "a token on the command line is seen by others on this machine, and kept by the shell: "
            "`nightkey pickup` asks for it, and `nightkey pickup -` reads it from standard input"
        )
    if not sys.stdin.isatty():
        raise InvalidInputError(
            "there is no terminal to ask for the token: `nightkey pickup -` reads it from standard input"
        )
    try:
        return getpass("token: ").strip()
    except UnicodeDecodeError:
        return ""  # which is no token either


def ask_expiry(problem: str, now: datetime) -> datetime | None:
    """When a new value lapses, asked of who sits there (`none`: never); nobody does: the problem."""
    if not sys.stdin.isatty():
        raise InvalidInputError(problem)
    print("When does the new value lapse? (90d, 2026-12-24, or none) ", end="", file=sys.stderr, flush=True)  # noqa: T201  # a question
    answer = sys.stdin.readline().strip()
    if not answer:
        raise InvalidInputError(problem)
    return None if answer == NONE else parse_time(answer, now)


def confirm(question: str) -> bool:
    """Whether who sits there says yes; anything else is no."""
    print(f"{question} [y/N]: ", end="", file=sys.stderr, flush=True)  # noqa: T201  # a question
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def demand_yes(question: str, *, yes: bool) -> None:
    """Goes on where `yes` was given, or who sits there says it. `RefusedError` where they do not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInputError("there is no terminal to ask: add --yes if that is what you want")
    if not confirm(question):
        raise RefusedError("nothing was changed")


def read_input(*, most: int = _FILE_MAX) -> str:
    """Standard input to its end, as text of at most so many bytes."""
    content = sys.stdin.buffer.read(most + 1)
    problem = _too_large(content, most)
    try:
        if not problem:
            return content.decode()
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    raise InvalidInputError(f"standard input cannot be read: {problem}")


def read_document(path: str, *, most: int) -> tuple[str, str]:
    """A text of a file, or of standard input (`-`), of so many bytes at most; and what to call it."""
    if path == "-":
        return read_input(most=most), "standard input"
    return read_text(Path(path), most=most), path


def read_text(path: Path, *, most: int = _FILE_MAX) -> str:
    """A text file of at most so many bytes, newlines as they are; the error names it and says why it cannot be
    read.
    """
    try:
        content = _read_some(path, most)
        problem = _too_large(content, most)
        if not problem:
            return content.decode()
    except UnicodeDecodeError:
        problem = "it is not UTF-8 text"
    except OSError as error:
        problem = error.strerror or type(error).__name__
    raise InvalidInputError(f"{path} cannot be read: {problem}")


def _read_some(path: Path, most: int) -> bytes:
    """What a file or a pipe holds, without waiting or reading for ever: a device has no end, a pipe perhaps
    nobody who writes to it.
    """
    with open(path, "rb", opener=_open_at_once) as stream:  # only this one takes an opener
        os.set_blocking(stream.fileno(), True)
        return stream.read(most + 1)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _too_large(content: bytes, most: int) -> str:
    return f"it is larger than {most} bytes" if len(content) > most else ""


def read_json(path: Path) -> Any:  # noqa: ANN401  # JSON
    """The document, which holds what can be stored and sent on: no NaN, and no depth without end."""
    text = read_text(path)
    try:
        return parse_json(text)
    except InvalidInputError as error:
        problem = str(error)
    raise InvalidInputError(f"{path}: {problem}")


def parse_time(text: str, now: datetime) -> datetime:
    """`2026-12-24T18:00:00Z`, `2026-12-24` (its first moment, in the zone that answers are shown in), a time as
    answers show it (`2026-12-24 19:00 CET`), or a duration from now: `30d`.
    """
    found: datetime | None = None
    try:
        found = (_read_shown(text) or _read_moment(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        with suppress(InvalidInputError):
            found = now + parse_duration(text.removeprefix("+"))
    if found is not None and abs(found - now) > _FAR:
        way = "ahead" if found > now else "back"
        raise InvalidInputError(f"{text[:40]!r} lies more than two hundred years {way}")
    if found is not None:
        return found
    raise InvalidInputError(
        f"{text[:40]!r} is not a time: write 2026-12-24, 2026-12-24T18:00:00Z, or a duration from now like 30d"
    )


def _read_moment(text: str) -> datetime:
    read = datetime.fromisoformat(text)
    return read.replace(tzinfo=screen().zone) if read.tzinfo is None else read


def _read_shown(text: str) -> datetime | None:
    """By the name of its zone: UTC, or that of the zone in which answers are shown, as it is called then."""
    shown = _SHOWN.fullmatch(text.strip())
    if shown is None:
        return None
    read = datetime.fromisoformat(shown[1])
    zones = [read.replace(tzinfo=zone, fold=fold) for zone in (UTC, screen().zone) for fold in (0, 1)]
    return next((one for one in zones if f"{one:%Z}" == shown[2]), None)


def parse_begin(text: str, now: datetime) -> datetime:
    """Of a period in the past: as `parse_time`, and a duration counts back from now."""
    back = _parse_back(text)
    return parse_time(text, now) if back is None else now - back


def parse_end(text: str, now: datetime) -> datetime:
    """The same for its end, which is not in it: a day is in it whole."""
    back = _parse_back(text)
    if back is not None:
        return now - back
    end = parse_time(text, now)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return end
    return datetime.combine(day + timedelta(days=1), time(), screen().zone).astimezone(UTC)


def _parse_back(text: str) -> timedelta | None:
    try:
        back = parse_duration(text)
    except InvalidInputError:
        return None
    return min(back, _FAR)


def read_policy_change(
    *,
    file: Path | None,
    mode: str | None,
    rotator: str | None,
    settings: Iterable[str],
    lifetime: str | None,
    lead: str | None,
    overlap: str | None,
    windows: list[str] | None = None,
    freezes: list[str] | None = None,
    canary: str | None = None,
    four_eyes: bool | None = None,
    consumers: str | None = None,
    copy_of: str | None = None,
    unset: Iterable[str] = (),
) -> PolicyChange:
    """What the options ask of a policy, over what the file asks."""
    parts = {} if file is None else _read_policy_file(file)
    options = {
        "mode": mode,
        "rotator": rotator,
        "lifetime": lifetime,
        "lead": lead,
        "overlap": overlap,
        "windows": _read_windows(windows),
        "freezes": _read_windows(freezes),
        "four_eyes": four_eyes,
        "consumers": consumers,
        "canary": canary,
        "copy_of": copy_of,
    }
    parts |= {name: value for name, value in options.items() if value is not None}
    if canary == NONE:
        parts["canary"] = None
    if copy_of == NONE:
        parts["copy_of"] = None
    return PolicyChange(parts=parts, assigned=_parse_assignments(settings), unset=tuple(unset))


def _read_windows(given: list[str] | None) -> list[str] | None:
    """What is given replaces what was there; `none` takes it away."""
    return [] if given == [NONE] else given or None


def _read_policy_file(file: Path) -> dict[str, Any]:
    return read_table(file, otherwise="it holds no policy: that is an object")


def read_table(file: Path, *, otherwise: str, most: int = _FILE_MAX, unique: bool = False) -> dict[str, Any]:
    """What a file of TOML, or of JSON by its ending, holds; `InvalidInputError` names the file and says what is
    wrong with it: `otherwise`, where it holds something else than a table. `unique`: no key of it stands twice.
    """
    text = read_text(file, most=most)
    try:
        found = parse_json(text, unique=unique) if file.suffix == ".json" else tomllib.loads(text)
    except (InvalidInputError, tomllib.TOMLDecodeError) as error:
        problem = str(error)
    except (ValueError, RecursionError) as error:
        problem = f"it holds a number that is too long, or is nested too deeply ({type(error).__name__})"
    else:
        if isinstance(found, dict):
            return found
        problem = otherwise
    raise InvalidInputError(f"{file}: {problem}")


def _parse_assignments(texts: Iterable[str]) -> dict[str, Any]:
    """`a=1` and `a.b=2`, as nested settings; everything after the first `=` is the text."""
    found: dict[str, Any] = {}
    for text in texts:
        path, separator, value = text.partition("=")
        if not separator or not all(path.split(".")):
            raise InvalidInputError(f"--set {path[:80]!r}: write it as KEY=VALUE, or KEY.PART=VALUE")
        *parents, last = path.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InvalidInputError(f"--set {path}: {parent} has a value of its own already")
        if isinstance(place.get(last), dict):
            raise InvalidInputError(f"--set {path}: {last} has parts of its own already")
        place[last] = value
    return found


def _strip_newline(text: str) -> str:
    return text.removesuffix("\n").removesuffix("\r")
