"""Whether what stands in a place of ours was put there by us: its owner, its mode, its kind.

Ours is what this process's user or root owns, and nobody else may write. What lies below a folder that lets
only its owner in is reached by nobody else, whatever its own mode says (a umask of 002 lets the group write).
Where a mount is given a group that may write (Kubernetes' `fsGroup`), the environment may name it as trusted; a
file cannot say that of itself.
"""

import os
import shlex
import stat
from pathlib import Path
from typing import Final

from vaultcore.errors import ConfigurationError

GROUP_VARIABLE: Final = "NIGHTKEY_TRUSTED_GROUP"


def check_folder(path: Path, what: str, *, link: bool = True) -> None:
    """`ConfigurationError` says what is wrong, and the command that mends it. One that is not there is right.

    `link`: a link of ours may lead to it.
    """
    _check(path, what, is_folder=True, link=link)


def check_file(path: Path, what: str) -> None:
    """The same for a file; a link of ours may lead to it."""
    _check(path, what, is_folder=False, link=True)


def open_file(path: Path, what: str) -> int | None:
    """The file, open to be read, and checked once it is open; None: there is none. A pipe is not waited for."""
    _check(path, what, is_folder=False, link=True)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    problem = _find_problem(os.fstat(descriptor), path, is_folder=False)
    if problem is None:
        return descriptor
    os.close(descriptor)
    raise ConfigurationError(f"{what} {path}: it {problem}")


def is_ours_alone(found: os.stat_result) -> bool:
    """Whether nobody but us may write what this was told of."""
    return _is_ours(found) and not _may_be_written(found)


def is_readable_by_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


# Inside


def _check(path: Path, what: str, *, is_folder: bool, link: bool) -> None:
    try:
        found = path.lstat()
        problem = None
        if stat.S_ISLNK(found.st_mode):
            problem = _find_problem_of_link(found, path, link=link)
            if problem is None:
                found = path.stat()
    except OSError:  # nothing is there, or nothing that can be opened: who opens it says so
        return
    problem = problem or _find_problem(found, path, is_folder=is_folder)
    if problem is not None:
        raise ConfigurationError(f"{what} {path}: it {problem}")


def _find_problem_of_link(found: os.stat_result, path: Path, *, link: bool) -> str | None:
    if not link:
        return f"is a link: put what it leads to in its place, or take it away: rm {shlex.quote(str(path))}"
    if _is_ours(found):
        return None
    return f"is a link of user {found.st_uid}, who may lead it anywhere: rm {shlex.quote(str(path))}"


def _find_problem(found: os.stat_result, path: Path, *, is_folder: bool) -> str | None:
    quoted = shlex.quote(str(path))
    if not (stat.S_ISDIR(found.st_mode) if is_folder else stat.S_ISREG(found.st_mode)):
        return f"is not a {'folder' if is_folder else 'file'}: move it away, or name another"
    if not _is_ours(found):
        return (
            f"belongs to user {found.st_uid}, and this process runs as {os.geteuid()}: look at what is in it, "
            f"then run as that user, or chown {os.geteuid()} {quoted}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if _may_be_written(found) and not _is_out_of_reach(found, path):
        mend = f"look at what is in it, then chmod go-w {quoted}"
        if mode & stat.S_ISVTX:  # everybody's, as /tmp is
            mend = "name a folder of its own within it"
        return f"has mode {mode:04o}, so others may change it: {mend}"
    return None


def _is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (os.geteuid(), 0)


def _may_be_written(found: os.stat_result) -> bool:
    """By others than its owner and a group that is trusted."""
    by_group = bool(found.st_mode & stat.S_IWGRP) and found.st_gid != _read_group()
    return by_group or bool(found.st_mode & stat.S_IWOTH)


def _is_out_of_reach(found: os.stat_result, path: Path) -> bool:
    """Whether a folder on the way lets nobody in but us. A file with another name may be reached by that."""
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        return False
    try:
        return any(_lets_nobody_in(folder.lstat()) for folder in path.resolve(strict=True).parents)
    except OSError:
        return False


def _lets_nobody_in(folder: os.stat_result) -> bool:
    """Where access lists are in use, the group's bits are the most that any of them gives."""
    return _is_ours(folder) and not folder.st_mode & (stat.S_IXGRP | stat.S_IXOTH)


def _read_group() -> int | None:
    given = os.environ.get(GROUP_VARIABLE)
    if not given:
        return None
    if given.isascii() and given.isdecimal() and len(given) < 11 and int(given) > 0:
        return int(given)
    raise ConfigurationError(
        f"the variable {GROUP_VARIABLE} is not the number of a group: write that of the mount's group, such "
        f"as 2000"
    )
