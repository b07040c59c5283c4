"""What a rotation waits for, and how its consumers stand."""

from collections.abc import Callable
from typing import Final

from worker.domain.reasons import Code
from worker.wording.parts import Given, Sentences


def _name_time(given: Given) -> str:
    return "the overlap" if given.get("beside", True) else "the time for first runs"


def _say_first_run(awaited: str) -> Callable[[Given], str]:
    def write(given: Given) -> str:
        failed = " (its last one failed: {failed})" if "failed" in given else ""
        return awaited + failed + ("{but}" if "but" in given else "")

    return write


def _say_first_call(given: Given) -> str:
    by = " by {by}" if "by" in given else ""
    collected = f", which was collected{by} on {{collected_at:d}}" if "collected_at" in given else ""
    late = "; it did not come during the overlap" if given.get("late") else ""
    return f"the first call with the new key{collected}{late}"


def _say_old_key(given: Given) -> str:
    late = ", after the overlap" if given.get("late") else ""
    return f"callers who still present the old key, last on {{last_at:d}}{late}"


_MOMENT: Final = "a moment in which changes may be made"

WAITS: Final[Sentences] = {
    # What a rotation waits for
    Code.APPROVAL: "a person's approval",
    Code.FIRST_AT_TARGET: "{item}, the first at its target system in this night",
    Code.MOMENT: lambda given: _MOMENT + (", from {at}" if "at" in given else ""),
    Code.OTHER_SIDE: "the other side to come back: {why}",
    Code.TO_BE_COMPARED: "its target to be compared with, after the restore: {detail}",
    Code.LATE_EFFECT: lambda given: (
        "what may take effect late at the other side" + (", until {until}" if "until" in given else "")
    ),
    Code.OVERLAP: lambda given: f"{_name_time(given)}, until {{until:s}}",
    Code.READER: "a workflow that uses it: nothing here has read the new value",
    Code.RUN_WITH_OLD: "a run of {workflow} that began with the old value",
    Code.RUN_WITH_NEW: "a run of {workflow} that began with the new value",
    Code.COPY_IN_USE: "workflows of {copy}, a copy with the value from before: let them name {item}",
    Code.NOT_COLLECTED_YET: "its owner, who has not collected the new key",
    Code.NOT_ARRIVED_YET: "the new key to arrive at {by}, who began to collect it",
    Code.EDITED_WORKFLOW: "workflow {workflow}, which was changed behind the vault's back: audit verify --rows",
    Code.LOST_USE: "workflow {workflow}, whose use of {item} was changed or taken away behind the vault's "
    "back: apply it again ({command})",
    Code.GOES_FIRST: "{why}, which goes first",
    # How a consumer stands
    Code.ANSWERED_FOR: "{workflow}: somebody answers for it",
    Code.PINNED: "{workflow}, which is pinned to version {version}",
    Code.RAN_WELL: "{workflow} ran well with version {version}",
    Code.RAN_WITH_ANY: "{why}, as it may with any value",
    Code.AFTER_CANARY: "{workflow}, which moves after the canary",
    Code.FIRST_RUN: _say_first_run("the first good production run of {workflow}"),
    Code.FIRST_REPORT: _say_first_run(
        "a report (nightkey run report) of the first good run of {workflow} elsewhere"
    ),
    Code.NOT_ACTIVE: ", which is not active",
    Code.NOT_IN_TIME: lambda given: f", which did not come during {_name_time(given)}",
    Code.NEXT_RUN_LATER: lambda given: f", whose next run ({{at}}) is after {_name_time(given)}",
    Code.NEVER_RAN: ", which has never run",
    Code.NEVER_REPORTED: "; none was ever reported",
    Code.CALLERS_ANSWERED_FOR: "its callers: somebody answers for them",
    Code.FIRST_CALL: _say_first_call,
    Code.CALLERS_MOVED: "its callers present the new key, and no longer the old one",
    Code.OLD_KEY_USED: _say_old_key,
    Code.CHECK: "a check that can fail: nothing has shown that the new value works, since verification and "
    "node tests accept made-up values, too (say there what a good answer holds, by expect)",
    Code.CHECK_ANSWERED_FOR: "a check: somebody answers for it",
}
