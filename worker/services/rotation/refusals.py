"""Whether the other side refuses a value that it had accepted: one refusal may be a mistake of theirs."""

from typing import Final

from vaultcore.errors import Cause, TargetError
from vaultcore.secret import Secret
from worker.rotators.base import Job, Rotator

_BELIEVED: Final = 2
"""So many refusals in a row."""


def find_refusal(rotator: Rotator, job: Job, value: Secret) -> TargetError | None:
    """What it says when it refuses it often enough to be believed; None: it accepts it. Other failures are
    raised.
    """
    refusal: TargetError | None = None
    for _ in range(_BELIEVED):
        try:
            rotator.verify(job, value)
        except TargetError as error:
            if error.cause is not Cause.REJECTED:
                raise
            refusal = error
        else:
            return None
    return refusal
