"""A PgBouncer on loopback, in a folder of its own, that gives a connection for one transaction."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import URL, make_url

from tests.integration.starting import wait_until_reached
from tests.ports import choose_port

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
_PATIENCE = 60.0
SERVER_CONNECTIONS = 3

MISSING = "" if _PROGRAM else "no PgBouncer here: apt-get install --no-install-recommends pgbouncer"
"""Why it cannot be started here; empty: it can."""


@contextmanager
def start_pgbouncer(folder: Path, server: str) -> Iterator[str]:
    """Before a database that is reached by the address `server`: its own address for SQLAlchemy. It runs as the
    user who has the server, whose socket is nobody else's: others must be able to enter the folder.
    """
    url, port = make_url(server), choose_port()
    configuration, log = folder / "pgbouncer.ini", folder / "pgbouncer.log"
    configuration.write_text(_configure(url, port))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(_PROGRAM), str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=Path(str(url.query["host"])).stat().st_uid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
        )
    at = f"postgres@127.0.0.1:{port}/{url.database}"
    try:
        wait_until_reached(
            process, lambda: psycopg.connect(f"postgresql://{at}", connect_timeout=5),
            away=(psycopg.OperationalError,), name="PgBouncer", log=log, patience=_PATIENCE, pause=0.05,
        )  # fmt: skip
        yield f"postgresql+psycopg://{at}"
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _configure(url: URL, port: int) -> str:
    return f"""\
[databases]
{url.database} = host={url.query["host"]} dbname={url.database} user={url.username}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {SERVER_CONNECTIONS}
max_client_conn = 100
"""
