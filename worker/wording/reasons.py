"""What a code says to people, with its parameters put in: a sentence, or the part of one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from worker.domain.reasons import Code, Parameter, Reason
from worker.wording.comparisons import COMPARISONS
from worker.wording.credential_checks import CREDENTIAL_CHECKS
from worker.wording.departures import DEPARTURES
from worker.wording.findings import FINDINGS
from worker.wording.parts import MISSING, Sentences
from worker.wording.plans import PLANS
from worker.wording.rotations import ROTATIONS
from worker.wording.waits import WAITS

_FORMS: Final = {"": "%Y-%m-%d %H:%M UTC", "s": "%Y-%m-%d %H:%M:%S UTC", "d": "%Y-%m-%d"}
"""How a time is shown: to the minute, to the second, its day."""

_REST: Final[Sentences] = {
    Code.OTHER: "{text}",
    Code.UNKNOWN: "unknown",
    Code.FAILED: "{text}",
    # What keeps a night from ending well, beside what failed
    Code.WAS_CUT_OFF: "it was cut off",
    Code.SCAN_FAILED: "unexpected {error}",
    Code.NOT_DELIVERED: lambda given: (
        "{subject!r} by {place}: " + ("{text}" if "text" in given else "not tried yet")
    ),
    Code.OPERATORS_NAME_TAKEN: "none of us gave that name to the owner who has it, so nothing is sent to the "
    "operators",
    Code.FOREIGN_MESSAGES: "{counts}",
    Code.OLDER_DATABASE: "{text}",
}
SENTENCES: Final[Sentences] = {
    **_REST,
    **ROTATIONS,
    **WAITS,
    **PLANS,
    **FINDINGS,
    **COMPARISONS,
    **CREDENTIAL_CHECKS,
    **DEPARTURES,
}


class _Time:
    def __init__(self, time: datetime) -> None:
        self._time = time

    def __format__(self, form: str) -> str:
        return self._time.strftime(_FORMS[form])


class _Text(str):
    __slots__ = ()

    def __format__(self, form: str) -> str:
        return str(self)


class _Shown(dict[str, "_Time | _Text"]):
    """A reason's parameters, each as it is shown."""

    def __missing__(self, name: str) -> _Text:
        return _Text(MISSING)


def say(reason: Reason | None) -> str:
    """The sentence, or the part of one, without a full stop; nothing for none."""
    if reason is None:
        return ""
    sentence = SENTENCES[reason.code]
    text = sentence if isinstance(sentence, str) else sentence(reason.parameters)
    return text.format_map(_Shown({name: _show(one) for name, one in reason.given}))


def say_each(reasons: Iterable[Reason]) -> list[str]:
    return [say(one) for one in reasons]


def say_all(reasons: Iterable[Reason]) -> str:
    """All of them, in one line."""
    return "; ".join(say_each(reasons))


def _show(parameter: Parameter) -> "_Time | _Text":
    if isinstance(parameter, datetime):
        return _Time(parameter)
    if isinstance(parameter, Reason):
        return _Text(say(parameter))
    if isinstance(parameter, tuple):
        return _Text(", ".join(say(one) if isinstance(one, Reason) else one for one in parameter))
    return _Text(parameter)
