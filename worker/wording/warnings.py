"""What is taken of an item as it is, and may not be meant."""

from typing import Any


def word_warnings(name: str, warnings: Any) -> list[str]:  # noqa: ANN401  # of `worker.services`, which lies above
    """A sentence for each, of the item of that name."""
    said = []
    if warnings.canary is not None:
        wanted, users = warnings.canary
        said.append(
            f"{name} is not used by {wanted!r} (yet): until it is, the workflow that runs soonest goes first; "
            f"it is used by {', '.join(users) or 'none'}"
        )
    said += [f"the settings of {name} name {one}, which does not exist (yet)" for one in warnings.missing]
    if warnings.first is not None:
        said.append(f"the first rotation of {name} would be stuck before its end: {warnings.first}")
    if warnings.shorter is not None:
        said.append(word_short(warnings.shorter))
    return said


def word_short(shorter: int) -> str:
    return (
        f"a value of fewer than {shorter} characters cannot be masked by itself: every text of a "
        "run that holds it is shown as [masked] whole; choose a longer one, if you can"
    )
