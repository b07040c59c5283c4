"""What a worker of these tests needs, loaded once by the server that they are forked from."""

import gc
import tempfile
import warnings
from pathlib import Path

import psycopg
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import apprise

    apprise.Apprise.instantiate("json://127.0.0.1")  # finds its 200 plugins

import tests.faults.worker_process
import worker.bootstrap
import worker.cli.far.server
import worker.cli.main
import worker.delivery.sender
import worker.installation
import worker.outbound
from tests.statements import share_statements


def pass_a_night() -> None:
    """So that what a night needs is found, read and compiled before a child has to."""
    with tempfile.TemporaryDirectory() as folder:
        settings = worker.config.load_settings(Path(folder) / "home")
        worker.installation.initialise(settings, worker.bootstrap.utc_now)
        services = worker.bootstrap.Services(settings)
        services.night.inline_night.run_night(lambda _: None, wait=False)
        services.close()


share_statements()
pass_a_night()
gc.freeze()  # else each child copies what its collector looks at

__all__ = ["psycopg", "pytest", "tests", "worker"]
