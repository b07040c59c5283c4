"""Why a rotation was opened, why it ended, and why a step of it failed."""

from typing import Final

from worker.domain.checks import ShownBy
from worker.domain.reasons import Code
from worker.wording.parts import UNREAD, Sentences, say_expiry

ROTATIONS: Final[Sentences] = {
    # Why a rotation was opened
    Code.BY_HAND: "asked for by hand",
    Code.COMPROMISED: "compromised",
    Code.BY_OWNER: "its owner replaced it",
    Code.EXPIRES: say_expiry,
    Code.EXPIRES_THEN: lambda given: f"{say_expiry(given)}, begins {{at}}, when changes may be made",
    # Why it ended, or goes back, by a decision
    Code.NIGHT_STOPPED: "too many rotations of this night have failed",
    Code.STOPPED_IT: lambda given: "{item}: " + ("{why}" if "why" in given else "") + " ({rotation})",
    Code.NOBODY_APPROVED: "nobody approved it in time",
    Code.DELETED: "the item was deleted",
    Code.GIVEN_MEANWHILE: "its owner gave it another value meanwhile",
    Code.GIVEN_IN_USE: "version {version} was given by hand since, and is in use",
    Code.GIVEN_TAKES_AWAY: "version {version} was given by hand since, and what is not in use is taken away",
    Code.GIVEN_NOT_GONE: "version {version}, which was given by hand, is in use; what was made before is not "
    "gone: {why}",
    Code.ENDED_BY: "{decision} by {by}",
    Code.TAKEN_BACK_BY: "taken back by {by}",
    Code.NOT_COLLECTED: "nobody collected the new key by {until}",
    Code.NOT_ARRIVED: "the new key did not arrive at {by} by {until}",
    # What a step came to
    Code.SAID: "{text}",
    Code.PENDING: "version {version} is pending",
    Code.NO_WAY_BACK: "the old value no longer works, so there is no way back",
    Code.CURRENT: "version {new} is current",
    Code.OLD_STOPPED: "version {version} stopped working when that was issued",
    Code.OLD_STOPPED_BEFORE: "version {version} had stopped working before",
    Code.OLD_WORKS_ON: "version {version} works on",
    Code.OLD_KEPT: "version {version} is kept for the way back",
    Code.OLD_LAPSED_BEFORE: "the old value had lapsed before",
    Code.OLD_IS_DIGEST: "the old value is kept as a digest, and opens as before",
    Code.OLD_ACCEPTED: "the old value: {text}",
    Code.SAME_AS_OLD: "the new value is the old one: nothing to revoke",
    Code.SAME_AS_GIVEN: "the value that was given is the new one: nothing to take away",
    Code.TOLD_APART: "{text}, and refuses a made-up one",
    Code.TOLD_NOTHING: "unproven: {text}, but a made-up one passes the same check",
    Code.TOLD_UNKNOWN: "unproven: {text}, but no made-up one could be shown to it",
    Code.ENDS_THERE: "it ends there at {at}",
    Code.TESTS_PASSED: "passed: {names}",
    Code.NO_TEST_PASSED: "passed: none",
    Code.NO_NODE_USES_IT: "passed: no node uses it",
    Code.NO_WORKFLOW_USES_IT: "passed: no workflow uses it",
    Code.TESTS_UNPROVEN: "unproven, since no made-up value was refused: {names}",
    Code.NOT_TESTED_ALONE: "not tried alone: {names}",
    Code.NODE_NOT_TRIED: "{workflow}/{node} ({why})",
    Code.NODE_ELSEWHERE: "it runs elsewhere, and {text}",
    Code.RUN_ELSEWHERE: "run elsewhere: {names}",
    Code.WAITS_FOR: "waits for {why}",
    Code.WAITS_FOR_NOTHING: "nothing to wait for",
    Code.ANOTHER_IS_MADE: "another one is made",
    Code.NOTHING_OUTSIDE: "nothing of it is outside",
    Code.CONSUMERS_RETURNED: "everybody is on the value that stays",
    Code.GIVEN_IS_USED: "version {version}, which a person gave, is in use by now",
    Code.WORKS_UNTIL_UNNEEDED: "version {version} works on until nobody needs it",
    Code.GIVEN_BY_HAND: "version {version} was given by hand",
    Code.DECIDED_BY: lambda given: "by {by}: {text}" if "text" in given else "by {by}",
    # Why a step must not be done, or has failed by what we know ourselves
    Code.UNREAD_ROTATION: f"no active workflow here uses {{item}}, so {UNREAD}: apply one that does, or say "
    f"that nothing here needs to read it ({{command}}); if somebody else knows the value, add --compromised",
    Code.NAMES_NO_VALUE: "its settings name what has no value: {names}",
    Code.BAD_SETTINGS: "{text}",
    Code.CUT_OFF: "its step was cut off {times} times: see the worker's log",
    Code.CHANGED_SINCE_APPROVAL: "its policy or value was changed after it was approved: ask again",
    Code.LEADS_ELSEWHERE: "its policy leads to {now} by now, and it was begun with {before}: put that back "
    "until it is over",
    Code.UNEXPECTED: "unexpected {error} in step {step}",
    Code.TROUBLE: "{text}",
    Code.TAMPERED: "{text}",
    Code.DIFFERS: "{item} differs from its target since the restore, and is neither rotated nor revoked: "
    "{detail}. Mend that, or answer for it by `{command}`",
    Code.NODE_TEST_FAILED: "node {node} of workflow {workflow}: {text}",
    Code.WORKFLOW_TEST_FAILED: lambda given: (
        "workflow {workflow}" + (", node {node}" if "node" in given else "") + ": {text}"
    ),
    Code.RUN_REJECTED: "production run of {workflow}, node {node}: {text} (with version {version})",
    Code.NOT_SHOWN: "the old value is kept, for it waits for {check}; or answer for the new one: `{command}`",
    Code.NEITHER_ACCEPTED: "neither version {new} nor version {old} is accepted now: {text}; give a value that "
    "works (`{command}`)",
    Code.NO_LONGER_ACCEPTED: "version {new} is accepted no longer: {text}",
    Code.OLD_LAPSED: "the old value has lapsed: going back would help nobody",
    Code.NOT_TOLD_APART: "version {version}, which was in use, cannot be told among what bears its label "
    "({listed}): look there for {label}, and revoke what is not version {version}",
}

_SHOWN_BY: Final = {
    ShownBy.VERIFICATION: "verification",
    ShownBy.NODE_TEST: "node test of {}",
    ShownBy.HERE_ALONE: "nobody else is to accept it",
    ShownBy.DIGEST: "it is kept as a digest",
}


def say_shown_by(stored: str | None) -> str | None:
    """Which check has accepted the new value; what was stored in words before stands as it is."""
    code, _, where = (stored or "").partition(" ")
    return _SHOWN_BY[ShownBy(code)].format(where) if code in list(ShownBy) else stored
