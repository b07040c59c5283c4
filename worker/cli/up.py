"""`nightkey up`: beat and worker, watched over until they are told to stop."""

import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from enum import StrEnum
from types import FrameType
from typing import Annotated

import typer

from vaultcore.errors import ConfigurationError
from vaultcore.troubles import explain
from worker.cli.output import note, note_at_once
from worker.cli.session import Home, open_settings
from worker.config import HOME_VARIABLE, Settings
from worker.log import configure_logging

_GRACE_SECONDS = 60
_POLL_SECONDS = 0.2


class Process(StrEnum):
    WORKER = "worker"
    BEAT = "beat"


def up(
    *,
    only: Annotated[
        Process | None,
        typer.Option("--only", help="Run this one process, for a supervisor of your own."),
    ] = None,
    home: Home = None,
) -> None:
    """Run beat and worker until SIGTERM or Ctrl-C; running tasks are finished first."""
    _ = home
    settings = open_settings()
    configure_logging(settings.log_level)
    if only is not None:
        _run_one(only, settings)
        return
    _check_first(settings)
    os.environ[HOME_VARIABLE] = str(settings.home)
    raise typer.Exit(_watch_over())


def _check_first(settings: Settings) -> None:
    """What is wrong with the configuration is said once, here, and not by two children for ever."""
    from worker.bootstrap import Services  # noqa: PLC0415  # --help must not wait for it

    services = Services(settings)
    services.check()
    services.close()


def _watch_over() -> int:
    """Starts both; ends both when told to, or when one ends by itself. 0 if they ended as told."""
    told = False

    def stop(signum: int, _: FrameType | None) -> None:
        nonlocal told
        told = True
        note_at_once(f"{signal.Signals(signum).name}: finishing what is running")

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    children = [
        subprocess.Popen(  # noqa: S603  # ourselves
            [sys.executable, "-m", "worker.cli.main", "up", "--only", process.value],
            start_new_session=True,
        )
        for process in Process
    ]
    note("nightkey is up: worker and beat are running, stop with Ctrl-C or SIGTERM")
    while not told and all(child.poll() is None for child in children):
        time.sleep(_POLL_SECONDS)
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + _GRACE_SECONDS
    for child in children:
        try:
            child.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    if not told:
        note("nightkey: one of worker and beat ended by itself: see the log above")
        return 1
    note("nightkey is down")
    return 0


def _run_one(process: Process, settings: Settings) -> None:
    """Becomes Celery's worker or beat; what takes its files away ends it, with one line."""
    problem = ""
    try:
        _become(process, settings)
    except OSError as error:
        problem = str(explain(error) or error.strerror or type(error).__name__)
    if problem:
        raise ConfigurationError(
            f"the {process.value} cannot go on: {problem}; look at {settings.home}, then start again"
        )


def _become(process: Process, settings: Settings) -> None:
    from celery.platforms import SecurityWarning  # noqa: PLC0415  # only this command needs Celery

    from worker.app import make_app  # noqa: PLC0415  # as above
    from worker.bootstrap import Services  # noqa: PLC0415  # as above
    from worker.tasks import register_tasks  # noqa: PLC0415  # as above

    # Celery warns of root because of pickle; only JSON is accepted here.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = make_app(settings)
    services = Services(settings)
    services.check()
    register_tasks(app, services)
    if process is Process.BEAT:
        app.Beat(loglevel=settings.log_level, quiet=True, socket_timeout=None).run()
        return
    worker = app.Worker(
        concurrency=settings.concurrency,
        pool="prefork",
        loglevel=settings.log_level,
        hostname=f"nightkey-{os.getpid()}@{socket.gethostname()}",
        without_mingle=True,
        without_gossip=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    raise typer.Exit(worker.exitcode or 0)
