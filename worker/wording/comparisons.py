"""What a target said of an item after a restore."""

from typing import Final

from worker.domain.reasons import Code
from worker.wording.parts import Given, Sentences


def _name_version(given: Given) -> str:
    return "version {version}" if "version" in given else "no version"


def _say_unknown(given: Given) -> str:
    return "; unknown here, and there: {unknown}" if given.get("unknown") else ""


COMPARISONS: Final[Sentences] = {
    # What a target said of an item after a restore
    Code.NOT_ASKED_YET: "",
    Code.ACCEPTED: lambda given: f"{_name_version(given)} is accepted{_say_unknown(given)}",
    Code.ACCEPTED_UNLISTED: lambda given: (
        f"{_name_version(given)} is accepted, and what else was made there since the copy cannot be listed: "
        f"look there for labels that begin with nightkey-, and revoke what is not in use"
    ),
    Code.ACCEPTED_ROTATING: "version {version} is accepted, as its rotation knows",
    Code.REFUSED_HERE: lambda given: (
        f"{_name_version(given)}, the current one here, is refused, and version {{accepted}} ({{stage}}) is "
        f"accepted{_say_unknown(given)}"
    ),
    Code.ALL_REFUSED: lambda given: (
        f"{_name_version(given)}, the current one here, is refused, and so is every other value of it here: "
        f"it was replaced after the copy{_say_unknown(given)}"
    ),
    Code.KEY_UNDER_WAY: "a new key was being handed out when the copy was made, and whether it is in use by "
    "now is not known here",
    Code.KEYS_UNKNOWN: "a key that was handed out since the copy was made is unknown here and opens nothing: "
    "rotate it, if one was",
    Code.NO_ROTATOR: "no rotator can ask which value is in use: if its owner has replaced it since the copy "
    "was made, give the newer one",
    Code.WORKS_HERE: "its value works here alone",
    Code.ASKING_FAILED: "unexpected {error} while asking",
    Code.DIFFERS_THERE: "{item}: {detail}",
}
