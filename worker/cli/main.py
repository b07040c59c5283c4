"""The command `nightkey`: one noun a file. Errors are one line on standard error, and an exit status.

0 done, 1 something in the night failed, 2 wrong use or configuration, 3 refused.
"""

import os
import sys
from collections.abc import Callable
from datetime import datetime
from functools import cache
from importlib import metadata
from typing import Annotated

import typer
from typer.main import get_command

from worker.cli import (
    audit,
    backup,
    calendar,
    console,
    demo,
    finding,
    init,
    item,
    key,
    keyring,
    kinds,
    night,
    notice,
    owner,
    pickup,
    principal,
    reconcile,
    restore,
    rotation,
    run,
    scan,
    serve,
    status,
    up,
    workflow,
)
from worker.cli.commands import Commands, Home
from worker.cli.edge import check_words, describe_error, shorten
from worker.cli.output import abandon_output, drop_output, drop_unwritten, finish_output, note
from worker.cli.screen import begin_screen, utc_now
from worker.cli.terminal import prepare_streams

app = Commands(
    name="nightkey",
    help="Keeps the credentials that workflows depend on from lapsing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.add_typer(item.app, name="item")
app.add_typer(owner.app, name="owner")
app.add_typer(principal.app, name="principal")
app.add_typer(workflow.app, name="workflow")
app.command("scan")(scan.scan)
app.add_typer(night.app, name="night")
app.command("up")(up.up)
app.command("serve")(serve.serve)
app.add_typer(console.app, name="console")
app.add_typer(rotation.app, name="rotation")
app.add_typer(run.app, name="run")
app.add_typer(finding.app, name="finding")
app.add_typer(notice.app, name="notice")
app.command("calendar")(calendar.calendar)
app.command("pickup")(pickup.pickup)
app.command("claim", hidden=True)(pickup.pickup)  # notices that went out name it so
app.add_typer(key.app, name="key")
app.add_typer(keyring.app, name="keyring")
app.add_typer(kinds.nodes, name="node")
app.add_typer(kinds.rotators, name="rotator")
app.add_typer(audit.app, name="audit")
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.add_typer(reconcile.app, name="reconcile")
app.command("status")(status.status)
app.command("demo")(demo.demo)


def _say_version(asked: bool) -> None:  # typer's contract
    if asked:
        print(metadata.version("nightkey"))  # noqa: T201  # the answer
        raise typer.Exit


@app.callback()
def nightkey(
    *,
    home: Home = None,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and stop.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Keeps the credentials that workflows depend on from lapsing."""
    _ = home, version  # their callbacks have taken effect


@cache
def build_command() -> Callable[..., None]:
    """The whole of it, made once of what its functions say of themselves: that takes a while."""
    return get_command(app)


def main(clock: Callable[[], datetime] = utc_now) -> None:
    """The entry point: runs the command and turns whatever went wrong into one line. `clock` is for tests."""
    os.umask(0o077)  # what a command makes is its user's alone, unless it says otherwise
    prepare_streams()
    begin_screen(clock)
    problem = check_words(sys.argv[1:])
    exit_status = 2
    try:
        if problem is None:
            _run()
            return
    except KeyboardInterrupt:
        abandon_output()
        if sys.stderr.isatty():
            note("")  # behind the ^C, or the question
        problem, exit_status = "interrupted", 130
    except BrokenPipeError:
        drop_output()
        sys.exit(0)
    except Exception as error:  # noqa: BLE001  # the edge
        problem, exit_status = describe_error(error)
    drop_unwritten()
    note(f"nightkey: {shorten(problem)}")
    sys.exit(exit_status)


def _run() -> None:
    """The command, and what it still has to write; typer ends by `SystemExit`, with the status, also where
    somebody pressed Ctrl-C.
    """
    interrupted = False
    try:
        build_command()()
    except SystemExit as ended:
        interrupted = isinstance(getattr(ended.__context__, "__cause__", None), KeyboardInterrupt)
        if not interrupted:
            finish_output()
            raise
    if interrupted:
        raise KeyboardInterrupt


if __name__ == "__main__":
    main()
