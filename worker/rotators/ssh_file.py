"""The file in which a host looks keys up, by SFTP: read whole, and replaced whole or not at all."""

import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from vaultcore.errors import Cause, TargetError
from worker.outbound.ssh import OUTPUT_MAX, Session

if TYPE_CHECKING:
    import asyncssh

_PERMISSIONS = 0o7777


class ChangedError(Exception):
    """Somebody else wrote the file meanwhile."""


class RemoteFile:
    """`label` names what lies beside the file while it is replaced, by one at a time."""

    def __init__(self, session: Session, path: str, label: str) -> None:
        self._session = session
        self._path = path
        self._new, self._kept = f"{path}.{label}.new", f"{path}.{label}.kept"

    def read(self) -> bytes:
        return self._session.transfer(lambda files: self._read(files, self._path))

    def replace(self, before: bytes, after: bytes) -> None:
        """From now on it holds `after`; with the mode and the owner that it had, and with its group, where that
        may do more or less than others. `ChangedError` if it does not hold `before`.

        The file itself is kept beside it until `drop_kept`, with rights that SFTP does not tell of (ACL): who
        goes back to what it held gets itself.
        """
        self._session.transfer(lambda files: self._replace(files, before, after))

    def drop_kept(self) -> None:
        """What was kept is thrown away."""
        self._session.transfer(lambda files: _remove(files, self._kept))

    async def _replace(self, files: "asyncssh.SFTPClient", before: bytes, after: bytes) -> None:
        import asyncssh  # noqa: PLC0415  # an extra

        try:
            await self._exchange(files, before, after)
        except (asyncssh.SFTPNoConnection, asyncssh.SFTPConnectionLost):
            raise
        except (asyncssh.SFTPError, TargetError, ChangedError) as error:
            await _remove(files, self._new)
            if not isinstance(error, asyncssh.SFTPError):
                raise
            raise self._refuse(
                "cannot be written: look whether the disk is full, whose it is, and whether SFTP there has "
                "posix-rename"
            ) from None

    async def _exchange(self, files: "asyncssh.SFTPClient", before: bytes, after: bytes) -> None:
        import asyncssh  # noqa: PLC0415  # an extra

        goes_back = await files.lexists(self._kept) and await self._read(files, self._kept) == after
        if not goes_back:
            await self._write(files, after)
        if await self._read(files, self._path) != before:
            raise ChangedError
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
            raise self._refuse(
                "cannot be written: its owner, group or rights would change: name its owner as admin, or root"
            )

    async def _read(self, files: "asyncssh.SFTPClient", path: str) -> bytes:
        import asyncssh  # noqa: PLC0415  # an extra

        elsewhere = "name the file in which the host looks keys up"
        try:
            mode = (await files.lstat(path)).permissions or 0
            if stat.S_ISLNK(mode):
                raise self._refuse("is a symbolic link, which is not replaced: name the file itself")
            if not stat.S_ISREG(mode):
                raise self._refuse(f"is not there: {elsewhere}")
            async with files.open(path, "rb") as file:
                content: bytes = await file.read(OUTPUT_MAX + 1)
        except asyncssh.SFTPNoSuchFile:
            raise self._refuse(f"is not there: {elsewhere}") from None
        except (asyncssh.SFTPPermissionDenied, asyncssh.SFTPFailure):
            raise self._refuse("cannot be read: name an admin who may") from None
        if len(content) > OUTPUT_MAX:
            raise self._refuse(f"has more than {OUTPUT_MAX} bytes: {elsewhere}")
        return content

    def _refuse(self, problem: str) -> TargetError:
        return TargetError(f"{self._path} {problem}", cause=Cause.MISTAKE)


async def _remove(files: "asyncssh.SFTPClient", path: str) -> None:
    import asyncssh  # noqa: PLC0415  # an extra

    with suppress(asyncssh.SFTPNoSuchFile):
        await files.remove(path)
