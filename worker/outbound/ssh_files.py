"""A file on an SSH host, by SFTP: read whole, and replaced whole or not at all."""

import stat
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING

from worker.outbound.ssh import OUTPUT_MAX, Session

if TYPE_CHECKING:
    import asyncssh

_PERMISSIONS = 0o7777


class FileProblem(Enum):
    LINK = auto()
    MISSING = auto()
    UNREADABLE = auto()
    TOO_LONG = auto()
    CHANGED = auto()
    """Somebody else wrote it meanwhile."""
    UNWRITTEN = auto()
    FOREIGN = auto()
    """It would not keep its owner, its group or its mode."""


class FileError(Exception):
    def __init__(self, problem: FileProblem) -> None:
        super().__init__(problem.name)
        self.problem = problem


class RemoteFile:
    """`label` names what lies beside the file while it is replaced; one who works on it at a time has it."""

    def __init__(self, session: Session, path: str, label: str) -> None:
        self._session = session
        self._path = path
        self._new, self._kept = f"{path}.{label}.new", f"{path}.{label}.kept"

    def read(self) -> bytes:
        return self._session.transfer(lambda files: _read(files, self._path))

    def replace(self, before: bytes, after: bytes) -> None:
        """From now on it holds `after`; with the mode and the owner that it had, and with its group, where that
        may do more or less than others. `FileError`: it is as it was.

        The file itself is kept beside it until `settle`, with rights that SFTP does not tell of (ACL): who goes
        back to what it held gets itself.
        """
        self._session.transfer(lambda files: self._replace(files, before, after))

    def settle(self) -> None:
        """What was kept is thrown away."""
        self._session.transfer(lambda files: _remove(files, self._kept))

    async def _replace(self, files: "asyncssh.SFTPClient", before: bytes, after: bytes) -> None:
        import asyncssh  # noqa: PLC0415  # an extra

        problem = FileProblem.UNWRITTEN
        try:
            await self._exchange(files, before, after)
        except (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost):
            raise
        except FileError as error:
            problem = error.problem
        except asyncssh.SFTPError:
            pass
        else:
            return
        await _remove(files, self._new)
        raise FileError(problem)

    async def _exchange(self, files: "asyncssh.SFTPClient", before: bytes, after: bytes) -> None:
        import asyncssh  # noqa: PLC0415  # an extra

        goes_back = await files.lexists(self._kept) and await _read(files, self._kept) == after
        if not goes_back:
            await self._write(files, after)
        if await _read(files, self._path) != before:
            raise FileError(FileProblem.CHANGED)
        if not goes_back:
            await _remove(files, self._kept)
            with suppress(asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure, asyncssh.SFTPPermissionDenied):
                await files.link(self._path, self._kept)
        try:
            await files.posix_rename(self._kept if goes_back else self._new, self._path)
        except asyncssh.SFTPError:
            if not goes_back:
                await _remove(files, self._kept)
            raise

    async def _write(self, files: "asyncssh.SFTPClient", content: bytes) -> None:
        import asyncssh  # noqa: PLC0415  # an extra

        await _remove(files, self._new)
        wanted = await files.lstat(self._path)
        mode = (wanted.permissions or 0) & _PERMISSIONS
        private = asyncssh.SFTPAttrs(permissions=0o600)
        async with files.open(self._new, "xb", private) as file:
            await file.write(content)
        with suppress(asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure):
            await files.setstat(self._new, asyncssh.SFTPAttrs(uid=wanted.uid, gid=wanted.gid))
        await files.chmod(self._new, mode)
        made = await files.lstat(self._new)
        same_group = made.gid == wanted.gid or (mode >> 3 & 7) == mode & 7
        if (made.permissions, made.uid) != (wanted.permissions, wanted.uid) or not same_group:
            raise FileError(FileProblem.FOREIGN)


async def _read(files: "asyncssh.SFTPClient", path: str) -> bytes:
    import asyncssh  # noqa: PLC0415  # an extra

    try:
        mode = (await files.lstat(path)).permissions or 0
        if not stat.S_ISREG(mode):
            raise FileError(FileProblem.LINK if stat.S_ISLNK(mode) else FileProblem.MISSING)
        async with files.open(path, "rb") as file:
            content: bytes = await file.read(OUTPUT_MAX + 1)
    except asyncssh.SFTPNoSuchFile:
        raise FileError(FileProblem.MISSING) from None
    except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure):
        raise FileError(FileProblem.UNREADABLE) from None
    if len(content) > OUTPUT_MAX:
        raise FileError(FileProblem.TOO_LONG)
    return content


async def _remove(files: "asyncssh.SFTPClient", path: str) -> None:
    import asyncssh  # noqa: PLC0415  # an extra

    with suppress(asyncssh.SFTPNoSuchFile):
        await files.remove(path)
