"""A small SSH server: keys in authorized_keys, passwords in a file, and in the home a shell and files."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh

from worker.testing import Link

_PIECE = 65_536
_SET_PASSWORD = """#!/bin/sh
# lines of user:password on stdin, as chpasswd
while IFS= read -r line; do printf '%s' "${line#*:}" > "$SSH_ROOT/${line%%:*}/password" || exit 1; done
"""
_OWN_PASSWORD = """#!/bin/sh
# the old one and twice the new one on stdin, as passwd
IFS= read -r old && IFS= read -r new && IFS= read -r again || exit 2
[ "$old" = "$(cat "$HOME/password")" ] && [ "$new" = "$again" ] || exit 10
printf '%s' "$new" > "$HOME/password"
"""


class PromptLink(Link):
    """Passes each piece on at once: SSH says so much back and forth that waiting for more takes seconds."""

    def __init__(self, target: int | str) -> None:
        super().__init__(target)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # whom it accepts inherits it

    def _connect(self) -> socket.socket:
        made = super()._connect()
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made


class SshServer:
    """Listens on loopback. Each user has a home in `root`, with .ssh/authorized_keys or a file `password`.

    `visitors` are who wanted to log in, `tried` the passwords that were judged, `commands` what was run.
    `before` is called with each command before it runs, `before_write` before a file is written. `means` are
    how it lets users in. A file with more than `lines_max` lines lets nobody in. Commands and files are those
    of the user with the number `runs_as`, if there is one.
    """

    def __init__(self, root: Path, *, means: tuple[str, ...] = ("key", "password")) -> None:
        self.root = root
        self.means = means
        self.visitors: list[str] = []
        self.tried: list[str] = []
        self.commands: list[str] = []
        self.before: Callable[[str], object] | None = None
        self.before_write: Callable[[], object] | None = None
        self.has_sftp = self.has_posix_rename = True
        self.lines_max: int | None = None
        self.runs_as: int | None = None
        self.port = 0
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._runs: set[asyncio.Task[None]] = set()
        for name, text in (("set-password", _SET_PASSWORD), ("own-password", _OWN_PASSWORD)):
            path = root / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    @property
    def host_key(self) -> str:
        return self._key.export_public_key().decode().strip()

    @property
    def fingerprint(self) -> str:
        return self._key.get_fingerprint()

    def add_user(self, name: str, *, keys: bytes = b"", password: str | None = None) -> Path:
        """Their home."""
        home = self.root / name
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "authorized_keys").write_bytes(keys)
        if password is not None:
            (home / "password").write_text(password)
        return home

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(120)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _is_too_long(self, keys: Path) -> bool:
        return self.lines_max is not None and len(keys.read_bytes().splitlines()) > self.lines_max

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._key],
            server_factory=lambda: _Visit(self),
            process_factory=self._begin,
            sftp_factory=(lambda channel: _Files(self, channel)) if self.has_sftp else None,
            encoding=None,
            password_auth="password" in self.means,
            kbdint_auth="kbdint" in self.means,
            public_key_auth="key" in self.means,
        )
        self.port = acceptor.get_port()
        self._started.set()
        await self._over.wait()
        acceptor.close()
        for connection in [*self._connections]:
            connection.abort()
            await connection.wait_closed()
        await acceptor.wait_closed()
        for task in [*self._runs]:
            task.cancel()
        await asyncio.gather(*self._runs, return_exceptions=True)

    def _begin(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        task = asyncio.ensure_future(self._run(process))
        self._runs.add(task)
        task.add_done_callback(self._runs.discard)

    async def _run(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        command = process.command or "exit 1"
        self.commands.append(command)
        if self.before is not None:
            self.before(command)
        home = self.root / process.get_extra_info("username")
        environment = {
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "SSH_ROOT": str(self.root),
        }
        beginning = asyncio.ensure_future(asyncio.create_subprocess_exec(
            "/bin/sh", "-c", command,
            cwd=home, env=environment, start_new_session=True, user=self.runs_as,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        ))  # fmt: skip
        try:
            local = await asyncio.shield(beginning)
        except asyncio.CancelledError:  # else it would be waited for, however long it takes
            await _kill(await beginning)
            raise
        feeding = asyncio.ensure_future(_feed(process.stdin, local.stdin))
        try:
            await asyncio.gather(_drain(local.stdout, process.stdout), _drain(local.stderr, process.stderr))
            status = await local.wait()
        except asyncio.CancelledError:
            await _kill(local)
            raise
        finally:
            feeding.cancel()
        with contextlib.suppress(OSError, asyncssh.Error):
            if status < 0:
                process.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                process.exit(status)


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()


class _Files(asyncssh.SFTPServer):
    """Paths are from the home on, as with OpenSSH."""

    def __init__(self, server: SshServer, channel: "asyncssh.SSHServerChannel[bytes]") -> None:
        super().__init__(channel)
        self._server = server
        self._home = server.root / channel.get_extra_info("username")
        if server.runs_as is not None:  # this thread alone, with what it may do to files
            ctypes.CDLL(None).setfsuid(server.runs_as)

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(os.fsencode(self._home), path)  # noqa: PTH118  # of bytes

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if self._server.before_write is not None and pflags & asyncssh.FXF_WRITE:
            self._server.before_write()
        return super().open(path, pflags, attrs)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        if not self._server.has_posix_rename:
            raise asyncssh.SFTPOpUnsupported("none here")
        super().posix_rename(oldpath, newpath)


class _Visit(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        keys = self._server.root / username / ".ssh" / "authorized_keys"
        self._server.visitors.append(username)
        if keys.exists() and not self._server._is_too_long(keys):
            with contextlib.suppress(ValueError):  # it holds no key
                self._connection.set_authorized_keys(str(keys))
        return True

    def public_key_auth_supported(self) -> bool:
        return "key" in self._server.means

    def password_auth_supported(self) -> bool:
        return "password" in self._server.means

    def validate_password(self, username: str, password: str) -> bool:
        self._server.tried.append(password)
        kept = self._server.root / username / "password"
        return kept.exists() and kept.read_text() == password

    def kbdint_auth_supported(self) -> bool:
        return "kbdint" in self._server.means

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Your word: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self.validate_password(username, responses[0])


async def _feed(source: Any, drain: Any) -> None:
    """A connection that breaks off looks to the command like an end, as it does with sshd."""
    with contextlib.suppress(OSError, asyncssh.Error):
        while piece := await source.read(_PIECE):
            drain.write(piece)
            await drain.drain()
    drain.close()


async def _drain(source: Any, drain: Any) -> None:
    """All of it, whether or not anybody still listens."""
    while piece := await source.read(_PIECE):
        with contextlib.suppress(OSError, asyncssh.Error):
            drain.write(piece)
            await drain.drain()
