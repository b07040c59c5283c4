"""The keyring's file: one owner, one mode, never replaced, and on the disk before anybody relies on it.

Its folder is opened and checked first, and the file is reached through that handle, so that nothing
can be exchanged between a check and its use.
"""

import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vaultcore.errors import ConfigurationError

_FILE_MAX: Final = 1_048_576


@contextmanager
def open_folder(path: Path) -> Iterator[int]:
    """The folder of the keyring, if it is its owner's alone. A link of ours, or of root, may lead to it."""
    _check_link(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _check_owner(os.fstat(folder), f"the folder of keyring {path},", path.parent)
        mode = stat.S_IMODE(os.fstat(folder).st_mode)
        if mode & 0o077:
            raise ConfigurationError(
                f"the folder of keyring {path} has mode {mode:04o}, and must be its owner's alone: "
                f"chmod 700 {shlex.quote(str(path.parent))}"
            )
        yield folder
    finally:
        os.close(folder)


def make_folder(folder: Path) -> None:
    if folder.exists():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    above = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(above)
    finally:
        os.close(above)


def read_file(folder: int, path: Path) -> bytes:
    """The file's bytes, once owner, mode, kind and size are found right."""
    # Without NONBLOCK, a pipe put in the file's place would hold the start up for ever.
    file = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _FILE_MAX:
            raise ConfigurationError(
                f"keyring {path} is no ordinary file of {_FILE_MAX:,} bytes at most: name the right path"
            )
        _check_owner(found, f"keyring {path}", path)
        mode = stat.S_IMODE(found.st_mode)
        if mode & ~0o600:
            raise ConfigurationError(
                f"keyring {path} has mode {mode:04o}, and must be its owner's alone: "
                f"chmod 600 {shlex.quote(str(path))}"
            )
        with os.fdopen(file, "rb", closefd=False) as stream:
            return stream.read()
    finally:
        os.close(file)


def _check_link(path: Path) -> None:
    found = path.parent.lstat()
    if stat.S_ISLNK(found.st_mode) and found.st_uid not in (os.geteuid(), 0):
        raise ConfigurationError(
            f"the folder of keyring {path} is a link of user {found.st_uid}, who may lead it anywhere: "
            f"rm {shlex.quote(str(path.parent))}, and put the folder itself in its place"
        )


def _check_owner(found: os.stat_result, what: str, path: Path) -> None:
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{what} belongs to user {found.st_uid}, and this process runs as {os.geteuid()}: "
            f"run it as that user, or chown {os.geteuid()} {shlex.quote(str(path))}"
        )


def write_new(folder: int, name: str, content: bytes) -> bool:
    """The file is there whole, on the disk, or not at all. False: something was there before."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(temporary, flags, 0o600, dir_fd=folder), "wb") as file:
        try:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask took away
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # A rename would replace what is there; a link refuses.
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary, dir_fd=folder)
    os.fsync(folder)
    return True
