"""The one tree of errors. None of them ever holds a value.

Each error says in one line what was wrong, with what, and what to do. `exit_status` is the command
line's answer (1 something failed, 2 wrong use or configuration, 3 refused), and `can_retry` says
whether the same call may succeed later without anybody changing anything.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class Cause(StrEnum):
    """Why a call to the outside failed. Only `REJECTED` judges a credential."""

    REJECTED = "rejected"
    """The other side refused the credential (401, 403, 535, a refused key)."""
    OUTAGE = "outage"
    """The other side was away (timeout, 5xx, connection refused): it says nothing of the credential."""
    MISTAKE = "mistake"
    """Our own template, setting or definition is wrong: a person must mend it."""


class NightkeyError(Exception):
    """The root: everything that Nightkey raises on purpose."""

    exit_status: ClassVar[int] = 1
    can_retry: bool = False


class InvalidInputError(NightkeyError):
    """What was asked for cannot be meant: a limit, a format, a contradiction."""

    exit_status = 2


class ConfigurationError(NightkeyError):
    """A setting, the data folder or the keyring is missing, malformed or unsafe."""

    exit_status = 2


class NotFoundError(NightkeyError):
    """No item, owner, workflow, rotation … of that name or id."""

    exit_status = 2


class RefusedError(NightkeyError):
    """Understood, and not done, because it would hurt: names what stands in the way."""

    exit_status = 3


class ConflictError(RefusedError):
    """Somebody else changed the row first: look again, then decide."""

    can_retry = True


class AuditError(NightkeyError):
    """Nothing can be recorded, so nothing may be changed."""

    def __init__(self) -> None:
        super().__init__(
            "the audit log has lost its head, and without a record nothing is changed: "
            "restore the database from its backup"
        )


class SealError(NightkeyError):
    """A stored record does not open. One message for every reason, so that it tells an attacker nothing."""

    MESSAGE: ClassVar[str] = (
        "a stored record does not open: it was changed, moved, or sealed with another key; "
        "restore the row and the keyring that belong together"
    )

    def __init__(self, where: str = "") -> None:
        super().__init__(f"{where}: {self.MESSAGE}" if where else self.MESSAGE)


class CounterpartError(NightkeyError):
    """A call to the outside failed. `cause` decides what follows; the message names no value.

    Only an outage may pass by itself: a rejection and a mistake stay what they are. `acted` is false where
    it is certain that the other side did nothing of what it was asked. `retry_at` is when trying again can
    help at the earliest, where the other side said so.
    """

    def __init__(
        self, message: str, *, cause: Cause, acted: bool = True, retry_at: datetime | None = None
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.acted = acted
        self.retry_at = retry_at
        self.can_retry = cause is Cause.OUTAGE
