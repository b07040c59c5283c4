"""`up` serves the console and the interface beside beat and workers, and nights go on where it cannot."""

import json
import re
import socket
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Nightkey
from tests.acceptance.running_up import is_gone, kill, run_up

ADDRESS = re.compile(r"the console is at (http://127\.0\.0\.1:\d+)/console/")
ONE = {"NIGHTKEY_CONCURRENCY": "1"}
"""What serves and what works know nothing of each other: a second worker would show nothing else."""


@pytest.mark.long
def test_the_server_is_begun_again_and_its_callers_notice_nothing(tmp_path: Path) -> None:
    nightkey = Nightkey(tmp_path / "home", settings={"NIGHTKEY_LISTEN": "127.0.0.1:0", **ONE})
    nightkey("init")
    link = json.loads(nightkey("console", "open", "--json").stdout)["url"]
    with run_up(nightkey) as up:
        up.wait_until_ready(workers=1)
        (address,) = ADDRESS.findall(up.said())
        opened = httpx.get(re.sub(r"http://[^/]+", address, link), follow_redirects=True, timeout=120)
        assert (opened.status_code, opened.url.path) == (200, "/console/")
        (first,) = serving(up.process.pid)
        kill(first)
        # Whoever calls meanwhile waits at the same socket
        assert httpx.get(f"{address}/health", timeout=120).status_code == 200
        up.wait_until(lambda: is_gone(first) and len(serving(up.process.pid)) == 1)
        assert up.stop() == 0
    assert "was ended by SIGKILL: it is started again" in up.said()
    assert link.rpartition("/")[2] not in up.said()


def test_nights_go_on_where_nothing_can_be_served(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        nightkey = Nightkey(tmp_path / "home", settings={"NIGHTKEY_LISTEN": place, **ONE})
        nightkey("init")
        with run_up(nightkey) as up:
            up.wait_until_ready(workers=1)
            assert serving(up.process.pid) == []
            assert up.stop() == 0
    assert f"nothing is served, and nights go on: --listen {place}: cannot listen there" in up.said()


def serving(up: int) -> list[int]:
    """The processes of this `up` that serve."""
    children = Path(f"/proc/{up}/task/{up}/children").read_text().split()
    return [int(one) for one in children if b"\0serve\0" in Path(f"/proc/{one}/cmdline").read_bytes()]
