"""Sentences that were stored before there were codes, and the codes that they became. Frozen: never to be
changed.

Releases up to schema 0021 stored why something is as it is in words. Migration 0022 makes codes with
parameters of them; and since the digest of a row of then was made over the words, `nightkey init` needs them
once more, to see that it holds before it makes the new one. So each way back must give the very text: what
does not is kept as `other`, with the text as its parameter, and nothing is lost.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any, Final

OTHER: Final = "other"
_FAILED: Final = "failed"
_FORMS: Final = {"": "%Y-%m-%d %H:%M UTC", "s": "%Y-%m-%d %H:%M:%S UTC", "d": "%Y-%m-%d"}
_TIMES: Final = {
    "": r"\d{4}-\d\d-\d\d \d\d:\d\d UTC",
    "s": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC",
    "d": r"\d{4}-\d\d-\d\d",
}
_UNITS: Final = {"day": 86400, "hour": 3600, "minute": 60}
_LEFT: Final = r"in (?:a minute|\d+ (?:day|hour|minute)s?)|(?:a minute|\d+ (?:day|hour|minute)s?) ago"
_NUMBERS: Final = frozenset({"version", "current", "times", "new", "old", "number", "accepted", "listed"})
_LISTS: Final = frozenset({"names", "items", "unknown"})
_REASONS: Final = frozenset({"why", "check", "detail", "but"})
_TEXT_MAX: Final = 4000
"""Characters; what is longer was none of ours."""
_FIELD: Final = re.compile(r"\{(\w+)(?::(\w*))?\}")

_UNREAD: Final = "nothing here could read what replaces it"
_MOMENT: Final = "a moment in which changes may be made"
_LATE: Final = "what may take effect late at the other side"
_RUN: Final = "the first good production run of {workflow}"
_REPORT: Final = "a report (nightkey run report) of the first good run of {workflow} elsewhere"
_FAILED_RUN: Final = " (its last one failed: {failed})"
_CALL: Final = "the first call with the new key"
_CALL_LATE: Final = "; it did not come during the overlap"
_OLD_KEY: Final = "callers who still present the old key, last on {last_at:d}"
_SHARED: Final = (
    "when one of them is replaced the other stops working. Let workflows name one of them and delete the "
    "other, or declare which is the copy"
)
_COPY: Final = (
    "One of the two stops working, and no value is ever read out of the vault: let what uses it name "
    "{original}, or give it the value that works"
)
_LIVES: Final = "its last replacement lives {lasts}, and its policy counts on a lead of {lead}"
_SHORT: Final = ": a night comes once a day, and may find it lapsed"
_LONGER: Final = ". Have its service give longer ones, or say how long they live"
_REFUSED: Final = "version {version}, the current one here, is refused"
_NONE_REFUSED: Final = "no version, the current one here, is refused"
_ALL: Final = ", and so is every other value of it here: it was replaced after the copy"
_UNKNOWN: Final = "; unknown here, and there: {unknown}"
_LISTED: Final = (
    " is accepted, and what else was made there since the copy cannot be listed: look there for labels that "
    "begin with nightkey-, and revoke what is not in use"
)

_Template = tuple[str, str, Mapping[str, Any]]


def _in_nodes(code: str, text: str) -> list[_Template]:
    return [
        (code, "node {node} of workflow {workflow}" + text, {}),
        (code, "the document of workflow {workflow}" + text, {}),
    ]


_MENTIONED: Final = {"mentioned": True}
TEMPLATES: Final[tuple[_Template, ...]] = (
    ("by-hand", "asked for by hand", {}),
    ("compromised", "compromised", {}),
    ("by-owner", "its owner replaced it", {}),
    ("expires-then", "expires {seconds}, begins {at}, when changes may be made", {}),
    ("expires-then", "lapsed {seconds}, begins {at}, when changes may be made", {}),
    ("expires", "expires {seconds}", {}),
    ("expires", "lapsed {seconds}", {}),
    ("night-stopped", "too many rotations of this night have failed", {}),
    ("nobody-approved", "nobody approved it in time", {}),
    ("deleted", "the item was deleted", {}),
    ("given-meanwhile", "its owner gave it another value meanwhile", {}),
    ("given-in-use", "version {version} was given by hand since, and is in use", {}),
    (
        "given-takes-away",
        "version {version} was given by hand since, and what is not in use is taken away",
        {},
    ),
    (
        "given-not-gone",
        "version {version}, which was given by hand, is in use; what was made before is not gone: {why}",
        {},
    ),
    ("ended-by", "cancel by {by}", {"decision": "cancel"}),
    ("ended-by", "rollback by {by}", {"decision": "rollback"}),
    ("ended-by", "accept by {by}", {"decision": "accept"}),
    ("taken-back-by", "taken back by {by}", {}),
    ("not-collected", "nobody collected the new key by {until}", {}),
    ("not-arrived", "the new key did not arrive at {by} by {until}", {}),
    ("unknown", "unknown", {}),
    (
        "unread-rotation",
        (
            f"no active workflow here uses {{item}}, so {_UNREAD}: apply one that does, or say that nothing "
            f"here needs to read it ({{command}}); if somebody else knows the value, add --compromised"
        ),
        {},
    ),
    ("names-no-value", "its settings name what has no value: {names}", {}),
    ("cut-off", "its step was cut off {times} times: see the worker's log", {}),
    ("changed-since-approval", "its policy or value was changed after it was approved: ask again", {}),
    (
        "leads-elsewhere",
        "its policy leads to {now} by now, and it was begun with {before}: put that back until it is over",
        {},
    ),
    ("unexpected", "unexpected {error} in step {step}", {}),
    (
        "differs",
        (
            "{item} differs from its target since the restore, and is neither rotated nor revoked: "
            "{detail}. Mend that, or answer for it by `{command}`"
        ),
        {},
    ),
    ("run-rejected", "production run of {workflow}, node {node}: {text} (with version {version})", {}),
    (
        "not-shown",
        "the old value is kept, for it waits for {check}; or answer for the new one: `{command}`",
        {},
    ),
    (
        "neither-accepted",
        (
            "neither version {new} nor version {old} is accepted now: {text}; give a value that works "
            "(`{command}`)"
        ),
        {},
    ),
    ("no-longer-accepted", "version {new} is accepted no longer: {text}", {}),
    ("old-lapsed", "the old value has lapsed: going back would help nobody", {}),
    (
        "not-told-apart",
        (
            "version {version}, which was in use, cannot be told among what bears its label ({listed}): look "
            "there for {label}, and revoke what is not version {version}"
        ),
        {},
    ),
    ("approval", "a person's approval", {}),
    ("first-at-target", "{item}, the first at its target system in this night", {}),
    ("moment", f"{_MOMENT}, from {{at}}", {}),
    ("moment", _MOMENT, {}),
    ("other-side", "the other side to come back: {why}", {}),
    ("to-be-compared", "its target to be compared with, after the restore: {detail}", {}),
    ("late-effect", f"{_LATE}, until {{until}}", {}),
    ("late-effect", _LATE, {}),
    ("goes-first", "{why}, which goes first", {}),
    ("overlap", "the overlap, until {until:s}", {"beside": True}),
    ("overlap", "the time for first runs, until {until:s}", {"beside": False}),
    ("reader", "a workflow that uses it: nothing here has read the new value", {}),
    ("run-with-old", "a run of {workflow} that began with the old value", {}),
    ("copy-in-use", "workflows of {copy}, a copy with the value from before: let them name {item}", {}),
    ("not-collected-yet", "its owner, who has not collected the new key", {}),
    ("not-arrived-yet", "the new key to arrive at {by}, who began to collect it", {}),
    (
        "edited-workflow",
        "workflow {workflow}, which was changed behind the vault's back: audit verify --rows",
        {},
    ),
    (
        "lost-use",
        (
            "workflow {workflow}, whose use of {item} was changed or taken away behind the vault's back: "
            "apply it again ({command})"
        ),
        {},
    ),
    ("answered-for", "{workflow}: somebody answers for it", {}),
    ("pinned", "{workflow}, which is pinned to version {version}", {}),
    ("ran-with-any", "{why}, as it may with any value", {}),
    ("ran-well", "{workflow} ran well with version {version}", {}),
    ("after-canary", "{workflow}, which moves after the canary", {}),
    ("first-run", _RUN + _FAILED_RUN + "{but}", {}),
    ("first-run", _RUN + _FAILED_RUN, {}),
    ("first-run", _RUN + "{but}", {}),
    ("first-run", _RUN, {}),
    ("first-report", _REPORT + _FAILED_RUN + "{but}", {}),
    ("first-report", _REPORT + _FAILED_RUN, {}),
    ("first-report", _REPORT + "{but}", {}),
    ("first-report", _REPORT, {}),
    ("not-active", ", which is not active", {}),
    ("not-in-time", ", which did not come during the overlap", {"beside": True}),
    ("not-in-time", ", which did not come during the time for first runs", {"beside": False}),
    ("next-run-later", ", whose next run ({at}) is after the overlap", {"beside": True}),
    ("next-run-later", ", whose next run ({at}) is after the time for first runs", {"beside": False}),
    ("never-ran", ", which has never run", {}),
    ("never-reported", "; none was ever reported", {}),
    ("first-call", _CALL + ", which was collected by {by} on {collected_at:d}" + _CALL_LATE, {"late": True}),
    ("first-call", _CALL + ", which was collected by {by} on {collected_at:d}", {}),
    ("first-call", _CALL + ", which was collected on {collected_at:d}" + _CALL_LATE, {"late": True}),
    ("first-call", _CALL + ", which was collected on {collected_at:d}", {}),
    ("first-call", _CALL + _CALL_LATE, {"late": True}),
    ("first-call", _CALL, {}),
    ("old-key-used", _OLD_KEY + ", after the overlap", {"late": True}),
    ("old-key-used", _OLD_KEY, {}),
    (
        "check",
        (
            "a check that can fail: nothing has shown that the new value works, since verification and node "
            "tests accept made-up values, too (say there what a good answer holds, by expect)"
        ),
        {},
    ),
    ("does-retry", "tries to replace it again after {at}, since the last try failed", {}),
    ("does-retry", "tries to replace it again, since the last try failed", {}),
    ("does-ask-from", "asks for an approval to replace it from {at} on", {}),
    ("does-ask", "asks for an approval, in a message of its own", {}),
    ("does-replace-in-window", "replaces it from {at} on, when changes may be made", {}),
    ("does-replace-from", "replaces it from {at} on", {}),
    ("does-replace-at-opening", "replaces it when its window opens {at}", {}),
    ("does-replace-another-night", "replaces it another night: {why}", {}),
    ("does-replace-tonight", "replaces it in this night", {}),
    ("does-replace-before", "replaces it {lead} before it lapses", {}),
    ("does-await-value", "waits until it has its value", {}),
    ("does-replace-when-approved", "replaces it as soon as somebody approves that", {}),
    ("does-go-on", "is at it: {why}", {}),
    ("does-nothing", "nothing: {why}", {}),
    ("nothing-before-that", "nothing, before that", {}),
    ("night-full", "tonight's {number} rotations are taken", {}),
    ("target-full", "tonight's {number} rotations at {target} are taken", {}),
    ("under-way", "rotation {rotation} is {state}", {}),
    ("stuck", "its rotation is stuck", {}),
    ("stays", "its value stays as it is", {}),
    ("not-before-it-agrees", "it neither rotates nor revokes it until that agrees", {}),
    ("differs-since-restore", "it differs from its target since the restore: {command}", {}),
    ("differs-since-restore", "it differs from its target since the restore", {}),
    ("unread", f"no active workflow here uses it: {_UNREAD}", {}),
    ("no-moment", "its windows and freezes allow no moment for a rotation", {}),
    ("opens-too-late", "its window opens too late, {at}: it lapses first", {}),
    (
        "unreadable",
        "what is stored of {what} cannot be read ({problem}): restore its row from a backup",
        {},
    ),
    ("bad-template", "the template {template} is passed over, ours is sent in its place: {problem}", {}),
    *_in_nodes("used-lapsed", " uses it, and it lapsed {seconds}"),
    *(
        (code, text, _MENTIONED)
        for code, text, _ in _in_nodes("used-lapsed", " mentions it, and it lapsed {seconds}")
    ),
    *_in_nodes("named", " names it"),
    *((code, text, _MENTIONED) for code, text, _ in _in_nodes("named", " mentions it")),
    *_in_nodes("pinned-old", " is pinned to version {version}, and version {current} is current"),
    *_in_nodes("ran-old", " last ran with version {version}, and version {current} is current"),
    *_in_nodes("held-idle", " holds it, and last ran {seconds}"),
    *_in_nodes("held-idle", " holds it, and has never run"),
    (
        "no-consumer",
        (
            f"no active workflow here uses it: {_UNREAD}. Apply one that does; or, if nothing here needs to "
            f"read it, {{command}}; or leave its replacement to its owner"
        ),
        {},
    ),
    ("unused", "delete it if nothing else does", {}),
    ("no-owner", "nobody but the operators hears of it", {}),
    ("no-expiry", "nobody will notice when it stops working", {}),
    ("no-plan", "say how it is replaced: auto, approve or notify", {}),
    ("generic-name", "name service and environment, as in prod-ticketing-api-token", {}),
    ("no-value", "it came in without its value: nothing here can use it before that is given", {}),
    ("misfit", _LIVES + " and an overlap of {overlap}" + _SHORT + _LONGER, {"short": True}),
    ("misfit", _LIVES + " and an overlap of {overlap}" + _LONGER, {}),
    ("misfit", _LIVES + _SHORT + _LONGER, {"short": True}),
    ("misfit", _LIVES + _LONGER, {}),
    ("same-value", f"it has the same value as {{items}}: {_SHARED}", {}),
    ("same-account", f"it changes {{account}}, as does {{items}}: {_SHARED}", {}),
    (
        "copy-is-old",
        f"its original {{original}} was replaced on {{at}}, and it still has the value from before. {_COPY}",
        {},
    ),
    (
        "copy-differs",
        f"it has another value than its original {{original}}, which got its own on {{at}}. {_COPY}",
        {},
    ),
    ("after-restore", "after the restore: {detail}", {}),
    ("accepted-rotating", "version {version} is accepted, as its rotation knows", {}),
    ("accepted-unlisted", "version {version}" + _LISTED, {}),
    ("accepted-unlisted", "no version" + _LISTED, {}),
    ("accepted", "version {version} is accepted" + _UNKNOWN, {}),
    ("accepted", "version {version} is accepted", {}),
    *(
        ("refused-here", f"{refused}, and version {{accepted}} ({{stage}}) is accepted{unknown}", {})
        for refused in (_REFUSED, _NONE_REFUSED)
        for unknown in (_UNKNOWN, "")
    ),
    *(
        ("all-refused", refused + _ALL + unknown, {})
        for refused in (_REFUSED, _NONE_REFUSED)
        for unknown in (_UNKNOWN, "")
    ),
    (
        "key-under-way",
        (
            "a new key was being handed out when the copy was made, and whether it is in use by now is not "
            "known here"
        ),
        {},
    ),
    (
        "keys-unknown",
        (
            "a key that was handed out since the copy was made is unknown here and opens nothing: rotate "
            "it, if one was"
        ),
        {},
    ),
    (
        "no-rotator",
        (
            "no rotator can ask which value is in use: if its owner has replaced it since the copy was "
            "made, give the newer one"
        ),
        {},
    ),
    ("works-here", "its value works here alone", {}),
    ("asking-failed", "unexpected {error} while asking", {}),
    ("not-asked-yet", "", {}),
)
_BY_CODE: Final[dict[str, list[_Template]]] = {}
for _template in TEMPLATES:
    _BY_CODE.setdefault(_template[0], []).append(_template)


def read_sentence(text: str, *, failed: bool = False) -> dict[str, Any]:
    """The code and its parameters, as they are stored. `failed`: what is none of ours is what somebody else
    said of a failure; without it, and where the way back would not give the very text, it is `other`.
    """
    try:
        found = _parse(text) if len(text) <= _TEXT_MAX else None
    except RecursionError:  # no sentence of ours holds so many others
        found = None
    if found is not None:
        return found
    return {"code": _FAILED if failed else OTHER, "text": text}


def write_sentence(reason: object) -> str | None:
    """The text of then; None: there was none."""
    if not isinstance(reason, Mapping):
        return None
    if reason.get("code") in (OTHER, _FAILED):
        text = reason.get("text")
        return text if isinstance(text, str) else None
    for _, template, fixed in _BY_CODE.get(str(reason.get("code")), ()):
        names = {match[1] for match in _FIELD.finditer(template)}
        given = {name: value for name, value in reason.items() if name != "code" and name not in fixed}
        if names == given.keys() and all(reason.get(name) == value for name, value in fixed.items()):
            text = _fill(template, given)
            if text is not None and _is_worded_so(template, given):
                return text
    return None


def undo_reason(row: Mapping[str, Any]) -> dict[str, Any]:
    """Why a rotation was opened, as its row said then. Nothing, where no migration would have made this of
    it: somebody else wrote it since.
    """
    text = write_sentence(row["reason"])
    return {"reason": text if text is not None and read_sentence(text) == row["reason"] else None}


def _is_worded_so(template: str, given: Mapping[str, Any]) -> bool:
    """Of two templates of one expiry: the one for what has lapsed, and the one for what has not."""
    seconds = given.get("seconds")
    if not isinstance(seconds, int) or not template.startswith(("expires", "lapsed")):
        return True
    return template.startswith("expires") == (seconds > 0)


def _fill(template: str, given: Mapping[str, Any]) -> str | None:
    try:
        return _FIELD.sub(lambda match: _write(match[1], match[2] or "", given[match[1]]), template)
    except (ValueError, TypeError):
        return None


@lru_cache(maxsize=4096)  # a part is asked for by each template that could hold it
def _parse(text: str) -> dict[str, Any] | None:
    for code, template, fixed in TEMPLATES:
        match = _compile(template).fullmatch(text)
        if match is None:
            continue
        try:
            read = {name: _read(name, value) for name, value in match.groupdict().items()}
        except ValueError:
            continue
        reason = {"code": code, **fixed, **read}
        if write_sentence(reason) == text:
            return reason
    return None


@cache
def _compile(template: str) -> re.Pattern[str]:
    pattern, last = "", 0
    seen: set[str] = set()
    for match in _FIELD.finditer(template):
        name, form = match[1], match[2] or ""
        pattern += re.escape(template[last : match.start()])
        pattern += f"(?P={name})" if name in seen else f"(?P<{name}>{_shape(name, form)})"
        seen.add(name)
        last = match.end()
    return re.compile(pattern + re.escape(template[last:]), re.DOTALL)


def _is_time(name: str) -> bool:
    return name in ("at", "until") or name.endswith("_at")


def _shape(name: str, form: str) -> str:
    if name == "seconds":
        return _LEFT
    if _is_time(name):
        return _TIMES[form]
    return r"\d+" if name in _NUMBERS else ".+?"


def _read(name: str, text: str) -> Any:  # noqa: ANN401  # a parameter
    if name == "seconds":
        return _read_left(text)
    if _is_time(name):
        form = next(form for form, shape in _TIMES.items() if re.fullmatch(shape, text))
        return datetime.strptime(text, _FORMS[form]).replace(tzinfo=UTC).isoformat()
    if name in _NUMBERS:
        return int(text)
    if name in _LISTS:
        return text.split(", ")
    if name == "but" and _parse(text) is None:
        raise ValueError(text)
    return read_sentence(text, failed=True) if name in _REASONS else text


def _read_left(text: str) -> int:
    words = text.removeprefix("in ").removesuffix(" ago").split()
    size = 0 if words[0] == "a" else int(words[0]) * _UNITS[words[1].rstrip("s")]
    return -size if text.endswith(" ago") else max(size, 1)


def _write(name: str, form: str, value: Any) -> str:  # noqa: ANN401  # a parameter
    if name == "seconds":
        return _write_left(value)
    if _is_time(name):
        return datetime.fromisoformat(value).astimezone(UTC).strftime(_FORMS[form])
    if isinstance(value, Mapping):
        text = write_sentence(value)
        if text is None:
            raise ValueError(name)
        return text
    return ", ".join(value) if isinstance(value, list) else str(value)


def _write_left(seconds: int) -> str:
    size = abs(seconds)
    text = "a minute"
    for unit, length in _UNITS.items():
        if size >= length:
            number = size // length
            text = f"{number} {unit}{'s' if number > 1 else ''}"
            break
    return f"in {text}" if seconds > 0 else f"{text} ago"
