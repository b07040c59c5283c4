"""A RabbitMQ on loopback, in a folder of its own.

Root starts it as the user `rabbitmq`, whom Debian's package has made: a server that takes what hostile tests
send need not be root. Whoever else runs the tests starts it as themselves.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import amqp

from tests.integration.starting import wait_until_reached
from tests.ports import choose_port

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script behind Debian's, which runs as whoever starts it."""
_CONTROL = _SERVER.with_name("rabbitmqctl")
_USER = "rabbitmq"
_PATIENCE = 300.0

MISSING = (
    ""
    if _SERVER.exists() and shutil.which("erl")
    else "no RabbitMQ here: apt-get install --no-install-recommends rabbitmq-server"
)
"""Why it cannot be started here; empty: it can."""


class RabbitServer:
    """`address` is `host:port`, the same each time that it is started; all that it writes is in `folder`, which
    is its user's, and goes with `remove`. `user`: as whom it is started; None: as whoever starts it.
    """

    def __init__(self) -> None:
        port, distribution, daemon = choose_port(), choose_port(), choose_port()
        self.address = f"127.0.0.1:{port}"
        self.user = _USER if os.geteuid() == 0 else None
        # beside those of the tests, which other users cannot enter
        self.folder = Path(tempfile.mkdtemp(prefix="nightkey-rabbit-"))
        if self.user is not None:
            shutil.chown(self.folder, self.user, pwd.getpwnam(self.user).pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": "nightkey@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(daemon),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",  # it ends when it is told to, whoever it still knows
        }

    def start(self) -> None:
        log = self.folder / "rabbit.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [_SERVER],
                env=self._environment,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
        wait_until_reached(
            self._process, lambda: amqp.Connection(self.address),
            away=(OSError, amqp.exceptions.AMQPError), name="RabbitMQ", log=log, patience=_PATIENCE, pause=0.3,
        )  # fmt: skip

    def kill(self) -> None:
        """Together with Erlang's port mapper, which outlives whom it was begun for."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        with suppress(OSError):
            subprocess.run(
                ["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-kill"],
                env=self._environment,
                capture_output=True,
                check=False,
            )

    def control(self, *words: str) -> None:
        """As an operator of it does by `rabbitmqctl`."""
        done = subprocess.run(
            [_CONTROL, "--quiet", *words],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Whoever asks it meanwhile is not answered, and not refused."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)

    def empty(self) -> None:
        """While it does not run."""
        shutil.rmtree(self.folder / "mnesia")

    def remove(self) -> None:
        """It does not run any more, and nothing of it is left."""
        self.kill()
        shutil.rmtree(self.folder)


@contextmanager
def open_rabbit() -> Iterator[RabbitServer]:
    """One that is not started yet; nothing of it is left after the block."""
    server = RabbitServer()
    try:
        yield server
    finally:
        server.remove()


@contextmanager
def start_rabbit() -> Iterator[str]:
    """The address, `host:port`, of one that runs for this block."""
    with open_rabbit() as server:
        server.start()
        yield server.address
