"""What the machine or the database did not give, in one line each: what, where, and what to do.

The one table from codes to sentences. Drivers' and the system's own texts stay out of it: they may quote a
statement, a value, or the password in an address.
"""

import errno
import os
import re
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from vaultcore.errors import Trouble, TroubleError

if TYPE_CHECKING:  # a command that touches no database must not wait for it
    from sqlalchemy.exc import DBAPIError

DATABASE_URL: Final = "database_url"

_SENTENCES: Final[Mapping[Trouble, str]] = {
    Trouble.DISK_FULL: "no space is left for {where}: free some on its disk, then repeat it",
    Trouble.DISK_LIMIT: "{where} may not grow: a quota, or this process's limit (ulimit -f), is reached",
    Trouble.DISK_FAILS: "the disk of {where} does not read or write: see the system's log, and ulimit -f",
    Trouble.READ_ONLY: (
        "{where} cannot be written: its disk or file is read-only, or this user may not write there: "
        "look at its owner, its mode and its mount"
    ),
    Trouble.DENIED: "this user may not use {where}: look at its owner and mode, or run as who it belongs to",
    Trouble.MISSING: "there is no {where}: name another, or make it",
    Trouble.WRONG_KIND: "{where} is a folder where a file is meant, or the other way round: name another",
    Trouble.NAME_TOO_LONG: "{where} is longer than a name of a file may be: choose a shorter one",
    Trouble.MEMORY: "there is not enough memory for {where}: allow this process more (ulimit -v)",
    Trouble.FILES: "too many files are open to reach {where}: raise the limit (ulimit -n)",
    Trouble.PROCESSES: "no thread or process can be started for {where}: raise the limit (ulimit -u)",
    Trouble.HOST: "the name of {where} cannot be resolved: look at its spelling, and at this machine's DNS",
    Trouble.CANNOT_OPEN: (
        "{where} cannot be reached: is its folder there, may this user read and write in it, and is it a file?"
    ),
    Trouble.LOCKED: "{where} is locked by another process: see what holds it, then repeat it",
    Trouble.AWAY: "{where} cannot be reached, or broke off: see that it runs, and that {setting} is right",
    Trouble.STARTING: "{where} is starting or stopping: wait until it runs, then repeat it",
    Trouble.CROWDED: "{where} takes no more connections: raise its limit, or end what holds them",
    Trouble.LOGIN: "{where} refuses the login: look at user and password in {setting}, and at pg_hba.conf",
    Trouble.NO_DATABASE: "{where} is not there: make it (createdb), or name the right one in {setting}",
    Trouble.NOT_ALLOWED: "{where} does not allow this user what it needs: grant its role rights on all tables",
    Trouble.DAMAGED: "{where} is none, or is damaged: restore it from its backup",
    Trouble.SCHEMA: "{where} lacks a table or column of this release: if it was changed by hand, restore it",
    Trouble.NOT_STORABLE: "{where} cannot hold a character of what it was given (NUL, or half a character)",
    Trouble.STATEMENT: "{where} refused what it was asked",
}

_ERRNO: Final[Mapping[int, Trouble]] = {
    errno.ENOSPC: Trouble.DISK_FULL,
    errno.EDQUOT: Trouble.DISK_LIMIT,
    errno.EFBIG: Trouble.DISK_LIMIT,
    errno.EIO: Trouble.DISK_FAILS,
    errno.EROFS: Trouble.READ_ONLY,
    errno.EACCES: Trouble.DENIED,
    errno.EPERM: Trouble.DENIED,
    errno.ENOENT: Trouble.MISSING,
    errno.ENOTDIR: Trouble.WRONG_KIND,
    errno.EISDIR: Trouble.WRONG_KIND,
    errno.ELOOP: Trouble.WRONG_KIND,
    errno.ENXIO: Trouble.WRONG_KIND,
    errno.ENAMETOOLONG: Trouble.NAME_TOO_LONG,
    errno.ENOMEM: Trouble.MEMORY,
    errno.EMFILE: Trouble.FILES,
    errno.ENFILE: Trouble.FILES,
    errno.EAGAIN: Trouble.PROCESSES,
}

_OF_THE_PROCESS: Final = frozenset({Trouble.MEMORY, Trouble.PROCESSES})
"""What the process itself lacks, whichever file it was just reading."""

_SQLITE: Final[Mapping[str, Trouble]] = {
    "SQLITE_FULL": Trouble.DISK_FULL,
    "SQLITE_IOERR_SHMSIZE": Trouble.DISK_FULL,
    "SQLITE_IOERR_NOMEM": Trouble.MEMORY,
    "SQLITE_IOERR": Trouble.DISK_FAILS,
    "SQLITE_READONLY": Trouble.READ_ONLY,
    "SQLITE_PERM": Trouble.DENIED,
    "SQLITE_AUTH": Trouble.DENIED,
    "SQLITE_CANTOPEN": Trouble.CANNOT_OPEN,
    "SQLITE_BUSY": Trouble.LOCKED,
    "SQLITE_LOCKED": Trouble.LOCKED,
    "SQLITE_PROTOCOL": Trouble.LOCKED,
    "SQLITE_CORRUPT": Trouble.DAMAGED,
    "SQLITE_NOTADB": Trouble.DAMAGED,
    "SQLITE_NOMEM": Trouble.MEMORY,
}

_SQLSTATE: Final = (
    ("57P03", Trouble.STARTING),
    ("57P", Trouble.AWAY),
    ("57014", Trouble.LOCKED),
    ("55P03", Trouble.LOCKED),
    ("40", Trouble.LOCKED),
    ("08", Trouble.AWAY),
    ("25P03", Trouble.AWAY),
    ("25006", Trouble.READ_ONLY),
    ("53100", Trouble.DISK_FULL),
    ("53200", Trouble.MEMORY),
    ("53300", Trouble.CROWDED),
    ("53", Trouble.CROWDED),
    ("58", Trouble.DISK_FAILS),
    ("XX001", Trouble.DAMAGED),
    ("XX002", Trouble.DAMAGED),
    ("28", Trouble.LOGIN),
    ("3D000", Trouble.NO_DATABASE),
    ("42501", Trouble.NOT_ALLOWED),
    ("42P01", Trouble.SCHEMA),
    ("42703", Trouble.SCHEMA),
    ("22021", Trouble.NOT_STORABLE),
    ("22P05", Trouble.NOT_STORABLE),
)
"""By the longest beginning that fits comes first; class 57P is a server that goes away."""

_REFUSALS: Final = (
    (r"starting up|shutting down|in recovery mode|not yet accepting", Trouble.STARTING),
    (r"password authentication failed|no password supplied|pg_hba\.conf|authentication failed", Trouble.LOGIN),
    (r"role \S+ does not exist|not permitted to log in", Trouble.LOGIN),
    (r"database \S+ does not exist", Trouble.NO_DATABASE),
    (r"too many (clients|connections)|remaining connection slots", Trouble.CROWDED),
    (r"resolve host|translate host name|Name or service not known|name resolution", Trouble.HOST),
    (r"NUL \(0x00\)", Trouble.NOT_STORABLE),
)
"""What PostgreSQL says where it gives no code, since nobody is logged in yet; else the server is away."""


def say(trouble: Trouble, where: str, *, setting: str = DATABASE_URL) -> str:
    """`setting`: what names the place."""
    return _SENTENCES[trouble].format(where=where, setting=setting)


def explain(error: BaseException, *, where: str = "") -> TroubleError | None:
    """What failed in this process, if it is what this machine did not give; None: something else did.

    `where` is what it was done for, where the error itself names no file.
    """
    if isinstance(error, TroubleError):
        return error
    if isinstance(error, MemoryError):
        return TroubleError(Trouble.MEMORY, say(Trouble.MEMORY, where or "this command"))
    if isinstance(error, socket.gaierror):
        return TroubleError(Trouble.HOST, say(Trouble.HOST, where or "a host"))
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return TroubleError(Trouble.PROCESSES, say(Trouble.PROCESSES, where or "this command"))
    if isinstance(error, OSError) and error.errno is not None and error.errno in _ERRNO:
        trouble = _ERRNO[error.errno]
        if trouble in _OF_THE_PROCESS:  # the file may be one of its own modules
            return TroubleError(trouble, say(trouble, where or "this command"))
        return TroubleError(trouble, say(trouble, _name_file(error) or where or "what this command uses"))
    return None


def explain_database(
    error: "DBAPIError", *, where: str, file: str | None = None, setting: str = DATABASE_URL
) -> TroubleError:
    """What the database did not do. `where` names it without user and password; `file` is SQLite's; `setting`
    is what its address was given by.
    """
    trouble, code = _judge(error)
    if trouble is Trouble.CANNOT_OPEN and file is not None:
        trouble = _try_to_open(file)
    told = say(trouble, where, setting=setting)
    shown = f" ({code})" if code and trouble in (Trouble.STATEMENT, Trouble.SCHEMA, Trouble.DISK_FAILS) else ""
    return TroubleError(trouble, told + shown)


def _judge(error: "DBAPIError") -> tuple[Trouble, str]:
    """The trouble, and the driver's code of it."""
    name = getattr(error.orig, "sqlite_errorname", None)
    if isinstance(name, str):
        kind = "_".join(name.split("_")[:2])
        found = _SQLITE.get(name) or _SQLITE.get(kind)
        return found or _of_sqlite_text(str(error.orig)), name
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(state, str):
        found = next((trouble for start, trouble in _SQLSTATE if state.startswith(start)), Trouble.STATEMENT)
        return found, state
    text = str(error.orig)
    for pattern, trouble in _REFUSALS:
        if re.search(pattern, text):
            return trouble, ""
    away = error.connection_invalidated or type(error.orig).__name__ in ("OperationalError", "InterfaceError")
    return (Trouble.AWAY, "") if away else (Trouble.STATEMENT, type(error.orig).__name__)


def _try_to_open(file: str) -> Trouble:
    """Why it cannot be opened, which SQLite does not say."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_NONBLOCK))
    except OSError as error:
        trouble = _ERRNO.get(error.errno or 0)
        return trouble if trouble in (Trouble.FILES, Trouble.DENIED, Trouble.READ_ONLY) else Trouble.CANNOT_OPEN
    return Trouble.CANNOT_OPEN


def _of_sqlite_text(text: str) -> Trouble:
    return Trouble.SCHEMA if text.startswith("no such ") or "has no column" in text else Trouble.STATEMENT


def _name_file(error: OSError) -> str:
    name = error.filename if error.filename2 is None else error.filename2
    return name if isinstance(name, str) else ""
