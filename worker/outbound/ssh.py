"""SSH: a host key that is pinned, a login by one key or one password, limits on time and size.

Nothing that belongs to the user whom the worker runs as is used: no agent, no keys, no known_hosts, no
configuration. Errors name the host; never a command, its output, or what the server says.
"""

import asyncio
import base64
import binascii
import getpass
import hashlib
import re
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from vaultcore.errors import Cause, InvalidInputError, TargetError
from vaultcore.secret import Secret
from worker.outbound.network import Network
from worker.outbound.sessions import SessionKey, digest_credential, share

if TYPE_CHECKING:
    import asyncssh

SSH = "ssh"
"""The kind of these sessions."""
OUTPUT_MAX = 1_048_576
"""Bytes that a session reads in all."""

_PIECE = 32_768
_GOODBYE_SECONDS = 1.0
_TURNS = 5
"""Of the loop, in which what lies on the connection is read and understood."""
_SIGNATURES = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""By which algorithms a host proves that it has a key of each kind; certificates and SHA-1 are none."""
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")

_PASSING = frozenset({2, 4})
"""Why a channel was not opened, as RFC 4254 has it: a connection that failed, and a shortage."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class HostKey:
    """The one key by which a host is known. `kind` is None where only its fingerprint was given."""

    fingerprint: str
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class Server:
    host: str
    port: int
    host_key: HostKey


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who logs in, by a private key (OpenSSH or PEM, not encrypted) or else by a password."""

    username: str
    private_key: Secret | None = None
    password: Secret | None = None


@dataclass(frozen=True, kw_only=True)
class RanCommand:
    """A command that ended. `status` is the negative number of a signal where one ended it, and None where
    the server did not say.
    """

    status: int | None
    stdout: bytes
    stderr: bytes


def parse_host_key(text: str) -> HostKey:
    """`ssh-ed25519 AAAA… comment`, as a host has it in /etc/ssh/ssh_host_ed25519_key.pub, or `SHA256:…`."""
    stripped = text.strip()
    if _FINGERPRINT.fullmatch(stripped.rstrip("=")):
        return HostKey(fingerprint=stripped.rstrip("="))
    kind, _, rest = stripped.partition(" ")
    try:
        blob = base64.b64decode(rest.split()[0] if rest.split() else "", validate=True)
    except (binascii.Error, ValueError):
        blob = b""
    if kind not in _SIGNATURES or not blob.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        raise InvalidInputError(
            "this is not a host key: give a public key as the host has it in a line (ssh-ed25519 AAAA…), "
            "or its fingerprint (SHA256:…)"
        )
    return HostKey(fingerprint=_fingerprint(blob), kind=kind)


def read_private_key(value: Secret) -> "asyncssh.SSHKey":
    """The key; a mistake if the text holds no key, or an encrypted one."""
    import asyncssh  # noqa: PLC0415  # an extra

    try:
        return asyncssh.import_private_key(value.expose().strip() + "\n")
    except (ValueError, OverflowError):  # its text may quote what was given
        pass
    raise TargetError(
        "the private key cannot be read: give it in OpenSSH's format or PEM, whole and not encrypted",
        cause=Cause.MISTAKE,
    )


class Session:
    """A connection that is logged in. Everything in it happens within one deadline, which whoever uses it again
    begins anew.
    """

    idle_seconds = 10.0

    def __init__(self, where: str, seconds: float) -> None:
        self.opened_at = time.monotonic()
        self._runner = asyncio.Runner()
        self._where = where
        self._connection: asyncssh.SSHClientConnection | None = None
        self._files: asyncssh.SFTPClient | None = None
        self._unanswered = 0
        self.begin(seconds)

    def begin(self, seconds: float) -> None:
        """From here on, so many seconds for everything together."""
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._left = OUTPUT_MAX

    def run(self, command: str, given: bytes = b"") -> RanCommand:
        """Runs the command in the user's shell, with `given` as all that it reads, and waits for its end.

        Values belong into `given`: everybody on that host can read a command line.
        """
        return self._do(self._run(command, given))

    def transfer(self, act: "Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, _T]]") -> _T:
        """Does something with the files of the host, by SFTP."""
        return self._do(self._transfer(act))

    def open(self, network: Network, server: Server, login: Login) -> None:
        import asyncssh  # noqa: PLC0415  # an extra

        asyncssh.set_log_level("WARNING")  # it logs each command, and who logs in
        key = None if login.private_key is None else read_private_key(login.private_key)
        client = _make_client(server.host_key, login, key)
        made = network.connect(server.host, server.port, seconds=self._rest())
        try:
            made.setblocking(False)
            self._do(self._connect(made, server, login, client), client)
        finally:
            if self._connection is None:
                made.close()

    def is_usable(self) -> bool:
        if self._unanswered or self._connection is None:
            return False
        self._runner.run(_hear())
        return not self._connection.is_closed()

    def close(self) -> None:
        """Says goodbye, and ends the connection whether or not that is heard."""
        with self._runner:
            if self._connection is not None:
                self._runner.run(_close(self._connection, max(min(_GOODBYE_SECONDS, self._rest()), 0.0)))

    def _rest(self) -> float:
        return self._deadline - time.monotonic()

    def _do(self, act: Coroutine[Any, Any, _T], client: Any = None) -> _T:  # noqa: ANN401  # made by a function
        """What it comes to; what goes wrong in it becomes a cause."""
        import asyncssh  # noqa: PLC0415  # an extra

        message, cause = "", Cause.OUTAGE
        self._unanswered += 1
        try:
            answer = self._runner.run(_limit(act, self._rest()))
            self._unanswered -= 1
            return answer
        except TimeoutError:
            message = f"{self._where} did not answer in {self._seconds:g} seconds"
        except asyncssh.ChannelOpenError as error:
            message = f"{self._where} runs no command for this login"
            cause = Cause.OUTAGE if error.code in _PASSING else Cause.MISTAKE
        except asyncssh.DisconnectError as error:
            message, cause = _explain(error, self._where, client)
        except (asyncssh.Error, OSError, ValueError):
            message = f"{self._where} broke off, or did not speak SSH"
        raise TargetError(message, cause=cause)

    async def _connect(self, made: Any, server: Server, login: Login, client: Any) -> None:  # noqa: ANN401  # a socket, and made by a function
        import asyncssh  # noqa: PLC0415  # an extra

        self._connection = await asyncssh.connect(
            server.host,
            server.port,
            sock=made,
            config=None,
            options=_make_options(server.host_key, login),
            client_factory=lambda: client,
        )

    async def _run(self, command: str, given: bytes) -> RanCommand:
        if self._connection is None:
            raise OSError
        process = await self._connection.create_process(command, encoding=None)
        feeding = asyncio.ensure_future(_feed(process.stdin, given))
        try:
            stdout, stderr = await asyncio.gather(self._collect(process.stdout), self._collect(process.stderr))
            await process.wait_closed()
        finally:
            feeding.cancel()
            process.close()
        if process.returncode is None and self._connection.is_closed():
            raise OSError
        return RanCommand(status=process.returncode, stdout=stdout, stderr=stderr)

    async def _transfer(self, act: "Callable[[asyncssh.SFTPClient], Coroutine[Any, Any, _T]]") -> _T:
        import asyncssh  # noqa: PLC0415  # an extra

        if self._connection is None:
            raise OSError
        if self._files is None:
            try:
                self._files = await self._connection.start_sftp_client()
            except asyncssh.ChannelOpenError as error:
                if error.code in _PASSING:
                    raise
            except asyncssh.SFTPError:
                pass
        if self._files is not None:
            return await act(self._files)
        if self._connection.is_closed():
            raise OSError
        raise TargetError(
            f"{self._where} lets this login reach no files by SFTP: name an admin who may", cause=Cause.MISTAKE
        )

    async def _collect(self, stream: "asyncssh.SSHReader[bytes]") -> bytes:
        pieces = []
        while piece := await stream.read(_PIECE):
            self._left -= len(piece)
            if self._left < 0:
                raise TargetError(f"{self._where} sent more than {OUTPUT_MAX} bytes", cause=Cause.MISTAKE)
            pieces.append(piece)
        return b"".join(pieces)


def _open(network: Network, server: Server, login: Login, seconds: float) -> Session:
    session = Session(f"{server.host}:{server.port}", seconds)
    try:
        session.open(network, server, login)
    except BaseException:
        session.close()
        raise
    return session


@contextmanager
def open_session(network: Network, server: Server, login: Login, *, seconds: float) -> Iterator[Session]:
    """A session of the caller's own, in which everything together takes so many seconds at most.

    A host key that is not the one given is a mistake, told with the fingerprint that the host showed, and
    nothing was said to it by then. A login that is refused is a rejection, and one that the host never asked
    for a mistake.
    """
    session = _open(network, server, login, seconds)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def share_session(network: Network, server: Server, login: Login, *, seconds: float) -> Iterator[Session]:
    """As `open_session`, or one that is open from before: it proves nothing of the login."""
    key = SessionKey(
        kind=SSH,
        way=network,
        host=server.host,
        port=server.port,
        terms=(server.host_key.fingerprint,),
        principal=login.username,
        credential=digest_credential(_encode(login.private_key), _encode(login.password)),
    )
    with share(
        key, lambda: _open(network, server, login, seconds), lambda session: session.begin(seconds)
    ) as session:
        yield session


def log_in(network: Network, server: Server, login: Login, *, seconds: float) -> None:
    """Proves that the host lets the login in, and runs nothing there."""
    with open_session(network, server, login, seconds=seconds):
        pass


def _explain(error: Exception, where: str, client: Any) -> tuple[str, Cause]:  # noqa: ANN401  # made by a function
    """Never by the error's text, which may be the server's."""
    import asyncssh  # noqa: PLC0415  # an extra

    if client is not None and client.refused is not None:
        told = (
            f"{where} shows a host key that is not the one given: {client.refused}; if it is its own, give that"
        )
        return told, Cause.MISTAKE
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.ProtocolNotSupported):
        return f"{where} offers no SSH algorithm that Nightkey takes: update its SSH server", Cause.MISTAKE
    if client is not None and isinstance(error, asyncssh.PermissionDenied):
        if client.was_asked:
            return f"{where} refuses the login", Cause.REJECTED
        return f"{where} asks for no {client.means} at this login", Cause.MISTAKE
    return f"{where} broke off, or did not speak SSH", Cause.OUTAGE


def _make_client(host_key: HostKey, login: Login, key: "asyncssh.SSHKey | None") -> Any:  # noqa: ANN401  # its class needs the extra
    import asyncssh  # noqa: PLC0415  # an extra

    class Client(asyncssh.SSHClient):
        """Compares the host's key, and gives the credential once: more tries would lock an account sooner."""

        refused: str | None = None
        was_asked = False
        means = "password" if key is None else "key"

        def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002  # the library's
            shown = _fingerprint(key.public_data)
            if shown != host_key.fingerprint:
                self.refused = f"{key.get_algorithm()} {shown}"
            return self.refused is None

        def public_key_auth_requested(self) -> Any:  # noqa: ANN401  # the library's
            return None if key is None or not self._ask() else key

        def password_auth_requested(self) -> str | None:
            return login.password.expose() if login.password is not None and self._ask() else None

        def kbdint_auth_requested(self) -> str | None:
            return "" if login.password is not None and not self.was_asked else None

        def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> Any:  # noqa: ANN401, ARG002  # the library's
            if not prompts:
                return []
            (_, echoes), *more = prompts
            if more or echoes:
                return None
            password = self.password_auth_requested()
            return None if password is None else [password]

        def _ask(self) -> bool:
            first, self.was_asked = not self.was_asked, True
            return first

    return Client()


def _make_options(host_key: HostKey, login: Login) -> "asyncssh.SSHClientConnectionOptions":
    """Everything that the library would take from the user whom it runs as, turned off."""
    import asyncssh  # noqa: PLC0415  # an extra

    kinds = sorted(_SIGNATURES, key=lambda kind: kind != host_key.kind)  # that kind first, else what it has
    problem = "the username holds characters that SSH cannot send"
    try:
        getpass.getuser()
    except (KeyError, OSError):
        problem = "the worker's own user has no name, which asyncssh asks for: set LOGNAME"
    try:
        return asyncssh.SSHClientConnectionOptions(
            config=None,
            known_hosts=lambda *_: ([], [], []),
            server_host_key_algs=[name for kind in kinds for name in _SIGNATURES[kind]],
            username=login.username,
            preferred_auth="publickey" if login.password is None else "password,keyboard-interactive",
            login_timeout=0,
            client_keys=None,
            agent_path=None,
            agent_forwarding=False,
            pkcs11_provider=None,
            host_based_auth=False,
            gss_host=None,
            gss_kex=False,
            gss_auth=False,
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
            compression_algs=["none"],
            disable_trivial_auth=True,
            request_pty=False,
            env={},
            send_env=[],
            x11_forwarding=False,
        )
    except ValueError:
        pass
    raise TargetError(problem, cause=Cause.MISTAKE)


def _encode(value: Secret | None) -> bytes:
    return b"" if value is None else b"=" + value.expose().encode(errors="surrogatepass")


async def _hear() -> None:
    """What has come meanwhile, above all that the other side has hung up."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _limit(act: Coroutine[Any, Any, _T], seconds: float) -> _T:
    async with asyncio.timeout(max(seconds, 0.0)):
        return await act


async def _feed(stream: "asyncssh.SSHWriter[bytes]", given: bytes) -> None:
    """What the command does not read, it does not get."""
    with suppress(OSError):
        stream.write(given)
        await stream.drain()
        stream.write_eof()


async def _close(connection: "asyncssh.SSHClientConnection", seconds: float) -> None:
    connection.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await connection.wait_closed()
            return
    connection.abort()
    await connection.wait_closed()


def _fingerprint(blob: bytes) -> str:
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
