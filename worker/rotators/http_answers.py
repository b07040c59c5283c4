"""What the answers to the rotator `http` hold: values, ids and times, each checked before it is believed."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from vaultcore import rules
from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.secret import Secret
from worker.domain.ends import NoEndError, read_end
from worker.domain.json_paths import take_path
from worker.outbound import Response
from worker.rotators.http_settings import VALUE, HttpSettings
from worker.workflows.kept_maskers import find_masker

ID_MAX = 500
_EXACT = 2**53
"""Whole numbers up to this one are the same to every reader of JSON; others are kept as text."""
_NOUNS = {"value": "value", "id": "id", "verify_id": "id", "find_ids": "list", "expires": "time"}
"""What lies at the path that each setting names."""
_LAYOUT = frozenset("\t\n\r")


class NoIdError(TargetError):
    """Where an id should lie, there is none."""


def take(answer: Response, path: str, what: str, setting: str) -> Any:  # noqa: ANN401  # JSON
    """What lies at the path in the body, or in a header; `setting` is what names the path."""
    where, separator, name = path.partition(":")
    if separator and where == "header":
        return answer.headers.get(name.lower())
    try:
        return take_path(answer.body, path)
    except TargetError:
        why = "" if answer.raw else f", and no body came with {answer.status}"
    if answer.flaw is not None:
        why = f", since the body cannot be read as JSON ({answer.flaw})"
    if answer.status == 202:
        why = ", and with 202 it says that it does it later, but names no place of its own to ask for the end"
    raise TargetError(say_missing(what, setting, path, why=why), cause=Cause.MISTAKE)


def say_missing(what: str, setting: str, path: str, *, why: str = "", entry: bool = False) -> str:
    """That what a setting names does not lie at its path, in the answer or in one entry of its list."""
    noun = "id" if entry else _NOUNS[setting]
    holder = "an entry in the answer" if entry else "the answer"
    return f"{what}: {holder} holds no {noun} at path `{path or '*'}`{why}: see setting {setting}"


def read_value(answer: Response, settings: HttpSettings, *, item: str) -> Secret:
    """The value that was issued, if it can be kept and sent."""
    found = take(answer, settings.value, "issue", "value")
    if not isinstance(found, str) or not found:
        problem = say_missing("issue", "value", settings.value, why=", but what is not text, or empty")
        raise TargetError(problem, cause=Cause.MISTAKE)
    problem = ""
    try:
        rules.check_value(found, name=item)
    except InvalidInputError as error:
        problem = str(error)
    if any(ord(char) < 32 and char not in _LAYOUT for char in found):
        problem = f"what lies at {settings.value} holds a control character, such as NUL, and is not a value"
    elif any(char in "\r\n" for char in found) and settings.verify.reads(VALUE, headers_alone=True):
        problem = f"what lies at {settings.value} holds a line break, and verify sends it in a header"
    if problem:
        raise TargetError(f"issue: {problem}", cause=Cause.MISTAKE)
    return Secret(found)


def read_id(answer: Response, path: str, what: str, *, values: Iterable[Secret | None]) -> str | int:
    """The id at the path, in which none of these values may stand. `NoIdError` where there is none."""
    problem = ""
    try:
        found = take(answer, path, what, id_setting(what))
    except TargetError as error:
        found, problem = None, str(error)
    if problem:
        raise NoIdError(problem, cause=Cause.MISTAKE)
    return IdReader(values).check(found, path, what)


def id_setting(what: str) -> str:
    """Which setting names the path of the ids in the answer to that request."""
    return {"issue": "id", "verify": "verify_id"}.get(what, "find_ids")


class IdReader:
    """Reads ids, of which none may be a value or hold one: ids are kept in clear, and shown."""

    def __init__(self, values: Iterable[Secret | None]) -> None:
        known = [value for value in values if value is not None]
        self._plain = {value.expose() for value in known}
        self._masker = find_masker(value for value in known if len(value) >= rules.MASKED_MIN)

    def check(self, found: object, path: str, what: str, *, entry: bool = False) -> str | int:
        where = path or "*"
        if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
            raise NoIdError(say_missing(what, id_setting(what), path, entry=entry), cause=Cause.MISTAKE)
        text = str(found)
        if text in self._plain or self._masker.mask(text) != text:
            raise TargetError(
                f"{what}: at {where} lies a value, and a value is never kept as an id: name another path",
                cause=Cause.MISTAKE,
            )
        if len(text) > ID_MAX or not text.isprintable() or text in (".", ".."):
            raise TargetError(
                f"{what}: what lies at {where} cannot be an id: it holds a control character, has more than "
                f"{ID_MAX} characters, or is . or ..",
                cause=Cause.MISTAKE,
            )
        return found if isinstance(found, str) or abs(found) <= _EXACT else text


def read_time(answer: Response, path: str | None, now: datetime) -> datetime | None:
    found = None if path is None else take(answer, path, "issue", "expires")
    if found is None:
        return None
    try:
        return read_end(found, now, called=path or "")
    except NoEndError as error:
        why = f", but {error}"
    raise TargetError(say_missing("issue", "expires", path or "", why=why), cause=Cause.MISTAKE)
