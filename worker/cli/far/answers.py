"""What a server answers, as the commands print it; and what it refuses, in its words. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from vaultcore.errors import InvalidInputError, NightkeyError, NotFoundError, RefusedError
from worker.origins import TOKEN_VARIABLE, URL_VARIABLE

_TIMES: Final = ("_at", "_until", "_since", "_night")
_TIME_NAMES: Final = frozenset({"at", "until", "since", "slot", "night"})
_AS_GIVEN: Final = frozenset({"document", "output", "settings", "labels", "details", "before", "after"})
"""What people or workflows gave, in which a time is a text like any other."""
_OF_SDX: Final = ("code", "message")
_OF_OURS: Final = ("title", "detail")
_REFUSED: Final = frozenset({403, 409, 412, 428})
_UNREADABLE: Final = "unreadable"
_AWAY: Final = frozenset({502, 503, 504})
"""Of a proxy that stands before the server."""


class NoServerError(NightkeyError):
    """Something answers at the address, and does not speak as a Nightkey server does."""

    def __init__(self, host: str, what: str) -> None:
        super().__init__(
            f"{host} {what}: it is no Nightkey server, or none of this release: see {URL_VARIABLE}"
        )


class FarAnswer(dict[str, Any]):
    """An object of an answer. A field that is not there is the server's fault, and no command's."""

    host: str = ""

    def __missing__(self, name: str) -> Any:  # noqa: ANN401  # never returns
        raise NoServerError(self.host, f"answered without {name!r}")


def read_answer(given: Any, host: str, *, name: str = "") -> Any:  # noqa: ANN401  # JSON
    """The same document with times for what are times, by the names of their fields."""
    if name in _AS_GIVEN:
        return given
    if isinstance(given, dict):
        answer = FarAnswer({key: read_answer(part, host, name=key) for key, part in given.items()})
        answer.host = host
        return answer
    if isinstance(given, list):
        return [read_answer(part, host, name=name) for part in given]
    if isinstance(given, str) and (name in _TIME_NAMES or name.endswith(_TIMES)):
        return _read_time(given)
    return given


def _read_time(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def explain_refusal(status: int, body: Any, host: str) -> NightkeyError:  # noqa: ANN401  # JSON
    """The error of a status that is none of success: 2 where the input is wrong, 3 where it is refused."""
    code, words = _read_words(body)
    if not words and status in _AWAY:
        return NightkeyError(f"{host} answered {status}: the server behind it does not answer: try again later")
    if not words:
        return NoServerError(host, f"answered {status}")
    if status == 401:
        return RefusedError(
            f"{host} lets nobody in with the token of {TOKEN_VARIABLE}: it has lapsed or was revoked, or is of "
            "another server"
        )
    if status in _REFUSED and code != _UNREADABLE:
        return RefusedError(words)
    if status == 404:
        return NotFoundError(words)
    if 400 <= status < 500 and status not in (408, 429) and code != _UNREADABLE:
        return InvalidInputError(words)
    return NightkeyError(f"{host} answered {status}: {words}")


def _read_words(body: Any) -> tuple[str, str]:  # noqa: ANN401  # JSON
    """Code and message of an error, in SDX's form or as a problem; empty where it is neither. In one line."""
    if isinstance(body, Mapping):
        for code, words in (_OF_OURS, _OF_SDX):
            found = body.get(code), body.get(words)
            if all(isinstance(one, str) and one for one in found):
                return str(found[0]), " ".join(str(found[1]).split())
    return "", ""
