"""A RabbitMQ on loopback, in a folder of its own."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import amqp

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


@contextmanager
def start_rabbit(folder: Path) -> Iterator[str]:
    """Its address, `host:port`."""
    port, distribution, daemon = choose_port(), choose_port(), choose_port()
    environment = {
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
    }
    with (
        (folder / "rabbit.log").open("wb") as log,
        subprocess.Popen(
            [_SERVER], env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True
        ) as process,
    ):
        try:
            _wait(process, f"127.0.0.1:{port}", folder / "rabbit.log")
            yield f"127.0.0.1:{port}"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            _stop_daemon(environment)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        assert process.poll() is None, f"RabbitMQ ended:\n{log.read_text()}"
        assert time.monotonic() < deadline, f"RabbitMQ did not begin:\n{log.read_text()}"
        try:
            with amqp.Connection(address):
                return
        except (OSError, amqp.exceptions.AMQPError):
            time.sleep(0.3)


def _stop_daemon(environment: dict[str, str]) -> None:
    """Erlang's port mapper, which outlives whom it was begun for."""
    with suppress(OSError):
        subprocess.run(
            ["epmd", "-port", environment["ERL_EPMD_PORT"], "-kill"],
            env=environment,
            capture_output=True,
            check=False,
        )
