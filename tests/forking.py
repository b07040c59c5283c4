"""Processes forked from one that has imported everything: each is its own, and begins in milliseconds."""

import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.faults.preload", "tests.forking"])
PATIENCE = 300.0


def run_command(
    words: Sequence[str], *, environment: Mapping[str, str], value: str | None
) -> subprocess.CompletedProcess[str]:
    """`nightkey` with these words, in this environment alone; `value` is its standard input."""
    with tempfile.TemporaryDirectory() as folder:
        given, out, err = (Path(folder) / name for name in ("in", "out", "err"))
        given.write_text(value or "")
        process = processes.Process(
            target=_run, args=(list(words), dict(environment), Path.cwd(), (given, out, err))
        )
        process.start()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"nightkey {' '.join(words)} did not end in {PATIENCE:g} seconds")
        status = process.exitcode
        process.close()
        return subprocess.CompletedProcess(list(words), status, out.read_text(), err.read_text())


def _run(words: list[str], environment: dict[str, str], folder: Path, files: tuple[Path, Path, Path]) -> None:
    """In the child: all that a new process would have of its own."""
    given, out, err = files
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, opened in enumerate((os.open(given, os.O_RDONLY), os.open(out, flags), os.open(err, flags))):
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", write_through=True)
    sys.argv = ["nightkey", *words]
    from worker.cli.main import main  # noqa: PLC0415  # loaded already, by the server

    main()
