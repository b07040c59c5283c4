"""How an item stands that somebody who leaves could read."""

from typing import Final

from worker.domain.consumption import NO_WAY_OUT
from worker.domain.reasons import Code
from worker.wording.parts import Sentences

DEPARTURES: Final[Sentences] = {
    Code.FREEZE: "nothing is to change for {item} until {until} (freeze): wait for that, or add --in-freeze",
    Code.LEFT_AWAITS_VALUE: "it waits for its value: what they know of it is elsewhere, and replaced there",
    Code.LEFT_REPLACED: lambda given: (
        "by version {version}" + (f"; {NO_WAY_OUT}" if given.get("unread") else "")
    ),
    Code.LEFT_OVERLAPS: lambda given: (
        "version {version} is current, waits for " + ("{waits}" if "waits" in given else "its overlap")
    ),
    Code.LEFT_FIRST_VALUE: "its first value may be the one that they knew, so replace it: {command}",
    Code.LEFT_TO_OWNER: "only its owner can replace it",
    Code.LEFT_FAILED: "{why} ({rotation})",
    Code.LEFT_TO_DO: "still to be replaced",
    Code.LEFT_UNDER_WAY: "{rotation} is {state}",
    Code.LEFT_WAITS: lambda given: "{rotation} is {state}: " + ("{waits}" if "waits" in given else "a person"),
}
