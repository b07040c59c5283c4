"""What a night decides for an item, and what Nightkey does about it by itself."""

from typing import Final

from worker.domain.reasons import Code
from worker.wording.parts import UNREAD, Given, Sentences


def _taken(given: Given, where: str = "") -> str:
    return f"{{number}} rotation{where} is" if given.get("number") == 1 else f"{{number}} rotations{where} are"


PLANS: Final[Sentences] = {
    # What a night decides for an item
    Code.DIFFERS_SINCE_RESTORE: lambda given: (
        "it differs from its target since the restore" + (": {command}" if "command" in given else "")
    ),
    Code.UNREAD: f"no active workflow here uses it: {UNREAD}",
    Code.RETRIES_AFTER: "its rotation failed, next try after {at}",
    Code.ROTATES_FROM: "rotates from {at}",
    Code.ASKS_FROM: "asks for approval from {at}",
    Code.NO_MOMENT: "its windows and freezes allow no moment for a rotation",
    Code.OPENS_TOO_LATE: "its window opens too late, {at}: it lapses first",
    Code.OPENS: "its window opens {at}",
    Code.NIGHT_FULL: lambda given: f"tonight's {_taken(given)} taken",
    Code.TARGET_FULL: lambda given: f"tonight's {_taken(given, ' at {target}')} taken",
    Code.ANOTHER_NIGHT: "{why}: another night",
    Code.AWAITS_VALUE: "it waits for its value: {command}",
    Code.OWNER_REPLACES: "only its owner can replace it: {command}",
    Code.IS_STUCK: "rotation {rotation} is stuck and needs a person: {command}",
    Code.AWAITS_APPROVAL: "waits for approval: {command}",
    Code.UNDER_WAY: "rotation {rotation} is {state}",
    # What Nightkey does about it by itself
    Code.DOES_NOTHING: "does nothing: {why}",
    Code.DOES_RETRY: lambda given: (
        "tries to replace it again" + (" after {at}" if "at" in given else "") + ", since the last try failed"
    ),
    Code.DOES_ASK_FROM: "asks for an approval to replace it from {at} on",
    Code.DOES_REPLACE_FROM: "replaces it from {at} on",
    Code.DOES_REPLACE_IN_WINDOW: "replaces it from {at} on, when changes may be made",
    Code.DOES_ASK: "asks for an approval, in a message of its own",
    Code.DOES_REPLACE_AT_OPENING: "replaces it when its window opens {at}",
    Code.DOES_REPLACE_ANOTHER_NIGHT: "replaces it another night: {why}",
    Code.DOES_REPLACE_TONIGHT: "replaces it in this night",
    Code.DOES_AWAIT_VALUE: "waits until it has its value",
    Code.DOES_REPLACE_WHEN_APPROVED: "replaces it as soon as somebody approves that",
    Code.DOES_GO_ON: "is at it: {why}",
    Code.DOES_REPLACE_BEFORE: "replaces it {lead} before it lapses",
    Code.NOTHING_BEFORE_THAT: "does nothing before that",
    Code.STUCK: "its rotation is stuck",
    Code.STAYS: "its value stays as it is",
    Code.NOT_BEFORE_IT_AGREES: "it neither rotates nor revokes it until that agrees",
}
