"""A RabbitMQ on loopback, in a folder of its own."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import amqp

from tests.integration.starting import wait_until_reached
from tests.ports import choose_port

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script behind Debian's, which runs as whoever starts it."""
_PATIENCE = 300.0

MISSING = (
    ""
    if _SERVER.exists() and shutil.which("erl")
    else "no RabbitMQ here: apt-get install --no-install-recommends rabbitmq-server"
)
"""Why it cannot be started here; empty: it can."""


class RabbitServer:
    """`address` is `host:port`, the same each time that it is started."""

    def __init__(self, folder: Path) -> None:
        port, distribution, daemon = choose_port(), choose_port(), choose_port()
        self.address = f"127.0.0.1:{port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": "nightkey@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(daemon),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",  # it ends when it is told to, whoever it still knows
        }

    def start(self) -> None:
        log = self._folder / "rabbit.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [_SERVER],
                env=self._environment,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                start_new_session=True,
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

    def empty(self) -> None:
        """While it does not run."""
        shutil.rmtree(self._folder / "mnesia")


@contextmanager
def start_rabbit(folder: Path) -> Iterator[str]:
    """Its address, `host:port`."""
    server = RabbitServer(folder)
    try:
        server.start()
        yield server.address
    finally:
        server.kill()
