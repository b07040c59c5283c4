"""Processes forked from one that has imported everything: each is its own, and begins in milliseconds."""

import json
import multiprocessing
import os
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from multiprocessing import reduction
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Self

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.faults.preload", "tests.forking"])
PATIENCE = 300.0
_ASK = """\
#!{python} -IS
import json, os, socket, sys

given = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({at!r})
    socket.send_fds(asked, [len(given).to_bytes(8, "big")], [0, 1, 2])
    asked.sendall(given)
    status = int(asked.makefile().read())
sys.exit(status if status >= 0 else 128 - status)
"""


def start_command(
    words: Sequence[str],
    streams: Sequence[int],
    *,
    environment: Mapping[str, str],
    folder: str,
    begins_anew: bool = False,
    at: datetime | None = None,
) -> ForkServerProcess:
    """`nightkey` with these words, in this environment alone; `streams` are its standard ones.

    `begins_anew`: not forked, where its environment says how it begins. `at`: the time that it takes for now.
    """
    given = list(words), dict(environment), folder, [_Stream(number) for number in streams], begins_anew, at
    process = processes.Process(target=_run, args=given)
    process.start()
    return process


def run_command(
    words: Sequence[str], *, environment: Mapping[str, str], value: str | None
) -> subprocess.CompletedProcess[str]:
    """The same until it ends; `value` is its standard input."""
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given.write((value or "").encode())
        given.seek(0)
        streams = [file.fileno() for file in (given, out, err)]
        process = start_command(words, streams, environment=environment, folder=str(Path.cwd()))
        status = _wait_for(process, words)
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
        return subprocess.CompletedProcess(list(words), status, *said)


class Forked:
    """`nightkey` with these words, as `subprocess.Popen` would have it: what it says on standard error is read
    from here, and `stdin` and `stdout` are open files, or nothing.

    It ends as a forked process does. What a new one writes at its very end, or has from its beginning, is the
    matter of tests that start one.
    """

    def __init__(
        self,
        words: Sequence[str | bytes],
        *,
        environment: Mapping[str, str],
        stdin: int | None = None,
        stdout: int | None = None,
    ) -> None:
        reader, writer = os.pipe()
        self.stderr = os.fdopen(reader, encoding="utf-8", errors="replace")
        try:
            with Path(os.devnull).open("r+b", buffering=0) as nothing:
                given = [nothing.fileno() if one is None else one for one in (stdin, stdout)]
                self._process = start_command(
                    [os.fsdecode(word) for word in words],
                    [*given, writer],
                    environment=environment,
                    folder=str(Path.cwd()),
                )
        finally:
            os.close(writer)
        assert self._process.pid is not None
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wait()
        self.stderr.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> int:
        self._process.join(PATIENCE)
        if self.returncode is None:
            self.kill()
            self._process.join()
            raise TimeoutError(f"process {self.pid} did not end in {PATIENCE:g} seconds")
        return self.returncode

    def read_to_end(self) -> str:
        """All that it still says on standard error, once it has ended."""
        with self.stderr:
            said = self.stderr.read()
        self.wait()
        return said

    def end(self) -> int:
        """Its status, once it has ended; what it said is no matter."""
        self.read_to_end()
        return self.wait()


@contextmanager
def offer_command() -> Iterator[Path]:
    """A folder with a `nightkey` for the path of a shell: what that asks for is forked, on its own streams."""
    with tempfile.TemporaryDirectory() as folder:
        at = f"{folder}/socket"
        command = Path(folder) / "bin" / "nightkey"
        command.parent.mkdir()
        command.write_text(_ASK.format(python=sys.executable, at=at))
        command.chmod(0o755)
        with socketserver.ThreadingUnixStreamServer(at, _Asked) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
            try:
                yield command.parent
            finally:
                server.shutdown()


class _Asked(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        size, streams, *_ = socket.recv_fds(self.connection, 8, 3)
        words, folder, environment = json.loads(self.rfile.read(int.from_bytes(size, "big")))
        try:
            process = start_command(words, streams, environment=environment, folder=folder)
        finally:
            for number in streams:
                os.close(number)
        self.wfile.write(str(_wait_for(process, words)).encode())


def _wait_for(process: ForkServerProcess, words: Sequence[str]) -> int:
    process.join(PATIENCE)
    status = process.exitcode
    if status is None:
        process.kill()
        process.join()
        raise TimeoutError(f"nightkey {' '.join(words)} did not end in {PATIENCE:g} seconds")
    process.close()
    return status


class _Stream:
    """An open file that goes along to the child."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _receive, (reduction.DupFd(self._number),)


def _receive(sent: Any) -> int:
    number: int = sent.detach()
    return number


def _run(
    words: list[str],
    environment: dict[str, str],
    folder: str,
    streams: list[int],
    begins_anew: bool,
    at: datetime | None,
) -> None:
    """In the child: all that a new process would have of its own."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, opened in enumerate(streams):
        os.dup2(opened, number)
        os.close(opened)
    if begins_anew:
        os.execve(sys.executable, [sys.executable, "-m", "worker.cli.main", *words], environment)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115  # for as long as the process lives
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # likewise
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["nightkey", *words]
    from worker.cli.main import main  # noqa: PLC0415  # loaded already, by the server

    main() if at is None else main(lambda: at)
