"""Why something is as it is: a code with its parameters, in rows and in decisions. Pure; no sentence stands
here.

The one form for all of them. In memory a `Reason`: a `Code`, and named parameters, each a text, a whole
number, a truth value, a time, another reason, or several texts or reasons. One that has nothing to say is left
out. Stored it is an object of JSON: `code`, and beside it each parameter by its name. A time is named `at`,
`until` or `…_at`, and stored in ISO 8601; a reason within a reason is an object again.

`worker.wording` makes sentences of them for people. What an outside system said, a text that was masked before,
is a parameter like any other: it is shown, and nothing is decided by it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Union

_DEPTH_MAX = 20
"""Reasons within a reason."""

Parameter = Union[str, int, datetime, tuple[Union[str, "Reason"], ...], "Reason"]


class Code(StrEnum):
    OTHER = "other"
    """`text`: a sentence of before there were codes, or a code that this release does not know."""
    UNKNOWN = "unknown"
    FAILED = "failed"
    """`text`: what a step, or who was asked, said of its failure."""

    # Why a rotation was opened
    BY_HAND = "by-hand"
    COMPROMISED = "compromised"
    BY_OWNER = "by-owner"
    """Its owner has replaced the value: what is left is to take the one from before away."""
    EXPIRES = "expires"
    """`seconds` that are left, none or fewer: it has lapsed."""
    EXPIRES_THEN = "expires-then"
    """As `EXPIRES`, and it begins `at`."""

    # Why it ended, or goes back, by a decision
    NIGHT_STOPPED = "night-stopped"
    STOPPED_IT = "stopped-it"
    """One of those that did; `why`, where that is known."""
    NOBODY_APPROVED = "nobody-approved"
    DELETED = "deleted"
    GIVEN_MEANWHILE = "given-meanwhile"
    GIVEN_IN_USE = "given-in-use"
    GIVEN_TAKES_AWAY = "given-takes-away"
    GIVEN_NOT_GONE = "given-not-gone"
    ENDED_BY = "ended-by"
    TAKEN_BACK_BY = "taken-back-by"
    NOT_COLLECTED = "not-collected"
    NOT_ARRIVED = "not-arrived"

    # Why a step must not be done, or has failed by what we know ourselves
    UNREAD_ROTATION = "unread-rotation"
    NAMES_NO_VALUE = "names-no-value"
    BAD_SETTINGS = "bad-settings"
    CUT_OFF = "cut-off"
    CHANGED_SINCE_APPROVAL = "changed-since-approval"
    LEADS_ELSEWHERE = "leads-elsewhere"
    UNEXPECTED = "unexpected"
    TROUBLE = "trouble"
    """`text`: what this machine or its database lacks."""
    TAMPERED = "tampered"
    """`text`: the row, and what can be done about it."""
    DIFFERS = "differs"
    """After a restore: `detail` is what was found at the target."""
    NODE_TEST_FAILED = "node-test-failed"
    WORKFLOW_TEST_FAILED = "workflow-test-failed"
    """`node`, where it is known which one failed."""
    RUN_REJECTED = "run-rejected"
    NOT_SHOWN = "not-shown"
    NEITHER_ACCEPTED = "neither-accepted"
    NO_LONGER_ACCEPTED = "no-longer-accepted"
    OLD_LAPSED = "old-lapsed"
    NOT_TOLD_APART = "not-told-apart"

    # What a step came to
    SAID = "said"
    """`text`: what its rotator said of it."""
    PENDING = "pending"
    NO_WAY_BACK = "no-way-back"
    CURRENT = "current"
    OLD_STOPPED = "old-stopped"
    OLD_STOPPED_BEFORE = "old-stopped-before"
    OLD_WORKS_ON = "old-works-on"
    OLD_KEPT = "old-kept"
    OLD_LAPSED_BEFORE = "old-lapsed-before"
    OLD_IS_DIGEST = "old-is-digest"
    OLD_ACCEPTED = "old-accepted"
    SAME_AS_OLD = "same-as-old"
    SAME_AS_GIVEN = "same-as-given"
    TOLD_APART = "told-apart"
    """`text` said that the new value is accepted; so of the next two."""
    TOLD_NOTHING = "told-nothing"
    TOLD_UNKNOWN = "told-unknown"
    ENDS_THERE = "ends-there"
    TESTS_PASSED = "tests-passed"
    NO_TEST_PASSED = "no-test-passed"
    NO_NODE_USES_IT = "no-node-uses-it"
    NO_WORKFLOW_USES_IT = "no-workflow-uses-it"
    TESTS_UNPROVEN = "tests-unproven"
    NOT_TESTED_ALONE = "not-tested-alone"
    """`names`: each a text, or one of the next."""
    NODE_NOT_TRIED = "node-not-tried"
    NODE_ELSEWHERE = "node-elsewhere"
    """`text`: why it cannot be tried here all the same."""
    RUN_ELSEWHERE = "run-elsewhere"
    WAITS_FOR = "waits-for"
    """`why`: the first of what it waits for; the others follow."""
    WAITS_FOR_NOTHING = "waits-for-nothing"
    ANOTHER_IS_MADE = "another-is-made"
    NOTHING_OUTSIDE = "nothing-outside"
    CONSUMERS_RETURNED = "consumers-returned"
    GIVEN_IS_USED = "given-is-used"
    WORKS_UNTIL_UNNEEDED = "works-until-unneeded"
    GIVEN_BY_HAND = "given-by-hand"
    DECIDED_BY = "decided-by"

    # What a rotation waits for
    APPROVAL = "approval"
    FIRST_AT_TARGET = "first-at-target"
    MOMENT = "moment"
    OTHER_SIDE = "other-side"
    TO_BE_COMPARED = "to-be-compared"
    LATE_EFFECT = "late-effect"
    OVERLAP = "overlap"
    READER = "reader"
    RUN_WITH_OLD = "run-with-old"
    RUN_WITH_NEW = "run-with-new"
    COPY_IN_USE = "copy-in-use"
    NOT_COLLECTED_YET = "not-collected-yet"
    NOT_ARRIVED_YET = "not-arrived-yet"
    EDITED_WORKFLOW = "edited-workflow"
    LOST_USE = "lost-use"
    GOES_FIRST = "goes-first"

    # How a consumer stands
    ANSWERED_FOR = "answered-for"
    PINNED = "pinned"
    RAN_WELL = "ran-well"
    RAN_WITH_ANY = "ran-with-any"
    AFTER_CANARY = "after-canary"
    FIRST_RUN = "first-run"
    FIRST_REPORT = "first-report"
    NOT_ACTIVE = "not-active"
    NOT_IN_TIME = "not-in-time"
    NEXT_RUN_LATER = "next-run-later"
    NEVER_RAN = "never-ran"
    NEVER_REPORTED = "never-reported"
    CALLERS_ANSWERED_FOR = "callers-answered-for"
    FIRST_CALL = "first-call"
    CALLERS_MOVED = "callers-moved"
    OLD_KEY_USED = "old-key-used"
    CHECK = "check"
    CHECK_ANSWERED_FOR = "check-answered-for"

    # What a night decides for an item
    DIFFERS_SINCE_RESTORE = "differs-since-restore"
    UNREAD = "unread"
    RETRIES_AFTER = "retries-after"
    ROTATES_FROM = "rotates-from"
    ASKS_FROM = "asks-from"
    NO_MOMENT = "no-moment"
    OPENS_TOO_LATE = "opens-too-late"
    OPENS = "opens"
    NIGHT_FULL = "night-full"
    TARGET_FULL = "target-full"
    ANOTHER_NIGHT = "another-night"
    AWAITS_VALUE = "awaits-value"
    OWNER_REPLACES = "owner-replaces"
    IS_STUCK = "is-stuck"
    AWAITS_APPROVAL = "awaits-approval"
    UNDER_WAY = "under-way"

    # What Nightkey does about it by itself
    DOES_NOTHING = "does-nothing"
    DOES_RETRY = "does-retry"
    DOES_ASK_FROM = "does-ask-from"
    DOES_REPLACE_FROM = "does-replace-from"
    DOES_REPLACE_IN_WINDOW = "does-replace-in-window"
    DOES_ASK = "does-ask"
    DOES_REPLACE_AT_OPENING = "does-replace-at-opening"
    DOES_REPLACE_ANOTHER_NIGHT = "does-replace-another-night"
    DOES_REPLACE_TONIGHT = "does-replace-tonight"
    DOES_AWAIT_VALUE = "does-await-value"
    DOES_REPLACE_WHEN_APPROVED = "does-replace-when-approved"
    DOES_GO_ON = "does-go-on"
    DOES_REPLACE_BEFORE = "does-replace-before"
    NOTHING_BEFORE_THAT = "nothing-before-that"
    STUCK = "stuck"
    STAYS = "stays"
    NOT_BEFORE_IT_AGREES = "not-before-it-agrees"

    # What was found of an item, a row, a template
    UNREADABLE = "unreadable"
    EDITED_ROW = "edited-row"
    SEALED_ROW = "sealed-row"
    """Its sealed record does not open."""
    BAD_TEMPLATE = "bad-template"
    NAMED = "named"
    USED_LAPSED = "used-lapsed"
    PINNED_OLD = "pinned-old"
    RAN_OLD = "ran-old"
    HELD_IDLE = "held-idle"
    NO_CONSUMER = "no-consumer"
    UNUSED = "unused"
    NO_OWNER = "no-owner"
    NO_EXPIRY = "no-expiry"
    NO_PLAN = "no-plan"
    GENERIC_NAME = "generic-name"
    NO_VALUE = "no-value"
    MISFIT = "misfit"
    SAME_VALUE = "same-value"
    SAME_ACCOUNT = "same-account"
    COPY_IS_OLD = "copy-is-old"
    COPY_DIFFERS = "copy-differs"
    AFTER_RESTORE = "after-restore"

    # How an item stands that somebody who leaves could read
    FREEZE = "freeze"
    LEFT_AWAITS_VALUE = "left-awaits-value"
    LEFT_REPLACED = "left-replaced"
    """`unread`: nothing here uses it."""
    LEFT_OVERLAPS = "left-overlaps"
    LEFT_FIRST_VALUE = "left-first-value"
    LEFT_TO_OWNER = "left-to-owner"
    LEFT_FAILED = "left-failed"
    LEFT_TO_DO = "left-to-do"
    LEFT_UNDER_WAY = "left-under-way"
    LEFT_WAITS = "left-waits"

    # What a target said of an item after a restore
    NOT_ASKED_YET = "not-asked-yet"
    ACCEPTED = "accepted"
    ACCEPTED_UNLISTED = "accepted-unlisted"
    ACCEPTED_ROTATING = "accepted-rotating"
    REFUSED_HERE = "refused-here"
    ALL_REFUSED = "all-refused"
    KEY_UNDER_WAY = "key-under-way"
    KEYS_UNKNOWN = "keys-unknown"
    NO_ROTATOR = "no-rotator"
    WORKS_HERE = "works-here"
    ASKING_FAILED = "asking-failed"
    DIFFERS_THERE = "differs-there"
    """One of several, with what was found of it."""

    # What a check of a credential came to
    CHECK_ACCEPTED = "check-accepted"
    """`target` that was asked, `version` that it was asked of; so in those below."""
    CHECK_REFUSED = "check-refused"
    """`text`: what it said; so below."""
    CHECK_AWAY = "check-away"
    CHECK_BLIND = "check-blind"
    CHECK_UNSHOWN = "check-unshown"
    CHECK_FAILED = "check-failed"
    CHECK_CUT_OFF = "check-cut-off"
    CHECK_NO_ROTATOR = "check-no-rotator"
    ASKED_AGAIN = "asked-again"
    """`at`: when a night asks, if nothing happens before."""

    # What keeps a night from ending well, beside what failed
    WAS_CUT_OFF = "was-cut-off"
    SCAN_FAILED = "scan-failed"
    NOT_DELIVERED = "not-delivered"
    OPERATORS_NAME_TAKEN = "operators-name-taken"
    FOREIGN_MESSAGES = "foreign-messages"
    OLDER_DATABASE = "older-database"


_CODES = {code.value: code for code in Code}


@dataclass(frozen=True)
class Reason:
    """`given`: the parameters by name, in the order of the names."""

    code: Code
    given: tuple[tuple[str, Parameter], ...] = ()

    @classmethod
    def of(cls, code: Code, **parameters: Parameter | None) -> "Reason":
        return cls(code, tuple(sorted((name, one) for name, one in parameters.items() if one is not None)))

    @classmethod
    def failed(cls, text: str) -> "Reason":
        """What somebody said of a failure in their own words."""
        return cls.of(Code.FAILED, text=text)

    def __str__(self) -> str:
        """No text by itself: who shows it asks `worker.wording`, and who forgets that is told so at once."""
        raise TypeError(f"the reason {self.code.value!r} is no text: worker.wording says it")

    @property
    def parameters(self) -> dict[str, Parameter]:
        return dict(self.given)


def store_reason(reason: Reason) -> dict[str, Any]:
    """As it is kept in a row."""
    return {"code": reason.code.value, **{name: _store(one) for name, one in reason.given}}


def store_reasons(reasons: "list[Reason] | tuple[Reason, ...]") -> list[dict[str, Any]]:
    return [store_reason(one) for one in reasons]


def read_reason(stored: object, *, depth: int = 0) -> Reason:
    """What was kept; `ValueError` if it is not an object. A code of another release is shown as it stands, as
    is a reason within more of them than any of ours has.
    """
    if not isinstance(stored, Mapping):
        raise ValueError("a stored reason is not an object")  # noqa: TRY004  # as any other value that is none of ours
    code = _CODES.get(str(stored.get("code")))
    if code is None or depth > _DEPTH_MAX:
        return Reason.of(Code.OTHER, text=_show_strange(stored))
    return Reason.of(
        code, **{str(name): _read(str(name), one, depth) for name, one in stored.items() if name != "code"}
    )


def _show_strange(stored: Mapping[Any, Any]) -> str:
    try:
        return json.dumps(stored, sort_keys=True, default=str)
    except RecursionError:
        return "what is nested too deeply to be shown"


def show_reason(stored: object) -> Reason:
    """As `read_reason`, for what is only told: what is no reason is shown as it stands."""
    try:
        return read_reason(stored)
    except ValueError:
        return Reason.of(Code.OTHER, text=str(stored))


def read_reasons(stored: object) -> list[Reason]:
    """`ValueError` if it is not a list; what is no reason in it is shown as it stands."""
    if not isinstance(stored, list):
        raise ValueError("stored reasons are no list")  # noqa: TRY004  # as above
    return [show_reason(one) for one in stored]


def _store(parameter: Parameter) -> object:
    if isinstance(parameter, Reason):
        return store_reason(parameter)
    if isinstance(parameter, datetime):
        return parameter.isoformat()
    return [_store(one) for one in parameter] if isinstance(parameter, tuple) else parameter


def _read(name: str, stored: object, depth: int) -> Parameter | None:
    if isinstance(stored, Mapping):
        return read_reason(stored, depth=depth + 1)
    if isinstance(stored, list):
        return tuple(_read_one(one, depth) for one in stored)
    if isinstance(stored, str) and (name in ("at", "until") or name.endswith("_at")):
        return _read_time(stored)
    return stored if stored is None or isinstance(stored, (str, int)) else str(stored)


def _read_one(stored: object, depth: int) -> str | Reason:
    """One of several."""
    if isinstance(stored, Mapping):
        return read_reason(stored, depth=depth + 1)
    return str(stored) if isinstance(stored, str | int) else "…"


def _read_time(stored: str) -> datetime | str:
    """What is no time is shown as it stands."""
    try:
        time = datetime.fromisoformat(stored)
    except ValueError:
        return stored
    return time if time.tzinfo is not None else stored
