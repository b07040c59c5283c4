"""An SSH host on loopback with one user, whom the keys in authorized_keys let in; commands run in a shell."""

import asyncio
import os
import tempfile
import threading
from pathlib import Path
from typing import Self

import asyncssh

USER = "robot"
_WAIT_SECONDS = 30


class SshHost:
    """The user's home is a temporary folder, with what the workflow finds there."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nightkey-ssh-")
        self._home = Path(self._folder.name)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        first = asyncssh.generate_private_key("ssh-ed25519", comment="by hand")
        self.first_key = first.export_private_key("openssh").decode()
        self._keys = self._home / ".ssh" / "authorized_keys"
        self._keys.parent.mkdir(mode=0o700)
        self._keys.write_bytes(first.export_public_key("openssh"))
        (self._home / "orders.csv").write_text("number,amount\n1,120\n")
        self._started, self._over = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    @property
    def host_key(self) -> str:
        return self._host_key.export_public_key("openssh").decode().strip()

    def lets_in(self, private_key: str) -> bool:
        """Whether its public half is in authorized_keys now."""
        public = asyncssh.import_private_key(private_key).export_public_key("openssh").split()[1]
        return public in self._keys.read_bytes()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._started.wait(_WAIT_SECONDS):
            raise RuntimeError("the SSH host did not start")
        return self

    def __exit__(self, *_exc: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_WAIT_SECONDS)
        self._folder.cleanup()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        asyncssh.set_log_level("CRITICAL")
        acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._host_key],
            server_factory=lambda: _Visit(self._keys),
            process_factory=self._run_command,
            sftp_factory=lambda channel: _Files(channel, self._home),
            encoding=None,
        )
        self.port = acceptor.get_port()
        self._started.set()
        await self._over.wait()
        acceptor.close()
        await acceptor.wait_closed()

    async def _run_command(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        if process.get_extra_info("username") != USER or process.command is None:
            process.exit(1)
            return
        local = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            process.command,
            cwd=self._home,
            env={"HOME": str(self._home), "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, complained = await local.communicate(await process.stdin.read())
        process.stdout.write(said)
        process.stderr.write(complained)
        process.exit(local.returncode or 0)


class _Files(asyncssh.SFTPServer):
    """Paths are from the home on, as with OpenSSH."""

    def __init__(self, channel: "asyncssh.SSHServerChannel[bytes]", home: Path) -> None:
        super().__init__(channel)
        self._home = os.fsencode(home)

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)  # noqa: PTH118  # of bytes


class _Visit(asyncssh.SSHServer):
    """Reads the file anew for each login, as sshd does."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:  # noqa: ARG002  # the library's
        self._connection.set_authorized_keys(str(self._keys))
        return True
