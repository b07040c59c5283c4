"""What a worker of these tests needs, loaded once by the server that they are forked from."""

import gc
import os
import tempfile
import warnings
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from unittest.mock import patch

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
import worker.cli.screen
import worker.delivery.sender
import worker.installation
import worker.outbound
from tests.statements import share_statements

LOOKS = (
    "item list", "owner show operators", "workflow list", "rotation list", "run list", "finding list",
    "notice list", "night show", "status", "audit verify",
)  # fmt: skip


def pass_a_night() -> None:
    """So that what a night and the usual commands need is found, read and compiled before a child has to."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        settings = worker.config.load_settings(home)
        worker.installation.initialise(settings, worker.bootstrap.utc_now)
        services = worker.bootstrap.Services(settings)
        services.night.inline_night.run_night(lambda _: None, wait=False)
        services.close()
        dict(worker.cli.main.build_command().commands)  # imports what stands behind each noun
        worker.cli.screen.begin_screen(worker.bootstrap.utc_now)
        with patch.dict(os.environ, NIGHTKEY_HOME=str(home)), redirect_stdout(StringIO()):
            for words in LOOKS:
                with suppress(SystemExit):  # so each of them ends
                    worker.cli.main.build_command()([*words.split(), "--json"])


share_statements()
pass_a_night()
gc.freeze()  # else each child copies what its collector looks at

__all__ = ["psycopg", "pytest", "tests", "worker"]
