"""The one tree of errors. None of them ever holds a value.

Each error says in one line what was wrong, with what, and what to do. `exit_status` is the command
line's answer (1 something failed, 2 wrong use or configuration, 3 refused), and `can_retry` says
whether the same call may succeed later without anybody changing anything.
"""

import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NoReturn, TypeVar


class Cause(StrEnum):
    """Why a call to the outside failed. Only `REJECTED` judges a credential."""

    REJECTED = "rejected"
    """The other side refused the credential (401, 403, 535, a refused key)."""
    OUTAGE = "outage"
    """The other side was away (timeout, 5xx, connection refused): it says nothing of the credential."""
    MISTAKE = "mistake"
    """Our own template, setting or definition is wrong: a person must mend it."""


T = TypeVar("T")


class NightkeyError(Exception):
    """The root: everything that Nightkey raises on purpose."""

    exit_status: int = 1
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


class AmbiguousError(InvalidInputError):
    """The beginning of several ids was given in the place of one."""

    def __init__(self, given: str, candidates: Sequence[str], *, more: bool) -> None:
        others = " and others" if more else ""
        super().__init__(f"{given} is the beginning of {', '.join(candidates)}{others}: write more of the one")
        self.candidates = tuple(candidates)


class RefusedError(NightkeyError):
    """Understood, and not done, because it would hurt: names what stands in the way."""

    exit_status = 3


class NoKeyError(RefusedError):
    """It would seal or open a value, and the keyring here can do neither."""

    def __init__(self) -> None:
        super().__init__(
            "this needs a key-encryption key, and the keyring here has none: do it where the whole keyring is"
        )


class NotAllowedError(RefusedError):
    """Who asks has no permission for it. `action` is what was asked, `roles` are those that have it. `why`:
    what that means, where it is not plain.
    """

    def __init__(self, action: str, roles: Sequence[str], *, why: str = "") -> None:
        who = (
            f"it takes the role {' or '.join(roles)}, which an admin gives"
            if roles
            else "only who answers for the item may, with the role owner"
        )
        meant = f"{why}; " if why else ""
        super().__init__(f"you may not do this ({action}): {meant}{who}")
        self.action = action
        self.roles = tuple(roles)


class ConflictError(RefusedError):
    """Somebody else changed the row first: look again, then decide."""

    can_retry = True


class ChangedError(ConflictError):
    """It is not as whoever changes it has seen it: somebody, or a rotation, was faster."""

    can_retry = False


class LockedError(ConflictError):
    """The database was held by another process for as long as anybody waits for it."""

    exit_status = 1


class GaveWayError(ConflictError):
    """A part of a transaction that several share is undone: it did not wait for what others hold, or the whole
    was lost to them. It may be repeated in a transaction of its own.
    """


class Trouble(StrEnum):
    """What this machine, or the database, did not give. `vaultcore.troubles` has a sentence for each."""

    DISK_FULL = "disk-full"
    DISK_LIMIT = "disk-limit"
    DISK_FAILS = "disk-fails"
    READ_ONLY = "read-only"
    DENIED = "denied"
    MISSING = "missing"
    WRONG_KIND = "wrong-kind"
    NAME_TOO_LONG = "name-too-long"
    MEMORY = "memory"
    FILES = "files"
    PROCESSES = "processes"
    HOST = "host"
    CANNOT_OPEN = "cannot-open"
    LOCKED = "locked"
    AWAY = "away"
    STARTING = "starting"
    CROWDED = "crowded"
    LOGIN = "login"
    NO_DATABASE = "no-database"
    NOT_ALLOWED = "not-allowed"
    DAMAGED = "damaged"
    SCHEMA = "schema"
    NOT_STORABLE = "not-storable"
    STATEMENT = "statement"


_TEXT_MAX = 250
_PASSES = frozenset(
    {
        Trouble.DISK_FULL,
        Trouble.DISK_LIMIT,
        Trouble.MEMORY,
        Trouble.FILES,
        Trouble.PROCESSES,
        Trouble.HOST,
        Trouble.LOCKED,
        Trouble.AWAY,
        Trouble.STARTING,
        Trouble.CROWDED,
    }
)
"""What may be over by itself: the same call is worth another try."""

_OUR_SIDE = frozenset(
    {
        Trouble.DENIED,
        Trouble.MISSING,
        Trouble.WRONG_KIND,
        Trouble.NAME_TOO_LONG,
        Trouble.CANNOT_OPEN,
        Trouble.LOGIN,
        Trouble.NO_DATABASE,
        Trouble.NOT_ALLOWED,
        Trouble.DAMAGED,
        Trouble.SCHEMA,
        Trouble.NOT_STORABLE,
    }
)
"""Wrong use or configuration: it stays as it is until a person changes something."""


class TroubleError(NightkeyError):
    """The machine or the database did not give what was needed: it says nothing of a credential.

    The message is of `vaultcore.troubles`: neither a statement nor anything that it was given.
    """

    def __init__(self, trouble: Trouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.can_retry = trouble in _PASSES
        self.exit_status = 2 if trouble in _OUR_SIDE else 1


class AuditError(NightkeyError):
    """Nothing can be recorded, so nothing may be changed."""

    def __init__(self) -> None:
        super().__init__(
            "the audit log has lost its head, or its head does not belong to it (nightkey audit verify), and "
            "without a record nothing is changed: restore the database from its backup"
        )


def _one_line(text: str) -> str:
    """What somebody may have written to a row adds no line to a message, and does not fill it."""
    return " ".join(text[:_TEXT_MAX].split())


class UnreadableError(NightkeyError):
    """A stored row has a value that none of us wrote: `problem` says in which fields, or of which kind."""

    def __init__(self, what: str, problem: str) -> None:
        super().__init__(
            f"the stored row of {_one_line(what)} cannot be read ({problem}): restore it from a backup"
        )
        self.problem = problem


class TamperedError(UnreadableError):
    """A stored row that decides is not as any of us wrote it, and nothing is done by it. `key`: of the row."""

    exit_status = 3

    def __init__(self, what: str, *, table: str, key: str) -> None:
        super().__init__(what, "changed behind the vault's back")
        self.table = table
        self.key = key
        said, shown = _one_line(what), _one_line(key)
        named = said if shown in said else f"{said} ({shown})"
        word = shlex.quote(key) if key.isprintable() else "KEY"
        message = (
            f"{named} was changed behind the vault's back, and nothing is done by it: restore it from a "
            "backup, or look at what it says now and answer for it "
            f"(nightkey audit accept-row {table} {word})"
        )
        self.args = (message,)


class SealError(NightkeyError):
    """A stored record does not open. One message for every reason, so that it tells an attacker nothing."""

    MESSAGE = (
        "a stored record does not open: it was changed, moved, or sealed with another key; "
        "restore the row and the keyring that belong together"
    )

    def __init__(self, where: str = "") -> None:
        super().__init__(f"{where}: {self.MESSAGE}" if where else self.MESSAGE)


class TargetError(NightkeyError):
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


def raise_alone(error: BaseException) -> NoReturn:
    """Raises it with nothing hanging on it, wherever this is called.

    In a generator that is a context manager, what the block of the caller raised would become its context,
    also after the `except` was left.
    """
    try:
        raise error
    finally:
        error.__context__ = None


def sort_out(found: Iterable[T | NightkeyError]) -> tuple[list[T], list[NightkeyError]]:
    """What a list has to show, and the errors that stand in it for what cannot be read."""
    read: list[T] = []
    errors: list[NightkeyError] = []
    for one in found:
        if isinstance(one, NightkeyError):
            errors.append(one)
        else:
            read.append(one)
    return read, errors
