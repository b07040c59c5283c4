"""The walks of the README and of deploy/walk.md, taken block by block as a reader would type them."""

import os
import random
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.forking import offer_command

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
WALK = ROOT / "deploy" / "walk.md"


def read_blocks(page: Path, begin: str, end: str) -> list[str]:
    """The fenced blocks between two headings, in order."""
    text = page.read_text()
    walk = text[text.index(begin) : text.index(end)]
    return re.findall(r"```\n(.*?)```", walk, re.DOTALL)


def find_port() -> int:
    """A free one that no system gives to who asks for any: it is still free when the sink is started."""
    while True:
        port = random.randrange(20_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@pytest.fixture
def walk(tmp_path: Path) -> Iterator["Walk"]:
    with offer_command() as commands:
        walk = Walk(tmp_path, find_port(), commands)
        yield walk
        walk.stop()


class Walk:
    """One shell after the other, each with what the ones before exported.

    `commands` has a `nightkey` that begins at once, for all but the first block, which takes the installed one.
    """

    def __init__(self, folder: Path, port: int, commands: Path) -> None:
        self._folder = folder
        self._port = str(port)
        self._sink: subprocess.Popen[str] | None = None
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
        self._commands = commands
        self._environment = {**kept, "PATH": path, "HOME": str(folder)}

    def take(self, block: str, *, status: int = 0) -> str:
        """Runs a block as it stands, but for the port, and an overlap that a test need not sit out."""
        script = block.replace("8099", self._port).replace("--overlap 10s", "--overlap 0s")
        script = f"set -e\nexport NIGHTKEY_HOME={self._folder}/nightkey-try\n{script}"
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=self._folder,
            env=self._environment, timeout=600,
        )  # fmt: skip
        assert done.returncode == status, f"{block}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def begin_at_once(self) -> None:
        self._environment["PATH"] = f"{self._commands}:{self._environment['PATH']}"

    def start_sink(self, block: str) -> None:
        python = shutil.which("python3", path=self._environment["PATH"])
        body = block.split("<<'END'\n", 1)[1].removesuffix("END\n").replace("8099", self._port)
        self._sink = subprocess.Popen(
            [str(python), "-u", "-c", body], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        while True:
            assert self._sink.poll() is None, "the sink has ended"
            with socket.socket() as caller:
                if caller.connect_ex(("127.0.0.1", int(self._port))) == 0:
                    return

    def stop(self) -> str:
        if self._sink is None:
            return ""
        self._sink.terminate()
        printed, _ = self._sink.communicate(timeout=120)
        self._sink = None
        return printed


@pytest.mark.long
def test_the_walk_works_as_it_stands(walk: Walk) -> None:
    blocks = read_blocks(README, "## Five minutes to the first rotation", "## Where to go on")
    setup, sink, workflow, item, night, proof = blocks
    assert "ready:" in walk.take(setup)
    walk.begin_at_once()
    walk.start_sink(sink)
    assert "created" in walk.take(workflow)
    shown = walk.take(item)
    assert "version 1" in shown
    assert "completed" in shown
    shown = walk.take(night)
    assert "the night ended well" in shown
    assert "watching" in shown
    shown = walk.take(proof)
    assert re.search(r"^1 +destroyed", shown, re.MULTILINE)
    assert re.search(r"^2 +current", shown, re.MULTILINE)
    further = take_the_further_walk(walk)
    received = walk.stop()
    assert "Nightkey: " in received
    assert "the-first-value" not in received + shown + further


def take_the_further_walk(walk: Walk) -> str:
    blocks = read_blocks(WALK, "## What would happen", "## Unattended")
    ahead, lifetime, happened, standing, told, person, backup = map(walk.take, blocks)
    assert "rotate" not in ahead
    assert "rotate" in lifetime
    assert "destroyed" in happened
    assert "whole:" in standing
    assert "sent" in told
    assert "watching" in person
    assert "backup" in backup
    return f"{ahead}{lifetime}{happened}{standing}{told}{person}{backup}"
