"""What is said of an item that is replaced here and that nothing here reads. Pure.

No consumer, no proof: its new value would be known to nobody, and the old one is still in somebody's hands.
"""

from collections.abc import Sequence

from worker.domain.commands import quote_word
from worker.domain.reasons import Code, Reason

UNREAD = "nothing here could read what replaces it"
NO_WAY_OUT = "no workflow uses it: nothing here can hand out the new value"


def explain_unread_plan(name: str) -> str:
    """Why an item is not given a policy by which Nightkey would replace it."""
    return (
        f"no active workflow here uses {name}, so {UNREAD}: apply one that does first (it may name an item "
        "that is still to come), or add --consumers none if nothing here needs to read it, or --mode notify"
    )


def unread_rotation(name: str) -> Reason:
    """Why its rotation does not begin."""
    command = f"nightkey item update {quote_word(name)} --consumers none"
    return Reason.of(Code.UNREAD_ROTATION, item=name, command=command)


def advise_unread(name: str) -> str:
    """The command that is never wrong: its owner replaces what only they can read."""
    return f"nightkey item update {quote_word(name)} --mode notify"


def explain_elsewhere(workflows: Sequence[str]) -> str:
    """What it means for an item that these use it."""
    run = "runs" if len(workflows) == 1 else "run"
    return (
        f"{', '.join(workflows)} {run} elsewhere: Nightkey gives no value to another engine, so its rotator "
        "or a person must. A new value is proven there by reported runs that name it (nightkey run report NAME "
        "--status completed --started-at TIME --used ITEM=VERSION), and the old one is kept until then"
    )
