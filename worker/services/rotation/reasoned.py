"""A failure of a step that we know ourselves, by its code."""

from datetime import datetime

from vaultcore.errors import Cause, TamperedError, TargetError, TroubleError
from worker.domain.reasons import Code, Reason
from worker.wording.reasons import say


class ReasonedError(TargetError):
    """As any failure of a step; what is told of it stands in `why`, and its message is that in words."""

    def __init__(self, why: Reason, *, cause: Cause, retry_at: datetime | None = None) -> None:
        super().__init__(say(why), cause=cause, retry_at=retry_at)
        self.why = why


def explain(error: Exception) -> Reason:
    """What is told of an error of ours. What a rotator or another system said stays in its own words."""
    if isinstance(error, ReasonedError):
        return error.why
    if isinstance(error, TamperedError):
        return Reason.of(Code.TAMPERED, text=str(error))
    if isinstance(error, TroubleError):
        return Reason.of(Code.TROUBLE, text=str(error))
    return Reason.failed(str(error))
